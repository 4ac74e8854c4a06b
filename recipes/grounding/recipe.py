"""Grounding of phrases: the box of an image that a phrase means, by compact bilinear pooling (Fukui et al. 2016,
arXiv:1606.01847).

    seqkit grounding train --data DIR --out RUN --preset small
    seqkit grounding compare --data DIR --out DIR --preset small --variants concat,product,mcb --split test
    seqkit grounding evaluate --run RUN --data DIR --split test
    seqkit grounding predict --run RUN photo.jpg "the dog on the left" --plots DIR --proposals boxes.jsonl

Items need `image`, `source` (the phrase), `boxes` (the candidates) and `references` (true boxes, "left top right
bottom"). A box is in pixels of the upright image.

B batch, K candidate boxes.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from seqkit.data.batch import Batch
from seqkit.data.manifest import Item
from seqkit.data.manifest_keys import Reads
from seqkit.data.vocab import load_vocab
from seqkit.data_prep.grounding.proposals import read_proposals
from seqkit.data_prep.synthetic import corpora
from seqkit.described import described
from seqkit.held_out import Validated, validated
from seqkit.ranges import Range, check_ranges
from seqkit.recipe import Evaluation, Job, Recipe, SavedRun
from seqkit.recipes.common.image_encoder import ImageEncoderConfig, image_reader, make_image_encoder, pixel_reader
from seqkit.recipes.common.search_options import check_vocabulary
from seqkit.recipes.common.text_encoder import TextEncoderConfig
from seqkit.recipes.grounding.data import TextConfig, candidate_recall, phrase_of, read_phrases, train_data, train_vocab
from seqkit.recipes.grounding.model import GroundingModel, Network
from seqkit.recipes.grounding.predictor import GroundingPredictor, Member
from seqkit.score.prediction import Prediction
from seqkit.start import Start, vocab_rows
from seqkit.train import checkpoint
from seqkit.train.distributed import print0
from seqkit.train.optimizer import make_optimizer, parameter_groups
from seqkit.train.step import Loss
from seqkit.train.training_config import TrainingConfig

METRICS = ("iou_0.5",)


@described
@dataclass(frozen=True)
class Search:
    """Evaluation and prediction."""

    decode_batch_size: Annotated[int, Range(min=1)] = 32
    """phrases grounded together"""
    proposals: Path | None = None
    """file of candidate boxes, a line `{"image": NAME, "boxes": [[left, top, right, bottom], …]}` an image, in
    pixels of the upright picture; null: the items' own, and of a raw picture windows of several sizes"""


@dataclass(frozen=True)
class Config:
    """A grounding run."""

    text: TextConfig = field(default_factory=TextConfig)
    image_encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    text_encoder: TextEncoderConfig = field(default_factory=lambda: TextEncoderConfig(text_dropout=0.3))
    network: Network = field(default_factory=Network)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=10,
            optimizer="adam",
            learning_rate=7e-4,
            schedule="cosine",
            warmup=50,
            max_grad_norm=1.0,
            ema_decay=0.99,
            metric="iou_0.5",
            mode="max",
        )
    )
    search: Search = field(default_factory=Search)

    def __post_init__(self) -> None:
        check_ranges(self)


def grounding_loss(model: GroundingModel) -> Loss:
    """Cross entropy of the best candidate."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        phrase, boxes, *image = batch.streams
        logits_BK = model(tuple(part.values for part in image), *boxes, *phrase)
        return F.cross_entropy(logits_BK.float(), batch.targets_BT[:, 0], reduction="sum"), len(logits_BK)

    return loss


def training_job(config: Config, data: Path, start: Start) -> Job:
    items, held_out = read_phrases(data, "train"), read_phrases(data, "val")
    vocab = start.vocab("words", "words", lambda: train_vocab(config.text, items))
    torch.manual_seed(config.training.seed)
    encoder = make_image_encoder(config.image_encoder)
    model = GroundingModel(config.network, config.text_encoder, encoder, len(vocab)).to(start.device)
    print0(f"{len(vocab):,} words; candidate recall on val {candidate_recall(held_out):.1f} %")
    start.initialize(model, vocab_rows("words", vocab, "text_encoder.embedding", "text_encoder.vectors_VE"))
    reader = image_reader(config.image_encoder, encoder, [i.image for i in [*items, *held_out] if i.image])
    member = Member(model, reader, config.image_encoder)
    predictor = GroundingPredictor((member,), vocab, config.search.decode_batch_size)

    def validate() -> Validated:
        return validated(held_out, [box.text for box in predictor.predict_items(held_out)], METRICS)

    batches = train_data(config.text, vocab, items, reader, config.training.seed)
    groups = parameter_groups(model, config.training, config.image_encoder.learning_rates())
    optimizer = make_optimizer(groups, config.training)
    save = functools.partial(vocab.save, name="words")
    held_out_data = functools.partial(train_data, config.text, vocab, held_out, reader, 0)
    return Job(model, grounding_loss(model), batches, validate, save, optimizer, METRICS, held_out_data)


def load(runs: Sequence[SavedRun], device: torch.device) -> GroundingPredictor:
    """One run, or several with the same vocabulary whose box probabilities are averaged."""
    members, vocab = [], load_vocab(runs[0].checkpoint, "words")
    for config, _, folder in runs:
        check_vocabulary(vocab, load_vocab(folder, "words"), folder)
        encoder = make_image_encoder(config.image_encoder, pretrained=False)
        model = GroundingModel(config.network, config.text_encoder, encoder, len(vocab)).to(device).eval()
        checkpoint.load_weights(model, folder)
        members.append(Member(model, pixel_reader(encoder), config.image_encoder))
    search = runs[0].config.search
    proposals = read_proposals(search.proposals) if search.proposals else None
    return GroundingPredictor(tuple(members), vocab, search.decode_batch_size, proposals)


def answer(predictor: GroundingPredictor, data: Path, split: str) -> tuple[list[Item], list[Prediction]]:
    items = read_phrases(data, split, answered=False)
    return items, predictor.with_features([item.image for item in items if item.image]).predict_items(items)


def evaluate(predictor: GroundingPredictor, data: Path, split: str, options: None) -> Evaluation:
    items = predictor.with_proposals(read_phrases(data, split))
    predictions = predictor.with_features([i.image for i in items if i.image]).predict_items(items)
    return Evaluation(items, predictions, METRICS, decode={"candidate_recall": candidate_recall(items)})


PAPER = {
    # Fukui et al. 2016, sections 3.4 and 4.6; regions are pooled from the grid of a VGG-16 by RoI align, where the
    # paper runs its fully connected layers over each
    "backbone": "vgg16",
    "embed_dim": 500,
    "text_dim": 1024,
    "center": False,
    "spatial_features": False,
    "normalize": "l2",
    "fused_norm": 1.0,
    "epochs": 20,
    "schedule": "constant",
    "warmup": 0,
    "max_grad_norm": 0.0,
    "ema_decay": 0.0,
    "patience": 5,
}
BASE = {"backbone": "resnet101", "image_size": 448, "fused_dim": 8192, "epochs": 15, "precision": "bf16"}  # one GPU
TINY = {  # drawn scenes on a CPU
    "image_size": 128,
    "output_stage": "blocks3",
    "embed_dim": 64,
    "text_dim": 128,
    "text_dropout": 0.0,
    "fused_dim": 1024,
    "attention_dim": 128,
    "fused_dropout": 0.0,
    "epochs": 4,
    "learning_rate": 2e-3,
}

VARIANTS = {
    "concat": {"fusion": "concat"},
    "product": {"fusion": "product"},
    "mcb": {"fusion": "compact"},
    "sum": {"fusion": "sum"},
    "bilinear": {"fusion": "bilinear"},
    "mlb": {"fusion": "mlb"},
    "mutan": {"fusion": "mutan"},
    "mfb": {"fusion": "mfb"},
}

COMMON = (
    "fusion", "fused_dim", "attention_dim", "fused_dropout", "center", "spatial_features", "normalize", "text_dim",
    "text_dropout", "backbone", "weights", "image_size", "output_stage", "unfreeze_from", "unfreeze_lr",
    "batch_budget", "workers", "epochs", "steps", "max_minutes", "learning_rate", "precision", "patience",
    "decode_batch_size", "seed",
)  # fmt: skip

RECIPE = Recipe(
    "grounding",
    Config,
    presets={"small": {}, "tiny": TINY, "base": BASE, "paper": PAPER},
    training_job=training_job,
    load=load,
    evaluate=evaluate,
    answer=answer,
    reads=Reads(
        needed=("image", "source", "boxes", "references"),
        example={
            "id": "4",
            "image": "images/desk.jpg",
            "source": "the lamp on the left",
            "boxes": [[0, 0, 60, 200], [80, 40, 300, 220]],
            "references": ["2 0 64 190"],
        },
        optional=("extent",),
        notes={"source": "the phrase to find", "references": 'each is a true box, `"left top right bottom"` in pixels'},
    ),
    common=COMMON,
    variants=VARIANTS,
    plot_item=lambda predictor, item, found, path: predictor.plot(phrase_of(item), [found], path),
    synthetic=lambda: corpora.cached("grounding"),
    inputs="an image file, and then a phrase in quotes",
    paired=True,
)
