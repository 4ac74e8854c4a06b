"""Data of visual question answering: items to vocabulary, answer classes, training examples and batches."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.files import atomic_write, read_json
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.text import normalize_whitespace
from seqkit.data.vocab import Vocab
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.ranges import Range
from seqkit.recipes.common.image_reader import ImageReader
from seqkit.recipes.common.image_text import has_words, separate_words, text_ids, train_text_vocab
from seqkit.score.vqa import normalize_answer, soft_scores
from seqkit.start import Start
from seqkit.train.distributed import print0

TYPE_WORDS = 2  # first words of a question that are its type, where the corpus names none


@described
@dataclass(frozen=True)
class TextConfig:
    """Questions and answers to ids, and to batches."""

    min_count: Annotated[int, Range(min=1)] = 1
    """occurrences in training questions that put a word into the vocabulary"""
    max_question: Annotated[int | None, Range(min=1)] = None
    """words of a question that are read, the first ones, or letters of a script without spaces; null: all (Fukui et
    al.: 15)"""
    answers: Annotated[int, Range(min=1)] = 3000
    """number of classes: the most frequent answers (Fukui et al.: 3000)"""
    targets: Literal["sampled", "soft", "frequent"] = "frequent"
    """of several human answers: one sampled anew each epoch (Fukui et al.), every one with its consensus score (Teney
    et al. 2018, arXiv:1708.02711), or the most frequent one"""
    glove: Path | None = None
    """file of word vectors, GloVe's or fastText's .vec, joined to the learned ones (Fukui et al.: GloVe); null: none
    """
    batch_budget: Annotated[int, Range(min=1)] = 64
    """most questions of a training batch (Fukui et al.: 64)"""
    workers: Annotated[int, Range(min=0)] = 0
    """processes that read images ahead of training, useful where the image encoder is trained; 0: none"""


class Answers(NamedTuple):
    """The answer classes, and what can be answered without the image.

    Two answers are one class where `answer_key` is the same; its text is the way in which most people wrote it.
    """

    texts: tuple[str, ...]
    type_priors: Mapping[str, str]  # the most frequent answer of each question type; under "", of all questions
    max_question: int  # words of the longest training question

    def class_ids(self, items: Iterable[Item]) -> list[list[int]]:
        """For every item the classes of those of its references that have one, in their order."""
        numbers = {answer_key(text): number for number, text in enumerate(self.texts)}
        return [[numbers[key] for key in map(answer_key, i.references) if key in numbers] for i in items]

    def soft_targets(self, items: Iterable[Item]) -> list[tuple[list[int], list[float]]]:
        """For every item its classes, each once, and their consensus scores from 0 to 1."""
        numbers = {answer_key(text): number for number, text in enumerate(self.texts)}
        scored = [soft_scores([clean_answer(text) for text in item.references]) for item in items]
        known = [{numbers[key]: score for key, score in scores.items() if key in numbers} for scores in scored]
        return [(list(scores), list(scores.values())) for scores in known]

    def type_prior(self, item: Item) -> str:
        """The most frequent training answer to the item's type of question."""
        return self.type_priors.get(question_type(item), self.type_priors[""])

    def save(self, folder: Path) -> None:
        with atomic_write(folder / "answers.json") as file:
            file.write(json.dumps(self._asdict(), ensure_ascii=False, indent=0).encode())


def load_answers(folder: Path) -> Answers:
    """The answer classes of a checkpoint. Raises InputError for a missing or damaged file."""
    path = folder / "answers.json"
    values = read_json(path)
    known: dict[str, Any] = values if isinstance(values, dict) else {}
    texts, priors, longest = known.get("texts"), known.get("type_priors"), known.get("max_question", -1)
    listed = isinstance(texts, list) and bool(texts) and all(isinstance(text, str) for text in texts)
    typed = isinstance(priors, dict) and "" in priors and all(isinstance(text, str) for text in priors.values())
    counted = isinstance(longest, int) and 0 <= longest < 1 << 31
    if not (listed and typed and counted and texts and priors):
        raise InputError(f"{path}: must have `texts`, `type_priors` and `max_question`, got a damaged file")
    return Answers(tuple(texts), priors, longest)


def clean_answer(answer: str) -> str:
    """Lower case, single spaces."""
    return normalize_whitespace(answer).lower()


def answer_key(answer: str) -> str:
    """What the consensus metric compares: the same for `two`, `Two.` and `2`."""
    return normalize_answer(clean_answer(answer))


def question_type(item: Item) -> str:
    """As the corpus names it, else the question's first words."""
    named = item.extra.get("question_type")
    return str(named) if named else " ".join(separate_words(item.question or "").split()[:TYPE_WORDS])


def read_questions(data: Path, split: str, *, answered: bool = True) -> list[Item]:
    """Raises InputError for an item without image or question, or without answer where they must be `answered`."""
    path = data / f"{split}.jsonl"
    items = read_manifest(path, needed=("image", "question", *(("references",) if answered else ())))
    for item in items:
        if not has_words(item.question or ""):
            raise InputError(f'{path}, id "{item.id}": `question` must have at least one word, got {item.question!r}')
    return items


def train_vocab(text: TextConfig, items: Sequence[Item]) -> Vocab:
    return train_text_vocab([item.question or "" for item in items], text.min_count)


def train_answers(text: TextConfig, items: Sequence[Item]) -> Answers:
    """The most frequent classes; of equal frequency the first by code point."""
    written: dict[str, Counter[str]] = defaultdict(Counter)
    by_type: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        for answer in map(clean_answer, item.references):
            key = normalize_answer(answer)
            written[key][answer] += 1
            by_type[question_type(item)][key] += 1
    texts = {key: _most_frequent(counts) for key, counts in written.items()}
    order = sorted(written, key=lambda key: (-written[key].total(), texts[key]))
    priors = {kind: min(counts, key=lambda key: (-counts[key], texts[key])) for kind, counts in by_type.items()}
    longest = max(len(separate_words(item.question or "").split()) for item in items)
    type_priors = {kind: texts[key] for kind, key in {**priors, "": order[0]}.items()}
    return Answers(tuple(texts[key] for key in order[: text.answers]), type_priors, longest)


def start_answers(start: Start, text: TextConfig, items: Sequence[Item]) -> Answers:
    """The answers of the run to go on from, with those new in the items where they are to be added; else the items'."""
    if start.assets is None:
        return train_answers(text, items)
    answers = load_answers(start.assets)
    if not start.init:
        return answers
    known = set(map(answer_key, answers.texts))
    new = [text for text in train_answers(text, items).texts if answer_key(text) not in known]
    return answers._replace(texts=(*answers.texts, *start.new("answers", new)))


def _most_frequent(counts: Counter[str]) -> str:
    return min(counts, key=lambda text: (-counts[text], text))


def question_ids(text: TextConfig, vocab: Vocab, question: str) -> list[int]:
    """Ids of a question's words, as many as are read."""
    return text_ids(vocab, question)[: text.max_question]


@described
@dataclass(frozen=True)
class Examples:
    """Loads a training example by its place among `kept`; streams: the question, for soft targets the scores of the
    target's classes, and the image's features."""

    text: TextConfig
    items: Sequence[Item]
    reader: ImageReader
    kept: Sequence[int]
    """numbers of the items that have a target"""
    questions: Sequence[Sequence[int]]
    classes: Sequence[Sequence[int]]
    scores: Sequence[Sequence[float]]

    def __call__(self, place: int, draw: int) -> Example:
        number = self.kept[place]
        image = self.items[number].image
        assert image is not None
        features = tuple(part[0] for part in self.reader([image]))
        ids = list(self.classes[number])
        if self.text.targets == "soft":
            scores = np.array(self.scores[number], np.float32)
            return Example(number, (self.questions[number], scores, *features), ids)
        chosen = ids[draw % len(ids)] if self.text.targets == "sampled" else max(ids, key=ids.count)
        return Example(number, (self.questions[number], *features), [chosen])


def train_data(
    text: TextConfig, vocab: Vocab, answers: Answers, items: Sequence[Item], reader: ImageReader, seed: int
) -> Data:
    """Every question with an answer among the classes, in batches of questions of similar length."""
    soft = answers.soft_targets(items) if text.targets == "soft" else []
    classes = [ids for ids, _ in soft] if soft else answers.class_ids(items)
    kept = [number for number, ids in enumerate(classes) if ids]
    if not kept:
        raise InputError("training questions must have at least one answer among the classes, got none")
    print0(
        f"{len(kept):,} training questions, {len(items) - len(kept):,} left out: none of their answers is among the "
        f"{len(answers.texts):,} classes"
    )
    questions = [question_ids(text, vocab, item.question or "") for item in items]
    sizes = [len(questions[number]) for number in kept]
    batches = BucketBatchSampler(sizes, text.batch_budget * max(sizes), seed=seed, max_items=text.batch_budget)
    examples = Examples(text, items, reader, kept, questions, classes, [scores for _, scores in soft])

    def load(chosen: Sequence[Sequence[int]], epoch: int) -> Iterable[Batch]:
        return loader(examples, collate, chosen, workers=text.workers, seed=seed, epoch=epoch)

    return Data(batches.epoch, load)
