"""Translation by a recurrent encoder and decoder, with attention (Bahdanau et al. 2015, arXiv:1409.0473) or without it
(Sutskever et al. 2014, arXiv:1409.3215).

    python recipes/translation.py train --data DIR --out RUN --preset small
    python recipes/translation.py evaluate --run RUN --data DIR --split test_2016_flickr --beam 5
    python recipes/translation.py predict --run RUN "A dog runs through the snow."

Items need `source` and `references`; the first reference is the training target.

B batch, T target tokens, F decoder features, N real target tokens, V vocabulary, S source tokens.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from seqkit.cli import Recipe, print_answers
from seqkit.data.batch import Batch
from seqkit.data_prep.synthetic import corpora as synthetic
from seqkit.errors import InputError
from seqkit.nn.losses import cross_entropy, real_tokens
from seqkit.recipes.common.search_options import Decoding, check_vocabulary, members
from seqkit.recipes.translation.data import Text, load_vocabs, read_pairs, train_data, train_vocabs
from seqkit.recipes.translation.model import Network, System, Translator, make_model
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.report import Evaluated, Provenance, format_table, write_report
from seqkit.train import checkpoint
from seqkit.train.distributed import print0, process_group
from seqkit.train.loop import Loss, Outcome, RunFolder, fit
from seqkit.train.schedule import linear_ramp
from seqkit.train.training_config import TrainingConfig

METRICS = ("bleu", "chrf", "ter")
LENGTHS = (10, 15, 20, 30, 40, 50)  # words of the source: the bounds of the breakdown by length


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
class Config:
    """A translation run."""

    text: Text = field(default_factory=Text)
    network: Network = field(default_factory=Network)
    objective: Objective = field(default_factory=Objective)
    plan: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=8,
            optimizer="adam",
            learning_rate=1.5e-3,
            betas=(0.9, 0.98),
            schedule="cosine",
            warmup=200,
            clip=1.0,
            ema=0.997,
            metric="bleu",
            goal="max",
        )
    )
    search: Decoding = field(default_factory=Decoding)


def make_loss(model: Translator, objective: Objective) -> Loss:
    """Cross entropy of the real tokens alone, so that padding costs nothing below the softmax."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        memories = model.make_memory(batch.streams[0])
        share = linear_ramp(step, start=objective.sampling_start, end=objective.sampling_end, high=objective.sampling)
        features_BTF, _ = model.decoder.forward_features(batch.inputs_BT, memories, sampling=share)
        logits_NV = model.decoder.readout(real_tokens(features_BTF, batch.lengths_B))
        targets_N = real_tokens(batch.targets_BT, batch.lengths_B)
        return cross_entropy(logits_NV, targets_N, smoothing=objective.smoothing), len(targets_N)

    return loss


def train(
    config: Config, data: Path, out: Path, *, resume: bool, init: Sequence[Path], device: torch.device
) -> Outcome:
    with process_group(device) as device:
        items, held_out = read_pairs(data, "train"), read_pairs(data, "val")
        last = checkpoint.find(out / "last") if resume else None
        vocabs = load_vocabs(last, joint=config.text.joint) if last else train_vocabs(config.text, items)
        torch.manual_seed(config.plan.seed)
        model = make_model(config.network, vocabs).to(device)
        print0(
            f"{sum(p.numel() for p in model.parameters()):,} parameters, vocabularies of "
            f"{len(vocabs.source):,} and {len(vocabs.target):,}"
        )
        if init:
            print0(checkpoint.init_from(model, init).text())
        system, greedy = System((model,), vocabs), dataclasses.replace(config.search, beam=1)

        def validate() -> dict[str, float]:
            found = system.translate([item.source for item in held_out], greedy)
            return corpus_scores(
                statistics(["bleu"], [item.references for item in held_out], [best.text for best, *_ in found])
            )

        order = train_data(config.text, vocabs, items, config.plan.seed)
        loss, run = make_loss(model, config.objective), RunFolder(out, resume, vocabs.save)
        return fit(model, loss, order, validate, config.plan, run)


def load_system(config: Config, run: Path, device: torch.device) -> System:
    """The best model of `run`, with those of the ensemble that the config names."""
    models, vocabs = [], []
    for own, folder in members(config, run, config.search):
        vocabs.append(load_vocabs(folder, joint=own.text.joint))
        for first, other in zip(vocabs[0], vocabs[-1], strict=True):
            check_vocabulary(first, other, folder)
        models.append(make_model(own.network, vocabs[-1]).to(device).eval())
        checkpoint.load_weights(models[-1], folder)
    return System(tuple(models), vocabs[0])


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
    config: Config,
    run: Path,
    inputs: Sequence[str],
    *,
    as_json: bool,
    nbest: int,
    pictures: Path | None,
    device: torch.device,
) -> None:
    system = load_system(config, run, device)
    translations = system.translate(inputs, config.search, nbest)
    print_answers(inputs, [[(t.text, t.hypothesis) for t in found] for found in translations], as_json=as_json)
    if pictures:
        from seqkit.draw import alignment

        for number, (source, (best, *_)) in enumerate(zip(inputs, translations, strict=True), 1):
            if not best.hypothesis.tokens:
                continue
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
            embed_dim=1000,
            encoder_dim=1000,
            encoder_layers=4,
            bidirectional=False,
            reverse_source=True,
            decoder_dim=1000,
            decoder_layers=4,
            attention="none",
            wiring="after",
            begin="copy",
            readout="linear",
            tied=False,
            dropout=0.0,
            initializer="uniform",
        ),
        objective=Objective(smoothing=0.0),
        plan=TrainingConfig(
            epochs=7.5, optimizer="sgd", learning_rate=0.7, schedule="halving", clip=5.0, metric="bleu", goal="max"
        ),
        search=Decoding(beam=12, length_penalty="none"),
    )


def bahdanau() -> Config:
    """Bahdanau et al. 2015, appendix A and B."""
    return Config(
        text=Text(units="words", vocab_size=30000, joint=False, max_tokens=50, batch_tokens=80 * 25),
        network=Network(
            cell="gru",
            embed_dim=620,
            encoder_dim=1000,
            encoder_layers=1,
            decoder_dim=1000,
            attention_dim=1000,
            wiring="before",
            begin="backward",
            readout="maxout",
            readout_dim=500,
            tied=False,
            dropout=0.0,
            initializer="bahdanau",
        ),
        objective=Objective(smoothing=0.0),
        plan=TrainingConfig(
            epochs=5,
            optimizer="adadelta",
            learning_rate=1.0,
            rho=0.95,
            epsilon=1e-6,
            clip=1.0,
            metric="bleu",
            goal="max",
        ),
        search=Decoding(beam=12),
    )


def base() -> Config:
    """One GPU."""
    return dataclasses.replace(
        Config(),
        text=Text(vocab_size=8000, merge_dropout=0.1, batch_tokens=6000),
        network=Network(embed_dim=512, encoder_dim=512, decoder_dim=1024, readout_dim=512, dropout=0.4),
        plan=dataclasses.replace(Config().plan, epochs=60, precision="bf16", ema=0.999),
    )


def tiny() -> Config:
    """The synthetic corpus on a CPU."""
    return dataclasses.replace(
        Config(),
        text=Text(vocab_size=300, batch_tokens=600),
        network=Network(
            embed_dim=64,
            encoder_dim=64,
            encoder_layers=1,
            decoder_dim=96,
            attention_dim=64,
            readout_dim=64,
            dropout=0.1,
        ),
        plan=dataclasses.replace(Config().plan, epochs=3, learning_rate=5e-3, warmup=50, ema=0.98),
    )


RECIPE = Recipe(
    "translation",
    Config,
    {"sutskever": sutskever, "bahdanau": bahdanau, "base": base, "small": Config, "tiny": tiny},
    train,
    evaluate,
    predict,
    synthetic=lambda: synthetic.cached("translation"),
)
