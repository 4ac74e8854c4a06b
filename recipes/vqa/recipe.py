"""Visual question answering by compact bilinear pooling (Fukui et al. 2016, arXiv:1606.01847).

    seqkit vqa train --data DIR --out RUN --preset small
    seqkit vqa compare --data DIR --out DIR --preset small --variants question,concat+fc,mcb,mcb+att --split test
    seqkit vqa evaluate --run RUN --data DIR --split test
    seqkit vqa predict --run RUN photo.jpg "what is on the table?" --nbest 5 --plots DIR

Items need `image`, `question` and `references`: one answer, or those of several people.

B batch, T classes of a target, A answer classes.
"""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from seqkit import recipe as recipes
from seqkit.data.batch import Batch
from seqkit.data.manifest import Item
from seqkit.data.manifest_keys import Reads
from seqkit.data.vocab import UNK, load_vocab
from seqkit.data_prep.synthetic import corpora
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.held_out import Validated, validated
from seqkit.ranges import Range, check_ranges
from seqkit.recipe import Evaluation, Job, Recipe, SavedRun
from seqkit.recipes.common.image_encoder import ImageEncoderConfig, image_reader, make_image_encoder, pixel_reader
from seqkit.recipes.common.image_reader import no_image
from seqkit.recipes.common.image_text import separate_words, text_ids
from seqkit.recipes.common.search_options import check_vocabulary
from seqkit.recipes.common.text_encoder import TextEncoderConfig
from seqkit.recipes.vqa.data import (
    TextConfig,
    load_answers,
    question_type,
    read_questions,
    start_answers,
    train_data,
    train_vocab,
)
from seqkit.recipes.vqa.model import Network, VQAModel
from seqkit.recipes.vqa.predictor import AnswerPredictor, Member
from seqkit.recipes.vqa.word_vectors import read_vectors
from seqkit.score.metric import TextOptions
from seqkit.score.prediction import Prediction
from seqkit.score.result_files import vqa_result
from seqkit.start import Start, vocab_rows
from seqkit.train import checkpoint
from seqkit.train.checkpoint import Rows
from seqkit.train.distributed import print0
from seqkit.train.optimizer import make_optimizer, parameter_groups
from seqkit.train.step import Loss
from seqkit.train.training_config import TrainingConfig

COMMON_TYPE = 0.01  # share of all questions from which a question type has a group of its own in a report


@described
@dataclass(frozen=True)
class Search:
    """Evaluation and prediction."""

    decode_batch_size: Annotated[int, Range(min=1)] = 64
    """questions answered together"""


@dataclass(frozen=True)
class Config:
    """A run of visual question answering."""

    text: TextConfig = field(default_factory=TextConfig)
    image_encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    text_encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    network: Network = field(default_factory=Network)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=12,
            optimizer="adam",
            learning_rate=1e-3,
            schedule="cosine",
            warmup=50,
            max_grad_norm=1.0,
            ema_decay=0.99,
            metric="accuracy",
            mode="max",
        )
    )
    search: Search = field(default_factory=Search)

    def __post_init__(self) -> None:
        check_ranges(self)


@described
@dataclass(frozen=True)
class EvaluationOptions:
    """How answers are scored, and what they are compared with."""

    vqa_script: Literal["2021", "2016"] = "2021"
    """version of the official VQA evaluation: the current one, or the one behind most published figures"""
    wordnet: Path | None = None
    """folder of WordNet's dictionary files, for WUPS; null: no WUPS"""
    question_only_run: Path | None = None
    """a run that reads questions alone, reported as a baseline; null: none"""

    def text_options(self) -> TextOptions:
        return TextOptions(lowercase=True, vqa_script=self.vqa_script, wordnet=self.wordnet)

    def metrics(self, items: Sequence[Item]) -> list[str]:
        """Consensus first where items have several answers, else accuracy of the whole answer."""
        several = max(len(item.references) for item in items) > 1
        wups = ["wups_0.9", "wups_0.0"] if self.wordnet else []
        return [*(["vqa_accuracy"] if several else []), "accuracy", *wups]


def answer_loss(model: VQAModel, targets: str) -> Loss:
    """Cross entropy of the target class; with soft targets, binary cross entropy of every class's consensus score."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        question, *rest = batch.streams
        soft, image = (rest[0], rest[1:]) if targets == "soft" else (None, rest)
        logits_BA, _ = model(tuple(part.values for part in image), *question)
        logits_BA = logits_BA.float()
        if soft is None:
            return F.cross_entropy(logits_BA, batch.targets_BT[:, 0], reduction="sum"), len(logits_BA)
        classes_BT = batch.targets_BT[:, : soft.values.shape[1]]  # padding has a score of 0
        scores_BA = torch.zeros_like(logits_BA).scatter_add(1, classes_BT, soft.values)
        return F.binary_cross_entropy_with_logits(logits_BA, scores_BA, reduction="sum"), len(logits_BA)

    return loss


def training_job(config: Config, data: Path, start: Start) -> Job:
    items, held_out = read_questions(data, "train"), read_questions(data, "val")
    vocab = start.vocab("words", "words", lambda: train_vocab(config.text, items))
    answers = start_answers(start, config.text, items)
    torch.manual_seed(config.training.seed)
    vectors_VE = torch.from_numpy(read_vectors(config.text.glove, vocab)) if config.text.glove else None
    encoder = make_image_encoder(config.image_encoder) if config.network.fusion else None
    model = VQAModel(config.network, config.text_encoder, encoder, len(vocab), len(answers.texts), vectors_VE)
    model.to(start.device)
    print0(f"{len(vocab):,} words, {len(answers.texts):,} answers")
    start.initialize(
        model,
        vocab_rows("words", vocab, "text_encoder.embedding", "text_encoder.vectors_VE"),
        Rows(answers.texts, lambda folder: load_answers(folder).texts, ("classifier",)),
    )
    images = [item.image for item in [*items, *held_out] if item.image]
    reader = image_reader(config.image_encoder, encoder, images) if encoder else no_image
    member = Member(model, reader, config.image_encoder, config.text)
    predictor = AnswerPredictor((member,), vocab, answers, config.search.decode_batch_size)
    metrics = EvaluationOptions().metrics(held_out)

    def validate() -> Validated:
        texts = [answer.text for answer in predictor.predict_items(held_out)]
        return validated(held_out, texts, metrics, EvaluationOptions().text_options())

    def save_assets(folder: Path) -> None:
        vocab.save(folder, "words")
        answers.save(folder)

    batches = train_data(config.text, vocab, answers, items, reader, config.training.seed)
    rates = config.image_encoder.learning_rates() if encoder else {}
    optimizer = make_optimizer(parameter_groups(model, config.training, rates), config.training)
    held_out_data = functools.partial(train_data, config.text, vocab, answers, held_out, reader, 0)
    loss = answer_loss(model, config.text.targets)
    return Job(model, loss, batches, validate, save_assets, optimizer, metrics, held_out_data)


def load(runs: Sequence[SavedRun], device: torch.device) -> AnswerPredictor:
    """One run, or several with the same vocabulary and answer classes, whose probabilities are averaged."""
    vocab, answers = load_vocab(runs[0].checkpoint, "words"), load_answers(runs[0].checkpoint)
    members = []
    for config, _, folder in runs:
        check_vocabulary(vocab, load_vocab(folder, "words"), folder)
        if load_answers(folder).texts != answers.texts:
            raise InputError(f"an ensemble must have one set of answers, got {folder}, which has another")
        encoder = make_image_encoder(config.image_encoder, pretrained=False) if config.network.fusion else None
        vectors_VE = checkpoint.read_weights(folder)["text_encoder.vectors_VE"]
        model = VQAModel(config.network, config.text_encoder, encoder, len(vocab), len(answers.texts), vectors_VE)
        checkpoint.load_weights(model, folder)
        reader = pixel_reader(encoder) if encoder else no_image
        members.append(Member(model.to(device).eval(), reader, config.image_encoder, config.text))
    return AnswerPredictor(tuple(members), vocab, answers, runs[0].config.search.decode_batch_size)


def answer(predictor: AnswerPredictor, data: Path, split: str) -> tuple[list[Item], list[Prediction]]:
    items = read_questions(data, split, answered=False)
    return items, predictor.with_features([item.image for item in items if item.image]).predict_items(items)


def evaluate(predictor: AnswerPredictor, data: Path, split: str, options: EvaluationOptions) -> Evaluation:
    items = read_questions(data, split)
    images = [item.image for item in items if item.image]
    predictions = predictor.with_features(images).predict_items(items)
    baselines = {
        "majority": [prior_prediction(predictor.answers.type_priors[""]) for _ in items],
        "question_type": [prior_prediction(predictor.answers.type_prior(item)) for item in items],
    }
    if options.question_only_run:
        run = recipes.load(RECIPE, [options.question_only_run], predictor.device, {})
        other = cast(AnswerPredictor, run.predictor)
        baselines["question_only"] = other.with_features(images).predict_items(items)
    return Evaluation(
        items,
        predictions,
        options.metrics(items),
        by=breakdowns(items),
        conditions={"baseline": baselines},
        decode=count_unseen(predictor, items),
        options=options.text_options(),
    )


def prior_prediction(text: str) -> Prediction:
    """An answer that was counted in training, not computed by a model."""
    return Prediction(text, logprob=0.0, score=0.0)


def breakdowns(items: Sequence[Item]) -> dict[str, list[str | None]]:
    """By whether an answer is a list, by the answer's type, and by the question's type where it is common."""
    kinds = [question_type(item) for item in items]
    common = {kind for kind, count in Counter(kinds).items() if count >= COMMON_TYPE * len(items)}
    return {
        "answers": ["list" if any("," in text for text in item.references) else "single" for item in items],
        "answer_type": [answer_type(item) for item in items],
        "question_type": [kind if kind in common else "others" for kind in kinds],
    }


def answer_type(item: Item) -> str:
    """As the corpus names it, else by the first answer."""
    first = item.references[0].strip().lower()
    kind = "yes/no" if first in ("yes", "no") else "number" if first.replace(".", "").isdecimal() else "other"
    return str(item.extra.get("answer_type", kind))


def count_unseen(predictor: AnswerPredictor, items: Sequence[Item]) -> dict[str, int]:
    """How many items go beyond the training set: counts for the report."""
    questions = [item.question or "" for item in items]
    longest = predictor.answers.max_question
    return {
        "answers_outside_classes": sum(not ids for ids in predictor.answers.class_ids(items)),
        "questions_with_unknown_words": sum(UNK in text_ids(predictor.vocab, question) for question in questions),
        "questions_longer_than_any_seen": sum(
            len(separate_words(question).split()) > longest for question in questions
        ),
    }


PAPER = {  # Fukui et al. 2016, sections 3.2 and 4.2: compact bilinear pooling with attention
    "max_question": 15,
    "targets": "sampled",
    "backbone": "resnet152",
    "image_size": 448,
    "text_dim": 1024,
    "text_layers": 2,
    "text_dropout": 0.3,
    "fused_dim": 16000,
    "attention_dim": 512,
    "fused_dropout": 0.1,
    "normalize": "l2",
    "fused_norm": 1.0,
    "glimpse_norm": 1.0,
    "epochs": 50,
    "learning_rate": 7e-4,
    "schedule": "constant",
    "warmup": 0,
    "max_grad_norm": 0.0,
    "ema_decay": 0.0,
    "patience": 5,
    "metric": "vqa_accuracy",
}
BASE = {  # one GPU
    "targets": "soft",
    "backbone": "resnet101",
    "image_size": 448,
    "text_dim": 1024,
    "fused_dim": 16000,
    "fused_dropout": 0.3,
    "epochs": 20,
    "precision": "bf16",
    "metric": "vqa_accuracy",
    "ema_decay": 0.999,
}
TINY = {  # drawn scenes on a CPU
    "image_size": 128,
    "output_stage": "blocks4",
    "embed_dim": 64,
    "text_dim": 128,
    "text_dropout": 0.0,
    "fused_dim": 1024,
    "attention_dim": 128,
    "fused_dropout": 0.0,
    "center": True,
    "epochs": 5,
    "learning_rate": 2e-3,
}

POOLED = {
    "sum": "sum",
    "concat": "concat",
    "product": "product",
    "bilinear": "bilinear",
    "mcb": "compact",
    "mlb": "mlb",
    "mutan": "mutan",
    "mfb": "mfb",
}  # variants without attention

VARIANTS: dict[str, dict[str, Any]] = {
    "question": {"fusion": None},
    **{name: {"fusion": fusion, "attention": None} for name, fusion in POOLED.items()},
    "concat+fc": {"fusion": "concat", "attention": None, "fusion_layers": 1},
    "concat+fc+att": {"fusion": "concat", "attention": "glimpses", "fusion_layers": 1},
    "product+att": {"fusion": "product", "attention": "glimpses"},
    "mcb+att": {"fusion": "compact", "attention": "glimpses"},
}

COMMON = (
    "fusion", "attention", "glimpses", "fused_dim", "fused_dropout", "answers", "targets", "max_question", "glove",
    "text_dim", "text_dropout", "backbone", "weights", "image_size", "unfreeze_from", "unfreeze_lr", "batch_budget",
    "workers", "epochs", "steps", "max_minutes", "learning_rate", "precision", "patience", "seed",
)  # fmt: skip

RECIPE = Recipe(
    "vqa",
    Config,
    presets={"small": {}, "tiny": TINY, "base": BASE, "paper": PAPER},
    training_job=training_job,
    load=load,
    evaluate=evaluate,
    answer=answer,
    server_entry=vqa_result,
    reads=Reads(
        needed=("image", "question", "references"),
        example={"id": "9", "image": "images/desk.jpg", "question": "what is on the desk?", "references": ["lamp"]},
        optional=("question_type", "answer_type"),
        notes={"references": "answers of one or several people, of which `--targets` chooses"},
    ),
    common=COMMON,
    variants=VARIANTS,
    plot_item=lambda predictor, item, found, path: predictor.plot((item.image, item.question), [found], path),
    synthetic=lambda: corpora.cached("vqa"),
    inputs="an image file, and then its question in quotes",
    paired=True,
    evaluation=EvaluationOptions,
)
