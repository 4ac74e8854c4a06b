"""Phrases and candidate boxes for the grounding recipe: items to examples and batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.config import at_least_one
from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.image import read_size
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.vocab import Vocab, WordVocab
from seqkit.errors import InputError
from seqkit.recipes.common.image_encoder import Sight
from seqkit.recipes.vqa.data import plain_question
from seqkit.score.boxes import ENOUGH, iou, read_box
from seqkit.train.distributed import print0

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class Text:
    """From phrases to ids, and to batches."""

    min_count: int = 1
    """uses in training that make a word part of the vocabulary"""
    batch_phrases: int = 32
    """phrases a batch"""
    workers: int = 0
    """processes that read pictures ahead of training, worth it where the eye learns; 0: training reads them itself"""

    def __post_init__(self) -> None:
        at_least_one(self, "min_count", "batch_phrases")


class Asked(NamedTuple):
    """A phrase, its picture, and the boxes to choose from."""

    image: Path
    phrase: str
    boxes: Sequence[Sequence[float]]  # left, top, right, bottom in pixels
    extent: tuple[int, int]  # height and width of the picture in pixels

    def shares(self) -> Boxes:
        """The boxes (K, 4) as shares of the picture's sides."""
        height, width = self.extent
        return np.asarray(self.boxes, np.float32) / np.array([width, height, width, height], np.float32)


def read_phrases(data: Path, split: str) -> list[Item]:
    """Raises InputError for an item without picture, phrase, candidates or true box."""
    path = data / f"{split}.jsonl"
    items = read_manifest(path, needed=("image", "source", "boxes", "references"))
    for item in items:
        if not plain_question(item.source or ""):
            raise InputError(f'{path}, id "{item.id}": `source` must have at least one word, got {item.source!r}')
        for text in item.references:
            if read_box(text) is None:
                raise InputError(
                    f'{path}, id "{item.id}": `references` must be boxes as "left top right bottom", got {text!r}'
                )
    return items


def asked(item: Item) -> Asked:
    assert item.image is not None and item.source is not None
    return Asked(item.image, item.source, item.boxes, tuple(item.extra.get("extent") or read_size(item.image)))


def overlap(item: Item) -> NDArray[np.float64]:
    """(K,): how well each candidate fits the true box that it fits best."""
    truth = np.array([read_box(text) for text in item.references], np.float64)
    return iou(np.asarray(item.boxes, np.float64), truth).max(1)


def reachable(items: Sequence[Item]) -> float:
    """Share, in percent, of the items of which some candidate is right."""
    return 100 * sum(bool(overlap(item).max() >= ENOUGH) for item in items) / len(items)


def train_words(text: Text, items: Sequence[Item]) -> Vocab:
    return WordVocab.train((plain_question(item.source or "") for item in items), min_count=text.min_count)


def train_data(text: Text, vocab: Vocab, items: Sequence[Item], sight: Sight, seed: int) -> Data:
    """Every phrase of which a candidate is right, with the best one as its target; streams are phrase, boxes and what
    is seen."""
    best = [int(overlap(item).argmax()) for item in items]
    kept = [n for n, item in enumerate(items) if overlap(item)[best[n]] >= ENOUGH]
    if not kept:
        raise InputError(f"training phrases must have a candidate box of IoU {ENOUGH} or more, got none")
    print0(f"{len(kept):,} phrases, {len(items) - len(kept):,} left out: no candidate box of IoU {ENOUGH} or more")
    phrases = [vocab.encode(plain_question(item.source or "")) for item in items]
    sizes = [len(phrases[number]) for number in kept]
    most = text.batch_phrases
    batches = BucketBatchSampler(sizes, most * max(sizes), seed=seed, max_items=most)

    def load(place: int, _: int) -> Example:
        number = kept[place]
        one = asked(items[number])
        seen = tuple(part[0] for part in sight([one.image]))
        return Example(number, (phrases[number], one.shares(), *seen), [best[number]])

    def read(chosen: Sequence[Sequence[int]], epoch: int) -> Iterable[Batch]:
        return loader(load, collate, chosen, workers=text.workers, seed=seed, epoch=epoch)

    return Data(batches.epoch, read)
