"""Answers to questions about pictures, by compact bilinear pooling (Fukui et al. 2016, arXiv:1606.01847).

    python recipes/vqa.py train --data DIR --out RUN --preset small
    python recipes/vqa.py compare --data DIR --out DIR --preset small --rows question,concat+fc,mcb,mcb+att --split test
    python recipes/vqa.py evaluate --run RUN --data DIR --split test
    python recipes/vqa.py predict --run RUN photo.jpg "what is on the table?" --nbest 5 --pictures DIR

Items need `image`, `question` and `references`: one answer, or those of several people, which the first one leads.

B batch, A answers.
"""

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from seqkit.cli import Recipe, print_answers
from seqkit.config import at_least_one, load_config
from seqkit.data.batch import Batch
from seqkit.data.image import read_image
from seqkit.data.manifest import Item
from seqkit.data.vocab import UNK, load_vocab
from seqkit.data_prep.synthetic import corpora as synthetic
from seqkit.errors import InputError
from seqkit.nn.masks import mask_from_lengths
from seqkit.recipes.common.image_encoder import Eye, direct, make_eye, sight_of
from seqkit.recipes.common.text_encoder import Language
from seqkit.recipes.vqa.data import (
    Text,
    load_answers,
    pairs,
    plain_question,
    question_type,
    read_questions,
    read_vectors,
    train_answers,
    train_data,
    train_words,
)
from seqkit.recipes.vqa.model import Answer, Answerer, Network, System
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.metric import TextOptions
from seqkit.score.report import Evaluated, Provenance, format_table, write_report
from seqkit.train import checkpoint
from seqkit.train.distributed import print0, process_group
from seqkit.train.loop import Loss, Outcome, RunFolder, fit
from seqkit.train.optimizer import groups, make_optimizer
from seqkit.train.training_config import TrainingConfig

COMMON = 0.01  # share of all questions that makes a type of question a group of its own in a report


@dataclass(frozen=True)
class Scoring:
    """How answers are judged, and what stands beside them."""

    vqa_script: Literal["2021", "2016"] = "2021"
    """version of the official evaluation of VQA: the current one, or the one behind most published figures"""
    wordnet: Path = Path()
    """folder of WordNet's dictionary files, for WUPS; empty: no WUPS"""
    reader: Path = Path()
    """a run that sees questions only, reported beside this one; empty: none"""
    batch: int = 64
    """questions answered together"""

    def __post_init__(self) -> None:
        at_least_one(self, "batch")

    def options(self) -> TextOptions:
        wordnet = None if self.wordnet == Path() else self.wordnet
        return TextOptions(lowercase=True, vqa_script=self.vqa_script, wordnet=wordnet)

    def metrics(self, items: Sequence[Item]) -> list[str]:
        """Consensus leads where people differ, the whole answer where there is one."""
        many = max(len(item.references) for item in items) > 1
        wups = [] if self.wordnet == Path() else ["wups_0.9", "wups_0.0"]
        return [*(["vqa_accuracy"] if many else []), "accuracy", *wups]


@dataclass(frozen=True)
class Config:
    """A run that answers questions."""

    text: Text = field(default_factory=Text)
    eye: Eye = field(default_factory=Eye)
    language: Language = field(default_factory=Language)
    network: Network = field(default_factory=Network)
    plan: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=12,
            optimizer="adam",
            learning_rate=1e-3,
            schedule="cosine",
            warmup=50,
            clip=1.0,
            ema=0.99,
            metric="accuracy",
            goal="max",
        )
    )
    search: Scoring = field(default_factory=Scoring)


def answer_loss(model: Answerer, targets: str) -> Loss:
    """Cross entropy of the one answer; with soft targets, of every answer's consensus, min(1, count / 3)."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, int]:
        question, *seen = batch.streams
        logits_BA, _ = model(tuple(part.values for part in seen), *question)
        logits_BA, classes_BT = logits_BA.float(), batch.targets_BT
        if targets != "soft":
            return F.cross_entropy(logits_BA, classes_BT[:, 0], reduction="sum"), len(logits_BA)
        real_BT = mask_from_lengths(batch.lengths_B - 1, classes_BT.shape[1])  # EOS is no answer
        counts_BA = torch.zeros_like(logits_BA).scatter_add(1, classes_BT * real_BT, real_BT.float())
        consensus_BA = (counts_BA / 3).clamp(max=1.0)
        return F.binary_cross_entropy_with_logits(logits_BA, consensus_BA, reduction="sum"), len(logits_BA)

    return loss


def looks(config: Config) -> bool:
    return config.network.fusion != "question"


def blind(paths: Sequence[Path]) -> tuple[Tensor, ...]:
    """The sight of a model that reads the question alone."""
    return ()


def train(
    config: Config, data: Path, out: Path, *, resume: bool, init: Sequence[Path], device: torch.device
) -> Outcome:
    with process_group(device) as device:
        items, held_out = read_questions(data, "train"), read_questions(data, "val")
        last = checkpoint.find(out / "last") if resume else None
        begun = last or (init and checkpoint.best_of(init[0]))
        vocab = load_vocab(begun, "words") if begun else train_words(config.text, items)
        answers = load_answers(begun) if begun else train_answers(config.text, items)
        torch.manual_seed(config.plan.seed)
        vectors_VE = None if config.text.glove == Path() else torch.from_numpy(read_vectors(config.text.glove, vocab))
        eye = make_eye(config.eye) if looks(config) else None
        model = Answerer(config.network, config.language, eye, len(vocab), len(answers.texts), vectors_VE).to(device)
        own = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("eye."))
        print0(f"{own:,} parameters beside the eye, {len(vocab):,} words, {len(answers.texts):,} answers")
        if init:
            print0(checkpoint.init_from(model, init).text())
        paths = [item.image for item in [*items, *held_out]]
        system = System(model, sight_of(config.eye, eye, paths) if eye else blind, vocab, answers, config.text)

        def validate() -> dict[str, float]:
            texts = [best.text for best, *_ in say_answers(system, held_out, config.search.batch)]
            references, names = [item.references for item in held_out], config.search.metrics(held_out)
            return corpus_scores(statistics(names, references, texts, config.search.options()))

        def assets(part: Path) -> None:
            vocab.save(part, "words")
            answers.save(part)

        order = train_data(config.text, vocab, answers, items, system.sight, config.plan.seed)
        rates = {"eye.": config.eye.finetune_rate if config.eye.finetune else 0.0} if eye else {}
        optimizer = make_optimizer(groups(model, config.plan, rates), config.plan)
        run = RunFolder(out, resume, assets)
        return fit(model, answer_loss(model, config.text.targets), order, validate, config.plan, run, optimizer)


def say_answers(system: System, items: Sequence[Item], batch: int) -> list[list[Answer]]:
    found, _ = system.answer([item.image for item in items], [item.question or "" for item in items], batch)
    return found


def load_system(config: Config, run: Path, device: torch.device, paths: Sequence[Path] | None = None) -> System:
    """The best model of `run`, with features of `paths` from the cache, or where there are none from pixels."""
    folder = checkpoint.best_of(run)
    weights = checkpoint.read_weights(folder)
    vocab, answers = load_vocab(folder, "words"), load_answers(folder)
    eye = make_eye(config.eye, pretrained=False) if looks(config) else None
    vectors_VE = weights["question.vectors_VE"]
    model = Answerer(config.network, config.language, eye, len(vocab), len(answers.texts), vectors_VE).to(device).eval()
    checkpoint.load_weights(model, folder)
    sight = blind if eye is None else direct(eye) if paths is None else sight_of(config.eye, eye, paths)
    return System(model, sight, vocab, answers, config.text)


def evaluate(config: Config, run: Path, data: Path, split: str, *, device: torch.device) -> None:
    items = read_questions(data, split)
    system = load_system(config, run, device, [item.image for item in items])
    began = time.monotonic()
    found = say_answers(system, items, config.search.batch)
    decode = {"seconds": time.monotonic() - began, **unforeseen(system, items)}
    evaluated = [judged(item, *best) for item, (best, *_) in zip(items, found, strict=True)]
    floors = {
        "majority": [judged(item, system.answers.prior[""]) for item in items],
        "question_type": [judged(item, system.answers.usual(item)) for item in items],
    }
    if config.search.reader != Path():
        other = load_config(Config, config.search.reader / "config.yaml")
        reader = load_system(other, config.search.reader, device, [item.image for item in items])
        answered = say_answers(reader, items, config.search.batch)
        floors["question_only"] = [judged(item, *best) for item, (best, *_) in zip(items, answered, strict=True)]
    report = write_report(
        run / "evaluate" / split,
        evaluated,
        config.search.metrics(items),
        Provenance("vqa", split, data / f"{split}.jsonl", str(device), decode),
        by=breakdowns(items),
        conditions={"floor": floors},
        options=config.search.options(),
    )
    print(format_table(report))


def judged(item: Item, text: str, logprob: float | None = None, score: float | None = None) -> Evaluated:
    return Evaluated(item.id, item.references, text, logprob, score, image=item.image, prompt=item.question)


def breakdowns(items: Sequence[Item]) -> dict[str, list[str | None]]:
    """By the answer's type, by its being a list, and by the question's type where it is common."""
    kinds = [question_type(item) for item in items]
    common = {kind for kind, count in Counter(kinds).items() if count >= COMMON * len(items)}
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


def unforeseen(system: System, items: Sequence[Item]) -> dict[str, int]:
    """What training had not shown: counts for the report."""
    questions = [plain_question(item.question or "") for item in items]
    ids = [system.vocab.encode(question) for question in questions]
    return {
        "answers_outside_classes": sum(not known for known in system.answers.known(items)),
        "questions_with_unknown_words": sum(UNK in row for row in ids),
        "questions_longer_than_any_seen": sum(len(text.split()) > system.answers.longest for text in questions),
    }


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
    asked = pairs(inputs)
    system = load_system(config, run, device)
    paths, questions = [path for path, _ in asked], [question for _, question in asked]
    found, weights = system.answer(paths, questions, config.search.batch, nbest)
    for question in questions:
        unknown = [w for w in system.vocab.tokens(plain_question(question)) if UNK in system.vocab.encode(w)]
        if unknown:
            print0(f"not in any training question: {', '.join(unknown)} (in {question!r})")
    given = [f"{path}\t{question}" for path, question in asked]
    print_answers(given, [[(answer.text, answer) for answer in answers] for answers in found], as_json=as_json)
    if pictures:
        draw(system, asked, [best.text for best, *_ in found], weights, pictures)


def draw(
    system: System, asked: Sequence[tuple[Path, str]], texts: Sequence[str], weights: Sequence[Tensor], folder: Path
) -> None:
    """A file for every question: the picture, and again for every glimpse. InputError for a model without any."""
    from seqkit.draw import heat_maps

    eye = system.model.eye
    if eye is None or not len(weights[0]):
        raise InputError("`--pictures` must be given for a model with glimpses, got one without")
    for number, ((path, question), text, weights_GS) in enumerate(zip(asked, texts, weights, strict=True), 1):
        steps = [(f"glimpse {g}", weights_S.unflatten(0, eye.grid)) for g, weights_S in enumerate(weights_GS, 1)]
        heat_maps(read_image(path, at_least=480), steps, folder / f"{number:04}.png", title=f"{question}  {text}")


def paper() -> Config:
    """Fukui et al. 2016, section 3.2 and 4.2: MCB with attention."""
    return Config(
        text=Text(max_question=15, answers=3000, targets="sampled"),
        eye=Eye(backbone="resnet152", pixels=448),
        language=Language(embed_dim=300, question_dim=1024, question_layers=2, question_dropout=0.3),
        network=Network(
            fused_dim=16000, attention_dim=512, fused_dropout=0.1, normalise="length", fused_norm=1.0, glimpse_norm=1.0
        ),
        plan=TrainingConfig(
            epochs=50,
            optimizer="adam",
            learning_rate=7e-4,
            betas=(0.9, 0.999),
            clip=0.0,
            patience=5,
            metric="vqa_accuracy",
            goal="max",
        ),
    )


def base() -> Config:
    """One GPU."""
    return dataclasses.replace(
        Config(),
        text=Text(targets="soft"),
        eye=Eye(backbone="resnet101", pixels=448),
        language=Language(question_dim=1024),
        network=Network(fused_dim=16000, fused_dropout=0.3),
        plan=dataclasses.replace(Config().plan, epochs=20, precision="bf16", metric="vqa_accuracy", ema=0.999),
    )


def tiny() -> Config:
    """Drawn scenes on a CPU."""
    return dataclasses.replace(
        Config(),
        eye=Eye(pixels=128, last_stage="blocks4"),
        language=Language(embed_dim=64, question_dim=128, question_dropout=0.0),
        network=Network(fused_dim=1024, attention_dim=128, fused_dropout=0.0, centre=True),
        plan=dataclasses.replace(Config().plan, epochs=10, learning_rate=2e-3),
    )


ROWS = {
    "question": {"fusion": "question"},
    **{
        name: {"fusion": kind, "attention": "none"}
        for name, kind in {
            "sum": "sum",
            "concat": "concat",
            "product": "product",
            "bilinear": "bilinear",
            "mcb": "compact",
            "mlb": "mlb",
            "mutan": "mutan",
            "mfb": "mfb",
        }.items()
    },
    "concat+fc": {"fusion": "concat", "attention": "none", "fusion_layers": "1"},
    "concat+fc+att": {"fusion": "concat", "attention": "glimpses", "fusion_layers": "1"},
    "product+att": {"fusion": "product", "attention": "glimpses"},
    "mcb+att": {"fusion": "compact", "attention": "glimpses"},
}

RECIPE = Recipe(
    "vqa",
    Config,
    {"paper": paper, "base": base, "small": Config, "tiny": tiny},
    train,
    evaluate,
    predict,
    synthetic=lambda: synthetic.cached("vqa"),
    inputs="a picture file, and then its question in quotes",
    rows=ROWS,
    options=lambda config: config.search.options(),
)
