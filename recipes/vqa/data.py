"""Questions about pictures, for the recipe that answers them: items to vocabularies, examples and batches."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from seqkit.config import at_least_one
from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.text import normalize_whitespace
from seqkit.data.vocab import Vocab, WordVocab
from seqkit.errors import InputError
from seqkit.recipes.common.image_encoder import Sight
from seqkit.train.distributed import print0

LIKE = 2  # first words of a question that make its type, where the corpus names none


@dataclass(frozen=True)
class Text:
    """From questions and answers to ids, and to batches."""

    min_count: int = 1
    """uses in training that make a word of a question part of the vocabulary"""
    max_question: int = 0
    """words of a question that are read, the first ones; 0: all (Fukui et al.: 15)"""
    answers: int = 3000
    """the most frequent answers, which are the classes to choose from (Fukui et al.: 3000)"""
    targets: Literal["sampled", "soft", "frequent"] = "frequent"
    """of several human answers: one drawn anew each time (Fukui et al.), each by its consensus (Teney et al. 2018,
    arXiv:1708.02711), or the first, which data preparation makes the most frequent one"""
    glove: Path = Path()
    """file of word vectors, a word and its numbers a line, joined to the learnt ones (Fukui et al.: GloVe); empty: none
    """
    batch_questions: int = 64
    """questions a batch (Fukui et al.: 64)"""
    workers: int = 0
    """processes that read pictures ahead of training, worth it where the eye learns; 0: training reads them itself"""

    def __post_init__(self) -> None:
        at_least_one(self, "min_count", "answers", "batch_questions")


class Answers(NamedTuple):
    """The classes, and what can be said without looking."""

    texts: tuple[str, ...]
    prior: Mapping[str, str]  # the usual answer to a type of question; under "", to any
    longest: int  # words of a training question

    def known(self, items: Iterable[Item]) -> list[list[int]]:
        """For every item the classes of its references that have one."""
        numbers = {text: number for number, text in enumerate(self.texts)}
        return [[numbers[t] for t in map(plain_answer, item.references) if t in numbers] for item in items]

    def usual(self, item: Item) -> str:
        """The usual answer to the item's type of question."""
        return self.prior.get(question_type(item), self.prior[""])

    def save(self, folder: Path) -> None:
        with atomic_write(folder / "answers.json") as file:
            file.write(json.dumps(self._asdict(), ensure_ascii=False, indent=0).encode())


def load_answers(folder: Path) -> Answers:
    values = json.loads((folder / "answers.json").read_bytes())
    return Answers(tuple(values["texts"]), values["prior"], values["longest"])


def plain_question(question: str) -> str:
    return normalize_whitespace(question).lower().rstrip(" ?")


def plain_answer(answer: str) -> str:
    return normalize_whitespace(answer).lower()


def question_type(item: Item) -> str:
    """As the corpus names it, else the question's first words."""
    named = item.extra.get("question_type")
    return str(named) if named else " ".join(plain_question(item.question or "").split()[:LIKE])


def read_questions(data: Path, split: str) -> list[Item]:
    """Raises InputError for an item without picture, question or answer."""
    path = data / f"{split}.jsonl"
    items = read_manifest(path, needed=("image", "question", "references"))
    for item in items:
        if not plain_question(item.question or ""):
            raise InputError(f'{path}, id "{item.id}": `question` must have at least one word, got {item.question!r}')
    return items


def train_words(text: Text, items: Sequence[Item]) -> Vocab:
    return WordVocab.train((plain_question(item.question or "") for item in items), min_count=text.min_count)


def train_answers(text: Text, items: Sequence[Item]) -> Answers:
    """The classes by their frequency, those of equal frequency by code point."""
    counts: Counter[str] = Counter()
    by_type: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        for answer in map(plain_answer, item.references):
            counts[answer] += 1
            by_type[question_type(item)][answer] += 1
    order = sorted(counts, key=lambda answer: (-counts[answer], answer))
    prior = {kind: min(found, key=lambda answer: (-found[answer], answer)) for kind, found in by_type.items()}
    longest = max(len(plain_question(item.question or "").split()) for item in items)
    return Answers(tuple(order[: text.answers]), {**prior, "": order[0]}, longest)


def read_vectors(path: Path, vocab: Vocab) -> np.ndarray:
    """The vectors (V, E) of a GloVe file for the tokens of `vocab`, zeros for those it lacks.

    Raises InputError for a line that is not a word and numbers, or has another number of them than the first.
    """
    if not path.is_file():
        raise InputError(f"`glove` must be a file of word vectors, got {path}, which is none")
    numbers = {vocab.token(i): i for i in range(len(vocab))}
    rows: dict[int, np.ndarray] = {}
    width = 0
    with path.open("rb") as file:
        for line, content in enumerate(file, 1):
            word, *parts = content.decode("utf-8", "replace").rstrip("\n").split(" ")
            width = width or len(parts)
            if len(parts) != width or not width:
                raise InputError(f"{path}, line {line}: must be a word and {width or 'its'} numbers, got {len(parts)}")
            if word in numbers:
                try:
                    rows[numbers[word]] = np.array(parts, np.float32)
                except ValueError:
                    raise InputError(f"{path}, line {line}: must be a word and numbers, got {parts[0]!r}") from None
    vectors_VE = np.zeros((len(vocab), width), np.float32)
    for number, row in rows.items():
        vectors_VE[number] = row
    print0(f"{path.name}: vectors of {width} numbers for {len(rows):,} of {len(vocab):,} words")
    return vectors_VE


def question_ids(text: Text, vocab: Vocab, question: str) -> list[int]:
    """Ids of a question's words, as many as are to be read."""
    return vocab.encode(plain_question(question))[: text.max_question or None]


def train_data(text: Text, vocab: Vocab, answers: Answers, items: Sequence[Item], sight: Sight, seed: int) -> Data:
    """Every question that has a known answer, in batches of questions of like length; `Batch.streams` are the
    question and what is seen, `Batch.targets_BT` its known answers, of which only `soft` targets has several."""
    known = answers.known(items)
    kept = [number for number, ids in enumerate(known) if ids]
    if not kept:
        raise InputError("training questions must have at least one answer among the classes, got none")
    print0(
        f"{len(kept):,} questions, {len(items) - len(kept):,} left out: no answer of theirs is one of "
        f"{len(answers.texts):,} classes"
    )
    questions = [question_ids(text, vocab, item.question or "") for item in items]
    sizes = [len(questions[number]) for number in kept]
    budget = text.batch_questions * max(sizes)
    batches = BucketBatchSampler(sizes, budget, seed=seed, max_items=text.batch_questions)

    def load(place: int, draw: int) -> Example:
        number = kept[place]
        ids = known[number]
        target = {"sampled": [ids[draw % len(ids)]], "soft": ids, "frequent": ids[:1]}[text.targets]
        return Example(number, (questions[number], *(part[0] for part in sight([items[number].image]))), target)

    def read(chosen: Sequence[Sequence[int]], epoch: int) -> Iterable[Batch]:
        return loader(load, collate, chosen, workers=text.workers, seed=seed, epoch=epoch)

    return Data(batches.epoch, read)


def pairs(inputs: Sequence[str]) -> list[tuple[Path, str]]:
    """What `predict` is given: pictures and texts about them, which alternate, or stand on a line with a tab between.

    Raises InputError where one has no other, where a text holds no word, and where the two are the wrong way round.
    """
    parts = [part for line in inputs for part in line.split("\t")]
    found = [(Path(path), text) for path, text in zip(parts[::2], parts[1::2], strict=False)]
    for path, text in found:
        if not path.is_file() and Path(text).is_file():
            raise InputError(f"INPUT must be a picture and then a text about it, got {str(path)!r} before {text!r}")
        if not plain_question(text):
            raise InputError(f"the text about {path} must have at least one word, got {text!r}")
    if len(parts) % 2 or not parts:
        raise InputError(f"INPUT must be pictures and texts in turn, got {len(parts)} in all; put each text in quotes")
    return found
