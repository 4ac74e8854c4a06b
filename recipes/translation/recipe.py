"""Translation by a recurrent encoder and decoder, with attention (Bahdanau et al. 2015, arXiv:1409.0473) or without it
(Sutskever et al. 2014, arXiv:1409.3215).

    seqkit translation train --data DIR --out RUN --preset small
    seqkit translation evaluate --run RUN --data DIR --split test_2016_flickr --beam 5
    seqkit translation predict --run RUN "A dog runs through the snow."

Items need `source` and `references`; the first reference is the training target.

B batch, T target tokens, F decoder features, N real target tokens, V vocabulary.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from seqkit.data.batch import Batch
from seqkit.data.manifest import Item
from seqkit.data.manifest_keys import Reads
from seqkit.data_prep.synthetic import corpora
from seqkit.described import described
from seqkit.held_out import Validated, validated
from seqkit.nn.losses import cross_entropy, real_tokens
from seqkit.ranges import Range, check_ranges
from seqkit.recipe import Evaluation, Job, Recipe
from seqkit.recipes.common.search_options import SearchOptions
from seqkit.recipes.translation.data import (
    TextConfig,
    open_pairs,
    read_pairs,
    read_sources,
    sources_of,
    start_vocabs,
    train_data,
)
from seqkit.recipes.translation.model import Network, TranslationPredictor, Translator, load, make_model
from seqkit.score.prediction import Prediction
from seqkit.start import Start, vocab_rows
from seqkit.train.schedule import linear_ramp
from seqkit.train.step import Loss
from seqkit.train.training_config import TrainingConfig
from seqkit.unscored import line_result

METRICS = ("bleu", "chrf", "ter")
LENGTHS = (10, 15, 20, 30, 40, 50)  # words of the source: the bounds of the breakdown by length


@described
@dataclass(frozen=True)
class Objective:
    """What is minimized."""

    label_smoothing: Annotated[float, Range(min=0, below=1)] = 0.1
    """share of the target's probability that is spread over the vocabulary (both papers: 0)"""
    scheduled_sampling: Annotated[float, Range(min=0, max=1)] = 0.0
    """final probability of feeding the model's own prediction instead of the true token (Bengio et al. 2015)"""
    scheduled_sampling_start: Annotated[int, Range(min=0)] = 0
    """step at which the probability begins to grow from 0"""
    scheduled_sampling_end: Annotated[int, Range(min=0)] = 10000
    """step at which it is reached"""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Config:
    """A translation run."""

    text: TextConfig = field(default_factory=TextConfig)
    network: Network = field(default_factory=Network)
    objective: Objective = field(default_factory=Objective)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=8,
            optimizer="adam",
            learning_rate=1.5e-3,
            betas=(0.9, 0.98),
            schedule="cosine",
            warmup=200,
            max_grad_norm=1.0,
            ema_decay=0.997,
            metric="bleu",
            mode="max",
        )
    )
    search: SearchOptions = field(default_factory=SearchOptions)


def make_loss(model: Translator, objective: Objective) -> Loss:
    """Cross entropy of the real tokens alone, so that padding costs nothing below the softmax."""
    start, end = objective.scheduled_sampling_start, objective.scheduled_sampling_end

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        memories = model.make_memory(batch.streams[0])
        probability = linear_ramp(step, start=start, end=end, high=objective.scheduled_sampling)
        features_BTF, _ = model.decoder.forward_features(batch.inputs_BT, memories, sampling=probability)
        logits_NV = model.decoder.readout(real_tokens(features_BTF, batch.lengths_B))
        targets_N = real_tokens(batch.targets_BT, batch.lengths_B)
        return cross_entropy(logits_NV, targets_N, smoothing=objective.label_smoothing), len(targets_N)

    return loss


def training_job(config: Config, data: Path, start: Start) -> Job:
    items, held_out = open_pairs(data, "train"), read_pairs(data, "val")
    vocabs = start_vocabs(start, config.text, items)
    torch.manual_seed(config.training.seed)
    model = make_model(config.network, vocabs).to(start.device)
    start.initialize(
        model,
        vocab_rows("source", vocabs.source, "encoder.embedding"),
        vocab_rows("target", vocabs.target, "decoder.embedding", "decoder.readout.output"),
    )
    greedy = TranslationPredictor((model,), vocabs, dataclasses.replace(config.search, beam=1))

    def validate() -> Validated:
        return validated(
            held_out, [best.text for best, *_ in greedy.predict(sources_of(held_out), words=False)], ("bleu", "chrf")
        )

    return Job(
        model,
        make_loss(model, config.objective),
        train_data(config.text, vocabs, items, config.training.seed),
        validate,
        vocabs.save,
        metrics=("bleu", "chrf"),
        held_out=lambda: train_data(dataclasses.replace(config.text, merge_dropout=0.0), vocabs, held_out, seed=0),
    )


def answer(predictor: TranslationPredictor, data: Path, split: str) -> tuple[list[Item], list[Prediction]]:
    items = read_sources(data, split)
    return items, [best for best, *_ in predictor.predict(sources_of(items))]


def evaluate(predictor: TranslationPredictor, data: Path, split: str, options: None) -> Evaluation:
    items = read_pairs(data, split)
    sources = sources_of(items)
    predictions = [best for best, *_ in predictor.predict(sources)]
    by_length = {"length": [length_group(source) for source in sources]}
    return Evaluation(items, predictions, METRICS, by_length, decode={"beam": predictor.search.beam})


def length_group(source: str) -> str:
    """The group of the breakdown by length that a source belongs to, in words."""
    count, bounds = len(source.split()), (0, *LENGTHS)
    low = max(bound for bound in bounds if bound <= count)
    above = [bound for bound in bounds if bound > count]
    return f"{low}-{above[0] - 1}" if above else f"{low}+"


SUTSKEVER = dict(  # Sutskever et al. 2014, section 3.4
    units="words", vocab_size=80000, joint_vocab=False, batch_budget=128 * 25,
    embed_dim=1000, encoder_dim=1000, encoder_layers=4, bidirectional=False, reverse_source=True,
    decoder_dim=1000, decoder_layers=4, attention=None, wiring="luong", init_hidden="copy", readout="linear",
    tie_embeddings=False, dropout=0.0, initializer="uniform", label_smoothing=0.0,
    epochs=7.5, optimizer="sgd", learning_rate=0.7, schedule="step", warmup=0, max_grad_norm=5.0, ema_decay=0.0,
    beam=12, length_penalty=None,
)  # fmt: skip
BAHDANAU = dict(  # Bahdanau et al. 2015, appendices A and B
    units="words", vocab_size=30000, joint_vocab=False, max_sentence=50, batch_budget=80 * 25,
    cell="gru", embed_dim=620, encoder_dim=1000, encoder_layers=1, decoder_dim=1000, attention_dim=1000,
    wiring="bahdanau", init_hidden="backward", readout="maxout", readout_dim=500, tie_embeddings=False, dropout=0.0,
    initializer="bahdanau", label_smoothing=0.0,
    epochs=5, optimizer="adadelta", learning_rate=1.0, epsilon=1e-6, schedule="constant", warmup=0, ema_decay=0.0,
    beam=12,
)  # fmt: skip
BASE = dict(  # one GPU
    vocab_size=8000, merge_dropout=0.1, batch_budget=6000, embed_dim=512, encoder_dim=512, decoder_dim=1024,
    readout_dim=512, dropout=0.4, epochs=60, precision="bf16", ema_decay=0.999,
)  # fmt: skip
TINY = dict(  # the synthetic corpus on a CPU
    vocab_size=300, batch_budget=600, embed_dim=64, encoder_dim=64, encoder_layers=1, decoder_dim=96,
    attention_dim=64, readout_dim=64, dropout=0.1, epochs=3, learning_rate=5e-3, warmup=50, ema_decay=0.98,
)  # fmt: skip

RECIPE = Recipe(
    "translation",
    Config,
    presets={"small": {}, "tiny": TINY, "base": BASE, "bahdanau": BAHDANAU, "sutskever": SUTSKEVER},
    training_job=training_job,
    load=load,
    evaluate=evaluate,
    answer=answer,
    server_entry=line_result,
    reads=Reads(
        needed=("source", "references"),
        example={
            "id": "1",
            "source": "A dog runs through the snow.",
            "references": ["Ein Hund rennt durch den Schnee."],
        },
        notes={"references": "the first is the training target"},
    ),
    inputs="a sentence",
    common=(
        "units",
        "vocab_size",
        "joint_vocab",
        "max_sentence",
        "batch_budget",
        "cell",
        "embed_dim",
        "encoder_dim",
        "encoder_layers",
        "decoder_dim",
        "decoder_layers",
        "attention",
        "dropout",
        "label_smoothing",
        "epochs",
        "max_minutes",
        "learning_rate",
        "schedule",
        "warmup",
        "max_grad_norm",
        "precision",
        "metric",
        "patience",
        "beam",
        "seed",
    ),  # fmt: skip
    plot_item=lambda predictor, item, found, path: predictor.plot(item.source, [found], path),
    synthetic=lambda: corpora.cached("translation"),
)
