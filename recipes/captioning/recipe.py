"""Captions for pictures: Show and Tell (Vinyals et al. 2016, arXiv:1609.06647), and Show, Attend and Tell (Xu et al.
2015, arXiv:1502.03044).

    python recipes/captioning.py train --data DIR --out RUN --preset small
    python recipes/captioning.py train --data DIR --out RUN2 --init RUN --reward cider --learning_rate 5e-5
    python recipes/captioning.py evaluate --run RUN --data DIR --split test --beam 3
    python recipes/captioning.py predict --run RUN photo.jpg --pictures DIR

Items need `image` and `references`; every reference is a training target. A second stage begins with --init: rewarded
by CIDEr (Rennie et al. 2017, arXiv:1612.00563), or with the eye learning too (--finetune STAGE).

B batch, T target tokens, F decoder features, N real target tokens, V vocabulary, S grid cells, K samples of a picture,
P = B K captions.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from seqkit.cli import Recipe, print_answers
from seqkit.config import at_least_one
from seqkit.data.batch import Batch, Example, collate
from seqkit.data.image import read_image
from seqkit.data.vocab import Vocab, load_vocab
from seqkit.data_prep.synthetic import corpora as synthetic
from seqkit.decode import Hypothesis, Sampling, Search, greedy, sample
from seqkit.errors import InputError
from seqkit.nn.backbones import Backbone
from seqkit.nn.losses import cross_entropy, real_tokens
from seqkit.nn.masks import mask_from_lengths
from seqkit.nn.memory import repeat
from seqkit.recipes.captioning.data import Text, picture_data, read_captions, train_data, train_words
from seqkit.recipes.captioning.model import MAX_LEN, Captioner, Network, System
from seqkit.recipes.common.image_encoder import Eye, Seen, Sight, direct, make_eye, sight_of
from seqkit.recipes.common.search_options import SearchOptions, check_vocabulary, members
from seqkit.score import meteor
from seqkit.score.caption import cider, diversity, document_frequencies, weigh
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.metric import TextOptions
from seqkit.score.ptb import tokenize
from seqkit.score.report import Provenance, ScoredItem, format_table, write_report
from seqkit.train import checkpoint
from seqkit.train.distributed import print0, process_group
from seqkit.train.loop import Loss, Outcome, RunFolder, fit
from seqkit.train.optimizer import make_optimizer, parameter_groups
from seqkit.train.schedule import linear_ramp
from seqkit.train.training_config import TrainingConfig

COCO = TextOptions(lowercase=True, tokenizer="ptb")
Rewards = Callable[[int, str], float]  # an item's number and a caption for it

METRICS = ("cider", "bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "bleu")


@dataclass(frozen=True)
class Objective:
    """What is minimised."""

    reward: Literal["none", "cider"] = "none"
    """none: the likelihood of the captions; cider: the model's own captions, rewarded by CIDEr-D (self-critical)"""
    samples: int = 1
    """of its own captions, those drawn for a picture: one is judged by the greedy one, several by each other"""
    smoothing: float = 0.1
    """label smoothing (both papers: 0)"""
    coverage: float = 0.0
    """weight of the doubly stochastic penalty, that every cell be looked at (Show, Attend and Tell: 1)"""
    sampling: float = 0.0
    """final share of inputs that are the model's own predictions (Show and Tell 2016: 0.25)"""
    sampling_start: int = 0
    """step at which the share begins to grow from 0"""
    sampling_end: int = 5000
    """step at which the share is reached"""

    def __post_init__(self) -> None:
        at_least_one(self, "samples")


@dataclass(frozen=True)
class Config:
    """A captioning run."""

    text: Text = field(default_factory=Text)
    eye: Eye = field(default_factory=Eye)
    network: Network = field(default_factory=Network)
    objective: Objective = field(default_factory=Objective)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=9,
            optimizer="adam",
            learning_rate=1e-3,
            betas=(0.9, 0.98),
            schedule="cosine",
            warmup=200,
            max_grad_norm=1.0,
            ema_decay=0.998,
            metric="cider",
            mode="max",
        )
    )
    search: SearchOptions = field(default_factory=lambda: SearchOptions(beam=3))


def pictures(batch: Batch) -> Seen:
    return tuple(stream.values for stream in batch.streams)


def likelihood(model: Captioner, objective: Objective) -> Loss:
    """Cross entropy of the captions' words, and what attention leaves unseen (Xu et al. 2015, equation 14)."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        memories = model.make_memory(pictures(batch))
        share = linear_ramp(step, start=objective.sampling_start, end=objective.sampling_end, high=objective.sampling)
        features_BTF, weights = model.decoder.forward_features(batch.inputs_BT, memories, sampling=share)
        logits_NV = model.decoder.readout(real_tokens(features_BTF, batch.lengths_B))
        targets_N = real_tokens(batch.targets_BT, batch.lengths_B)
        total = cross_entropy(logits_NV, targets_N, smoothing=objective.smoothing)
        for weights_BTS in weights if objective.coverage else ():
            real_BT1 = mask_from_lengths(batch.lengths_B, weights_BTS.shape[1])[..., None]
            seen_BS = weights_BTS.masked_fill(~real_BT1, 0.0).sum(1)
            total = total + objective.coverage * (1 - seen_BS).square().sum()
        return total, len(targets_N)

    return loss


def cider_rewards(references: Sequence[Sequence[str]]) -> Rewards:
    """CIDEr-D, 0 to 10, of a caption for the item of a number; document frequencies are those of these references."""
    words = [[tokenize(text) for text in texts] for texts in references]
    frequencies = document_frequencies(words)
    weighed = [[weigh(text, frequencies) for text in texts] for texts in words]
    return lambda number, caption: cider(weigh(tokenize(caption), frequencies), weighed[number])


def self_critical(model: Captioner, rewards: Rewards, vocab: Vocab, max_len: int, samples: int = 1) -> Loss:
    """REINFORCE on sampled captions. The baseline of a picture's only sample is its greedy caption's reward (Rennie et
    al. 2017, equation 9), of several samples the mean reward of the others (Kool et al. 2019)."""
    search = Search(max_len=max_len)

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        def reward(found: list[list[Hypothesis]]) -> Tensor:
            texts = [[vocab.decode(own.tokens) for own in hypotheses] for hypotheses in found]
            return torch.tensor(
                [[rewards(n, text) for text in own] for n, own in zip(batch.indices, texts, strict=True)]
            )

        memories, device = model.make_memory(pictures(batch)), batch.lengths_B.device
        drawn = sample(model.decoder, memories, search, Sampling(samples, seed=step))
        reward_BK = reward(drawn)
        if samples > 1:
            usual_BK = (reward_BK.sum(1, keepdim=True) - reward_BK) / (samples - 1)
        else:
            model.eval()
            with torch.no_grad():
                usual_BK = reward(greedy(model.decoder, model.make_memory(pictures(batch)), search))
            model.train()
        said = collate([Example(0, (), own.tokens) for hypotheses in drawn for own in hypotheses]).to(device)
        chosen_P = said.lengths_B.clamp(max=max_len)  # a caption that was cut did not choose its end
        features_PTF, _ = model.decoder.forward_features(said.inputs_BT, repeat(memories, samples))
        logits_NV = model.decoder.readout(real_tokens(features_PTF, chosen_P))
        targets_N = real_tokens(said.targets_BT, chosen_P)
        gain_N = (reward_BK - usual_BK).flatten().to(device).repeat_interleave(chosen_P)
        return cross_entropy(logits_NV, targets_N, weight_N=gain_N), len(targets_N)

    return loss


def train(
    config: Config, data: Path, out: Path, *, resume: bool, init: Sequence[Path], device: torch.device
) -> Outcome:
    with process_group(device) as device:
        items, held_out = read_captions(data, "train"), read_captions(data, "val")
        last = checkpoint.find_checkpoint(out / "last") if resume else None
        begun = last or (init and checkpoint.best_checkpoint(init[0]))
        vocab = load_vocab(begun, "words") if begun else train_words(config.text, items)
        torch.manual_seed(config.training.seed)
        model = Captioner(config.network, make_eye(config.eye), len(vocab)).to(device)
        print0(f"{sum(p.numel() for p in model.decoder.parameters()):,} parameters below the eye, {len(vocab):,} words")
        if init:
            print0(checkpoint.init_from(model, init).text())
        sight = sight_of(config.eye, model.eye, [item.image for item in [*items, *held_out]])
        system, first = System((model,), (sight,), vocab), dataclasses.replace(config.search, beam=1)

        def validate() -> dict[str, float]:
            found = system.caption([item.image for item in held_out], first)
            texts = [best.text for best, *_ in found]
            return corpus_scores(statistics(["cider", "bleu4"], [item.references for item in held_out], texts, COCO))

        seed = config.training.seed
        if config.objective.reward == "cider":
            order = picture_data(config.text, items, sight, seed)
            rewards = cider_rewards([item.references for item in items])
            longest = config.search.max_len or MAX_LEN
            loss = self_critical(model, rewards, vocab, longest, config.objective.samples)
        else:
            order = train_data(config.text, vocab, items, sight, seed)
            loss = likelihood(model, config.objective)
        rate = config.eye.finetune_rate if config.eye.finetune else 0.0
        optimizer = make_optimizer(parameter_groups(model, config.training, {"eye.": rate}), config.training)
        run = RunFolder(out, resume, lambda part: vocab.save(part, "words"))
        return fit(model, loss, order, validate, config.training, run, optimizer)


def load_system(config: Config, run: Path, device: torch.device, show: Callable[[Eye, Backbone], Sight]) -> System:
    """The best model of `run`, with those of the ensemble that the config names; `show` gives each what it sees."""
    models, sights, vocabs = [], [], []
    for own, folder in members(config, run, config.search):
        vocabs.append(load_vocab(folder, "words"))
        check_vocabulary(vocabs[0], vocabs[-1], folder)
        model = Captioner(own.network, make_eye(own.eye, pretrained=False), len(vocabs[0])).to(device).eval()
        checkpoint.load_weights(model, folder)
        models.append(model)
        sights.append(show(own.eye, model.eye))
    return System(tuple(models), tuple(sights), vocabs[0])


def evaluate(config: Config, run: Path, data: Path, split: str, *, device: torch.device) -> None:
    items = read_captions(data, split)
    paths = [item.image for item in items]
    system = load_system(config, run, device, lambda eye, backbone: sight_of(eye, backbone, paths))
    began = time.monotonic()
    found = system.caption(paths, config.search)
    decode = {"beam": config.search.beam, "seconds": time.monotonic() - began}
    texts = [best.text for best, *_ in found]
    evaluated = [
        ScoredItem(i.id, i.references, best.text, best.hypothesis.logprob, best.hypothesis.score, best.cut, i.image)
        for i, (best, *_) in zip(items, found, strict=True)
    ]
    if (data / "train.jsonl").is_file():
        learnt = [caption for item in read_captions(data, "train") for caption in item.references]
        decode |= diversity(texts, learnt)._asdict()
    about = Provenance("captioning", split, data / f"{split}.jsonl", str(device), decode)
    metrics = [*METRICS, *(["meteor"] if meteor.installed() else [])]
    print(format_table(write_report(run / "evaluate" / split, evaluated, metrics, about, options=COCO)))


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
    system = load_system(config, run, device, lambda eye, backbone: direct(backbone))
    paths = [Path(name) for name in inputs]
    found = system.caption(paths, config.search, nbest)
    print_answers(inputs, [[(c.text, c.hypothesis) for c in captions] for captions in found], as_json=as_json)
    if pictures:
        from seqkit.draw import heat_maps

        for number, (path, (best, *_)) in enumerate(zip(paths, found, strict=True), 1):
            steps = system.attention(path, best.hypothesis.tokens)
            if not steps:
                raise InputError(f"`--pictures` must be given for a model with attention, got {run}")
            heat_maps(read_image(path, at_least=480), steps, pictures / f"{number:04}.png", title=best.text)


def paper() -> Config:
    """Show and Tell: Vinyals et al. 2016, section 4, and its authors' published settings."""
    return Config(
        text=Text(min_count=5, batch_captions=32),
        eye=Eye(backbone="inception_v3"),
        network=Network(
            embed_dim=512,
            decoder_dim=512,
            attention=None,
            readout="linear",
            tie_embeddings=False,
            dropout=0.3,
            initializer="uniform",
        ),
        objective=Objective(smoothing=0.0),
        training=TrainingConfig(
            epochs=54,
            optimizer="sgd",
            learning_rate=2.0,
            schedule="step",
            step_after=8.0,
            step_every=8.0,
            max_grad_norm=5.0,
            metric="cider",
            mode="max",
        ),
        search=SearchOptions(beam=3, length_penalty=None, max_len=20),
    )


def attend() -> Config:
    """Show, Attend and Tell with soft attention: Xu et al. 2015, sections 3 and 4.3."""
    return Config(
        text=Text(min_count=5, batch_captions=64),
        eye=Eye(backbone="vgg16"),
        network=Network(
            embed_dim=512,
            decoder_dim=512,
            attention_dim=512,
            proj_dim=None,
            readout="tanh",
            readout_dim=512,
            dropout=0.5,
        ),
        objective=Objective(smoothing=0.0, coverage=1.0),
        training=TrainingConfig(
            epochs=50,
            optimizer="rmsprop",
            learning_rate=1e-3,
            rho=0.95,
            epsilon=1e-8,
            max_grad_norm=5.0,
            patience=10,
            metric="bleu4",
            mode="max",
        ),
    )


def base() -> Config:
    """One GPU."""
    return dataclasses.replace(
        Config(),
        eye=Eye(backbone="resnet101"),
        network=Network(embed_dim=512, decoder_dim=1024, proj_dim=1024, readout_dim=512),
        training=dataclasses.replace(Config().training, epochs=25, precision="bf16"),
    )


def tiny() -> Config:
    """Drawn scenes on a CPU."""
    return dataclasses.replace(
        Config(),
        text=Text(min_count=1),
        eye=Eye(pixels=128, last_stage="blocks4"),
        network=Network(embed_dim=64, decoder_dim=128, attention_dim=64, proj_dim=96, readout_dim=64, dropout=0.1),
        objective=Objective(smoothing=0.0),
        training=dataclasses.replace(Config().training, epochs=3, learning_rate=4e-3, warmup=50, ema_decay=0.98),
    )


RECIPE = Recipe(
    "captioning",
    Config,
    {"paper": paper, "attend": attend, "base": base, "small": Config, "tiny": tiny},
    train,
    evaluate,
    predict,
    synthetic=lambda: synthetic.cached("captioning", items=2000),
    inputs="picture files",
)
