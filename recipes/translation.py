"""Translation by a recurrent encoder and decoder, with attention (Bahdanau et al. 2015, arXiv:1409.0473) or without it
(Sutskever et al. 2014, arXiv:1409.3215).

    python recipes/translation.py train --data DIR --out RUN --preset small
    python recipes/translation.py evaluate --run RUN --data DIR --split test_2016_flickr --beam 5
    python recipes/translation.py predict --run RUN "A dog runs through the snow."

Items need `source` and `references`; the first reference is the training target.

B batch, S source tokens, T target tokens, D encoder width, Z summary width, F decoder features, N real target tokens.
"""

import dataclasses
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from data_prep import synthetic
from recipes.parallel_text import Text, Vocabs, load_vocabs, read_pairs, train_data, train_vocabs
from seqkit.cli import Recipe, print_answers, run_recipe
from seqkit.config import load_config
from seqkit.data.batch import Batch, Example, LengthBatches, Stream, collate, pad
from seqkit.data.vocab import UNK
from seqkit.decode import Ensemble, Hypothesis, Search, beam, force
from seqkit.errors import InputError
from seqkit.nn import initialise
from seqkit.nn.attention import make_attention
from seqkit.nn.bridge import Start, make_bridge, summarise
from seqkit.nn.decoder import Decoder, feature_dim
from seqkit.nn.embedding import Embedding
from seqkit.nn.encoders import RecurrentEncoder, TextEncoder
from seqkit.nn.losses import cross_entropy, real_tokens
from seqkit.nn.memory import Memory, State
from seqkit.nn.readout import Readout
from seqkit.nn.recurrent import RecurrentStack
from seqkit.score.evaluate import tally, values
from seqkit.score.report import Evaluated, Provenance, format_table, write_report
from seqkit.train import checkpoint
from seqkit.train.distributed import processes
from seqkit.train.fit import Loss, Run, fit, say
from seqkit.train.plan import Plan
from seqkit.train.schedule import linear_ramp

METRICS = ("bleu", "chrf", "ter")
LENGTHS = (10, 15, 20, 30, 40, 50)  # words of the source: the bounds of the breakdown by length


@dataclass(frozen=True)
class Network:
    """Sizes and wiring."""

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    """recurrent cell of encoder and decoder (Sutskever: lstm; Bahdanau: gru)"""
    embed_dim: int = 256
    """embedding width (Sutskever: 1000; Bahdanau: 620)"""
    encoder_dim: int = 256
    """encoder width a direction (both papers: 1000)"""
    encoder_layers: int = 2
    """encoder layers (Sutskever: 4; Bahdanau: 1)"""
    bidirectional: bool = True
    """read the source in both directions (Bahdanau: true)"""
    reverse_source: bool = False
    """read the source from its end (Sutskever: true)"""
    decoder_dim: int = 512
    """decoder width (both papers: 1000)"""
    decoder_layers: int = 1
    """decoder layers (Sutskever: 4; Bahdanau: 1)"""
    attention: Literal["none", "additive", "dot", "scaled_dot", "general", "multi_head", "location"] = "additive"
    """how a source position is scored (Sutskever: none; Bahdanau: additive)"""
    attention_dim: int = 512
    """attention width, unused by dot, scaled_dot and general (Bahdanau: 1000)"""
    heads: int = 8
    """heads of multi_head attention (Vaswani et al. 2017: 8)"""
    wiring: Literal["before", "after", "after, fed back"] = "after, fed back"
    """attend before the cell (Bahdanau), after it, or after it with the context fed to the next step (Luong)"""
    begin: Start = "mean"
    """first decoder state: none, from the mean of the memory, from the encoder's last state, from its backward state at
    the first word (Bahdanau), or a copy of every layer's last state (Sutskever)"""
    readout: Literal["tanh", "maxout", "linear"] = "tanh"
    """layer below the softmax (Bahdanau: maxout; Sutskever: linear)"""
    readout_dim: int = 256
    """width below the softmax, unused by linear (Bahdanau: 500)"""
    tied: bool = True
    """embeddings and softmax share their weights; with a joint vocabulary the source's embeddings too"""
    residual: bool = False
    """add a layer's input to its output where widths agree (Wu et al. 2016)"""
    dropout: float = 0.3
    """rate on embeddings, between layers and below the softmax"""
    variational: bool = False
    """one dropout mask a sentence between encoder layers (Gal and Ghahramani 2016)"""
    initialiser: Literal["modern", "uniform", "bahdanau"] = "modern"
    """Glorot and orthogonal, U(-0.08, 0.08) (Sutskever), or Bahdanau's"""


@dataclass(frozen=True)
class Objective:
    """What is minimised."""

    smoothing: float = 0.1
    """label smoothing (both papers: 0)"""
    sampling: float = 0.0
    """final share of inputs that are the model's own predictions (Bengio et al. 2015)"""
    sampling_start: int = 0
    """step at which the share begins to grow from 0"""
    sampling_end: int = 10000
    """step at which the share is reached"""


@dataclass(frozen=True)
class Decoding:
    """Search, when evaluating and predicting; validation during training is greedy."""

    beam: int = 5
    """hypotheses kept open (Sutskever: 12)"""
    length_penalty: Literal["none", "average", "wu"] = "average"
    """how a score makes up for length (Bahdanau: average)"""
    alpha: float = 0.6
    """exponent of the wu penalty (Wu et al. 2016: 0.6 to 0.7)"""
    length_ratio: float = 2.0
    """longest translation, in tokens for each source token, plus 10"""
    no_repeat_ngram: int = 0
    """no n tokens in a row twice; 0: allowed"""
    ensemble: tuple[Path, ...] = ()
    """further runs over the same vocabulary, whose probabilities are averaged with this run's"""
    batch: int = 64
    """sentences decoded together"""


@dataclass(frozen=True)
class Config:
    """A translation run."""

    text: Text = field(default_factory=Text)
    network: Network = field(default_factory=Network)
    objective: Objective = field(default_factory=Objective)
    plan: Plan = field(default_factory=lambda: Plan(
        epochs=20, optimizer="adam", betas=(0.9, 0.98), schedule="cosine", warmup=400, clip=1.0, ema=0.998,
        metric="bleu", goal="max",
    ))
    search: Decoding = field(default_factory=Decoding)


class Translator(nn.Module):
    """Source ids to the memories that `decoder` attends to or starts from; `start` and `step` for the search."""

    def __init__(self, n: Network, source_size: int, target_size: int, *, shared: bool) -> None:
        super().__init__()
        target = Embedding(target_size, n.embed_dim, scaled=n.tied)
        source = target if shared and n.tied else Embedding(source_size, n.embed_dim, scaled=n.tied)
        encoder = RecurrentEncoder(
            n.embed_dim, n.encoder_dim, n.encoder_layers, kind=n.cell, bidirectional=n.bidirectional,
            reverse=n.reverse_source, residual=n.residual, dropout=n.dropout, variational=n.variational,
        )
        memory_dim = encoder.output_dim
        attentions = [] if n.attention == "none" else [
            make_attention(n.attention, memory_dim, n.decoder_dim, n.attention_dim, heads=n.heads)
        ]
        contexts = [attention.context_dim for attention in attentions]
        fed = 0 if n.wiring == "after" else sum(contexts)
        cells = RecurrentStack(
            n.cell, n.embed_dim + fed, n.decoder_dim, n.decoder_layers, dropout=n.dropout, residual=n.residual
        )
        readout = Readout(
            feature_dim(n.embed_dim, n.decoder_dim, contexts, n.wiring), n.readout_dim, target_size, kind=n.readout,
            tied=target if n.tied else None, dropout=n.dropout,
        )
        bridge = make_bridge(n.begin, memory_dim, n.encoder_layers, cells)
        self.begin = n.begin
        self.encoder = TextEncoder(source, encoder, dropout=n.dropout)
        self.decoder = Decoder(target, cells, attentions, readout, wiring=n.wiring, bridge=bridge, dropout=n.dropout)
        getattr(initialise, n.initialiser)(self)

    def remember(self, source: Stream) -> tuple[Memory, ...]:
        encoded = self.encoder(source.values, source.lengths_B)
        return self.decoder.remember((encoded.values_BSD, encoded.lengths_B, summarise(encoded, self.begin)))

    def start(self, memories: tuple[Memory, ...]) -> State:
        return self.decoder.start(memories)

    def step(
        self, token_B: Tensor, memories: tuple[Memory, ...], state: State
    ) -> tuple[Tensor, tuple[Tensor, ...], State]:
        return self.decoder.step(token_B, memories, state)


def make_model(config: Config, vocabs: Vocabs) -> Translator:
    try:
        sizes = len(vocabs.source), len(vocabs.target)
        return Translator(config.network, *sizes, shared=config.text.joint)
    except ValueError as error:  # sizes that do not fit each other
        raise InputError(str(error)) from error


def make_loss(model: Translator, objective: Objective) -> Loss:
    """Cross entropy of the real tokens alone, so that padding costs nothing below the softmax."""
    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        memories = model.remember(batch.streams[0])
        share = linear_ramp(step, start=objective.sampling_start, end=objective.sampling_end, high=objective.sampling)
        if share:
            logits_BTV = model.decoder(batch.inputs_BT, memories, sampling=share)
            logits_NV = real_tokens(logits_BTV, batch.lengths_B)
        else:
            features_BTF = model.decoder.features(batch.inputs_BT, memories)
            logits_NV = model.decoder.readout(real_tokens(features_BTF, batch.lengths_B))
        targets_N = real_tokens(batch.targets_BT, batch.lengths_B)
        return cross_entropy(logits_NV, targets_N, smoothing=objective.smoothing), len(targets_N)

    return loss


def train(config: Config, data: Path, out: Path, *, resume: bool, init: Path | None, device: torch.device) -> None:
    with processes(device) as device:
        items, held_out = read_pairs(data, "train"), read_pairs(data, "val")
        last = checkpoint.find(out / "last") if resume else None
        vocabs = load_vocabs(last, joint=config.text.joint) if last else train_vocabs(config.text, items)
        torch.manual_seed(config.plan.seed)
        model = make_model(config, vocabs).to(device)
        say(f"{sum(p.numel() for p in model.parameters()):,} parameters, vocabularies of "
            f"{len(vocabs.source):,} and {len(vocabs.target):,}")
        if init:
            say(checkpoint.init_from(model, init).text())
        system, greedy = System((model,), vocabs), dataclasses.replace(config.search, beam=1)

        def validate() -> dict[str, float]:
            found = system.translate([item.source for item in held_out], greedy)
            return values(tally(["bleu"], [item.references for item in held_out], [best.text for best, *_ in found]))

        order = train_data(config.text, vocabs, items, config.plan.seed)
        fit(model, make_loss(model, config.objective), order, validate, config.plan, Run(out, resume, vocabs.save))


class Translation(NamedTuple):
    """One way to say a source sentence in the target language."""

    text: str
    hypothesis: Hypothesis
    cut: bool  # ended by the maximum length and not by the model


class System(NamedTuple):
    """What turns source text into target text: one model, or several that average their predictions."""

    models: tuple[Translator, ...]
    vocabs: Vocabs

    def translate(self, sources: Sequence[str], decoding: Decoding, nbest: int = 1) -> list[list[Translation]]:
        """The `nbest` translations of every source, best first; sources of like length are decoded together."""
        ids = [self.vocabs.source.encode(source) or [UNK] for source in sources]
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        lengths = [len(ids[number]) for number in order]
        batches = LengthBatches(lengths, 1 << 30, shuffle=False, max_items=decoding.batch)
        found: dict[int, list[Translation]] = {}
        for batch in batches.epoch(0):
            numbers = [order[place] for place in batch]
            translations = self.search([ids[n] for n in numbers], [sources[n] for n in numbers], decoding, nbest)
            found |= zip(numbers, translations, strict=True)
        return [found[number] for number in range(len(ids))]

    @torch.no_grad()
    def search(
        self, ids: Sequence[Sequence[int]], sources: Sequence[str], decoding: Decoding, nbest: int
    ) -> list[list[Translation]]:
        source = Stream(*(t.to(next(self.models[0].parameters()).device) for t in pad(ids)))
        max_len_B = (source.lengths_B * decoding.length_ratio).long() + 10
        search = Search(
            beam=max(decoding.beam, nbest), nbest=nbest, max_len=max_len_B, length_penalty=decoding.length_penalty,
            alpha=decoding.alpha, no_repeat_ngram=decoding.no_repeat_ngram,
        )
        memories = tuple(model.remember(source) for model in self.models)
        found = beam(Ensemble(self.models), memories, search)
        return [
            [Translation(self.text(h, source), h, len(h.tokens) >= longest) for h in hypotheses]
            for hypotheses, source, longest in zip(found, sources, max_len_B.tolist(), strict=True)
        ]

    def text(self, hypothesis: Hypothesis, source: str) -> str:
        """The hypothesis as text; an unknown word becomes the source word that it attends to most (Luong et al. 2015,
        arXiv:1410.8206, section 4.3, with attention in the place of alignment).
        """
        target = self.vocabs.target
        if UNK not in hypothesis.tokens:
            return target.decode(hypothesis.tokens)
        weights_TS, words = self.attention(hypothesis.tokens, source)
        if not words:
            return target.decode(hypothesis.tokens)
        best_T = weights_TS.argmax(-1).tolist()
        pairs = zip(hypothesis.tokens, best_T, strict=False)  # the weights have a last row for the end
        return target.join(words[s] if i == UNK else target.token(i) for i, s in pairs)

    @torch.no_grad()
    def attention(self, tokens: Sequence[int], source: str) -> tuple[Tensor, list[str]]:
        """The first model's weights (T + 1, S) from each target token and the end to the source, and the source's
        tokens; no tokens where that model does not attend.
        """
        model, words = self.models[0], self.vocabs.source.tokens(source)
        batch = collate([Example(0, (self.vocabs.source.encode(source) or [UNK],), tokens)])
        batch = batch.to(next(model.parameters()).device)
        forced = force(model, model.remember(batch.streams[0]), batch.inputs_BT, batch.targets_BT, batch.lengths_B)
        return (forced.weights[0][0].cpu(), words) if forced.weights else (torch.zeros(0), [])


def load_system(config: Config, run: Path, device: torch.device) -> System:
    """The best model of `run`, with those of the ensemble that the config names."""
    runs = [run, *config.search.ensemble]
    configs = [config, *(load_config(Config, other / "config.yaml") for other in runs[1:])]
    models, vocabs = [], []
    for path, own in zip(runs, configs, strict=True):
        folder = checkpoint.find(path / "best") or path / "best"
        vocabs.append(load_vocabs(folder, joint=own.text.joint))
        if entries(vocabs[-1]) != entries(vocabs[0]):
            raise InputError(f"`ensemble` must hold runs over the vocabularies of {run}, got {path}, which has others")
        models.append(make_model(own, vocabs[-1]).to(device).eval())
        checkpoint.load_weights(models[-1], path / "best")
    return System(tuple(models), vocabs[0])


def entries(vocabs: Vocabs) -> list[list[str]]:
    """Every token of both languages."""
    return [[vocab.token(i) for i in range(len(vocab))] for vocab in vocabs]


def evaluate(config: Config, run: Path, data: Path, split: str, *, device: torch.device) -> None:
    items = read_pairs(data, split)
    system = load_system(config, run, device)
    began = time.monotonic()
    translations = system.translate([item.source for item in items], config.search)
    seconds = time.monotonic() - began
    evaluated = [
        Evaluated(item.id, item.references, best.text, best.hypothesis.logprob, best.hypothesis.score, best.cut)
        for item, (best, *_) in zip(items, translations, strict=True)
    ]
    decode = {"beam": config.search.beam, "seconds": seconds}
    about = Provenance("translation", split, data / f"{split}.jsonl", str(device), decode)
    by = {"length": [length_group(item.source) for item in items]}
    print(format_table(write_report(run / "evaluate" / split, evaluated, METRICS, about, by=by)))


def length_group(source: str) -> str:
    """The group of the breakdown by length that a source belongs to, in words."""
    count, bounds = len(source.split()), (0, *LENGTHS)
    low = max(bound for bound in bounds if bound <= count)
    above = [bound for bound in bounds if bound > count]
    return f"{low}-{above[0] - 1}" if above else f"{low}+"


def predict(
    config: Config, run: Path, inputs: Sequence[str], *, as_json: bool, nbest: int, pictures: Path | None,
    device: torch.device,
) -> None:
    system = load_system(config, run, device)
    translations = system.translate(inputs, config.search, nbest)
    print_answers(inputs, [[(t.text, t.hypothesis) for t in found] for found in translations], as_json=as_json)
    if pictures:
        from seqkit.draw import alignment

        for number, (source, (best, *_)) in enumerate(zip(inputs, translations, strict=True), 1):
            weights_TS, words = system.attention(best.hypothesis.tokens, source)
            if not words:
                raise InputError(f"`--pictures` must be given for a model with attention, got {run} and {source!r}")
            target = [system.vocabs.target.token(i) for i in best.hypothesis.tokens]
            alignment(weights_TS[: len(target)], words, target, pictures / f"{number:04}.png", title=best.text)


def sutskever() -> Config:
    """Sutskever et al. 2014, section 3.4."""
    return Config(
        text=Text(units="words", vocab_size=80000, joint=False, batch_tokens=128 * 25),
        network=Network(
            embed_dim=1000, encoder_dim=1000, encoder_layers=4, bidirectional=False, reverse_source=True,
            decoder_dim=1000, decoder_layers=4, attention="none", wiring="after", begin="copy", readout="linear",
            tied=False, dropout=0.0, initialiser="uniform",
        ),
        objective=Objective(smoothing=0.0),
        plan=Plan(
            epochs=7.5, optimizer="sgd", learning_rate=0.7, schedule="halving", clip=5.0, metric="bleu", goal="max"
        ),
        search=Decoding(beam=12, length_penalty="none"),
    )


def bahdanau() -> Config:
    """Bahdanau et al. 2015, appendix A and B."""
    return Config(
        text=Text(units="words", vocab_size=30000, joint=False, max_tokens=50, batch_tokens=80 * 25),
        network=Network(
            cell="gru", embed_dim=620, encoder_dim=1000, encoder_layers=1, decoder_dim=1000, attention_dim=1000,
            wiring="before", begin="backward", readout="maxout", readout_dim=500, tied=False, dropout=0.0,
            initialiser="bahdanau",
        ),
        objective=Objective(smoothing=0.0),
        plan=Plan(
            epochs=5, optimizer="adadelta", learning_rate=1.0, rho=0.95, epsilon=1e-6, clip=1.0, metric="bleu",
            goal="max",
        ),
        search=Decoding(beam=12),
    )


def base() -> Config:
    """One GPU."""
    return dataclasses.replace(
        Config(), text=Text(vocab_size=8000, merge_dropout=0.1, batch_tokens=6000),
        network=Network(embed_dim=512, encoder_dim=512, decoder_dim=1024, readout_dim=512, dropout=0.4),
        plan=dataclasses.replace(Config().plan, epochs=60, precision="bf16", ema=0.999),
    )


def tiny() -> Config:
    """The synthetic corpus on a CPU."""
    return dataclasses.replace(
        Config(), text=Text(vocab_size=300, batch_tokens=600),
        network=Network(
            embed_dim=64, encoder_dim=64, encoder_layers=1, decoder_dim=96, attention_dim=64, readout_dim=64,
            dropout=0.1,
        ),
        plan=dataclasses.replace(Config().plan, epochs=7, learning_rate=5e-3, warmup=50, ema=0.98),
    )


RECIPE = Recipe(
    "translation", Config, {"sutskever": sutskever, "bahdanau": bahdanau, "base": base, "small": Config, "tiny": tiny},
    train, evaluate, predict, synthetic=lambda: synthetic.cached("translation"),
)

if __name__ == "__main__":
    sys.exit(run_recipe(RECIPE))
