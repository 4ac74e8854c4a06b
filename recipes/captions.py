"""Captions for the captioning recipe: items to vocabulary, examples and batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.pictures import Sight
from seqkit.config import at_least_one
from seqkit.data.batch import Batch, Example, LengthBatches, collate
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.vocab import Vocab, WordVocab
from seqkit.errors import InputError
from seqkit.score.ptb import tokenize
from seqkit.train.fit import say
from seqkit.train.step import Data


@dataclass(frozen=True)
class Text:
    """From captions to ids, and to batches."""

    min_count: int = 5
    """uses in training that make a word part of the vocabulary (Show and Tell: 5)"""
    max_caption: int = 30
    """longer training captions are left out and counted"""
    batch_captions: int = 64
    """captions a batch (Show and Tell: 32)"""

    def __post_init__(self) -> None:
        at_least_one(self, "min_count", "max_caption", "batch_captions")


def plain(caption: str) -> str:
    """A caption as it is learnt: Penn Treebank words in lower case, without punctuation."""
    return " ".join(tokenize(caption))


def read_captions(data: Path, split: str) -> list[Item]:
    return read_manifest(data / f"{split}.jsonl", needed=("image", "references"))


def train_words(text: Text, items: Sequence[Item]) -> Vocab:
    return WordVocab.train((plain(caption) for item in items for caption in item.references), min_count=text.min_count)


def train_data(text: Text, vocab: Vocab, items: Sequence[Item], sight: Sight, seed: int) -> Data:
    """Every caption with its picture, in batches of captions of like length; `Batch.items` are places in `items`."""
    pairs = [(n, vocab.encode(plain(caption))) for n, item in enumerate(items) for caption in item.references]
    kept = [(number, ids) for number, ids in pairs if 0 < len(ids) <= text.max_caption]
    if not kept:
        raise InputError(f"training captions must have 1 to {text.max_caption} words, got none of {len(pairs)}")
    say(f"{len(kept):,} captions of {len(items):,} pictures, {len(pairs) - len(kept):,} left out: none or more than "
        f"{text.max_caption} words")
    sizes = [len(ids) + 1 for _, ids in kept]
    batches = LengthBatches(sizes, text.batch_captions * text.max_caption * 2, seed=seed, max_items=text.batch_captions)
    return Data(batches.epoch, lambda chosen, _: _read([[kept[n] for n in batch] for batch in chosen], items, sight))


def picture_data(text: Text, items: Sequence[Item], sight: Sight, seed: int) -> Data:
    """Every picture once, without a caption: what a model that is rewarded for its own captions learns from."""
    batches = LengthBatches([1] * len(items), text.batch_captions, seed=seed)
    return Data(batches.epoch, lambda chosen, _: _read([[(n, []) for n in batch] for batch in chosen], items, sight))


def _read(batches: Iterable[Sequence[tuple[int, list[int]]]], items: Sequence[Item], sight: Sight) -> Iterator[Batch]:
    for batch in batches:
        seen = sight([items[number].image for number, _ in batch])
        rows = zip(*(part.unbind() for part in seen), strict=True)
        yield collate([Example(number, parts, ids) for (number, ids), parts in zip(batch, rows, strict=True)])
