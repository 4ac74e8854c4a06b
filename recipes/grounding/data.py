"""Data of grounding: phrases and candidate boxes to vocabulary, training examples and batches.

K candidate boxes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.box_text import read_box
from seqkit.data.image import read_size
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.vocab import Vocab
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.ranges import Range
from seqkit.recipes.common.image_reader import ImageReader
from seqkit.recipes.common.image_text import has_words, text_ids, train_text_vocab
from seqkit.score.boxes import ENOUGH, iou
from seqkit.train.distributed import print0

Boxes = NDArray[np.float32]


@described
@dataclass(frozen=True)
class TextConfig:
    """Phrases to ids, and to batches."""

    min_count: Annotated[int, Range(min=1)] = 1
    """occurrences in training phrases that put a word into the vocabulary"""
    batch_budget: Annotated[int, Range(min=1)] = 32
    """most phrases of a training batch"""
    workers: Annotated[int, Range(min=0)] = 0
    """processes that read images ahead of training, useful where the image encoder is trained; 0: none"""


@described
class Phrase(NamedTuple):
    """A phrase, its image, and the candidate boxes."""

    image: Path
    text: str
    boxes: Sequence[Sequence[float]]
    """left, top, right, bottom in pixels"""
    size: tuple[int, int]
    """height and width of the image in pixels"""

    def relative_boxes(self) -> Boxes:
        """The boxes (K, 4) as fractions of the image's sides."""
        height, width = self.size
        boxes_K4: Boxes = np.asarray(self.boxes, dtype=np.float32)
        sides_4: Boxes = np.array([width, height, width, height], dtype=np.float32)
        return boxes_K4 / sides_4


def read_phrases(data: Path, split: str, *, answered: bool = True) -> list[Item]:
    """Raises InputError for an item without image, phrase or candidates, or without true box where they must be
    `answered`."""
    path = data / f"{split}.jsonl"
    items = read_manifest(path, needed=("image", "source", "boxes", *(("references",) if answered else ())))
    for item in items:
        if not has_words(item.source or ""):
            raise InputError(f'{path}, id "{item.id}": `source` must have at least one word, got {item.source!r}')
        for text in item.references:
            if read_box(text) is None:
                raise InputError(
                    f'{path}, id "{item.id}": `references` must be boxes as "left top right bottom", got {text!r}'
                )
    return items


def phrase_of(item: Item) -> Phrase:
    assert item.image is not None and item.source is not None
    return Phrase(item.image, item.source, item.boxes, tuple(item.extra.get("extent") or read_size(item.image)))


def candidate_iou(item: Item) -> NDArray[np.float64]:
    """(K,): the largest IoU of each candidate with a true box."""
    truth = np.array([read_box(text) for text in item.references], np.float64)
    overlap_K: NDArray[np.float64] = iou(np.asarray(item.boxes, np.float64), truth).max(1)
    return overlap_K


def candidate_recall(items: Sequence[Item]) -> float:
    """Percentage of the items with a candidate of enough IoU: no model can score more."""
    return 100 * sum(bool(candidate_iou(item).max() >= ENOUGH) for item in items) / len(items)


def train_vocab(text: TextConfig, items: Sequence[Item]) -> Vocab:
    return train_text_vocab([item.source or "" for item in items], text.min_count)


@described
@dataclass(frozen=True)
class Examples:
    """Loads a training example by its place among `kept`; streams: phrase, candidate boxes, the image's features."""

    items: Sequence[Item]
    reader: ImageReader
    kept: Sequence[int]
    """numbers of the items with a target"""
    tokens: Sequence[Sequence[int]]
    targets: Sequence[int]

    def __call__(self, place: int, seed: int) -> Example:
        number = self.kept[place]
        phrase = phrase_of(self.items[number])
        features = tuple(part[0] for part in self.reader([phrase.image]))
        return Example(number, (self.tokens[number], phrase.relative_boxes(), *features), [self.targets[number]])


def train_data(text: TextConfig, vocab: Vocab, items: Sequence[Item], reader: ImageReader, seed: int) -> Data:
    """Every phrase with a candidate of enough IoU, the best one as its target."""
    overlaps = [candidate_iou(item) for item in items]
    kept = [number for number, iou_K in enumerate(overlaps) if iou_K.max() >= ENOUGH]
    if not kept:
        raise InputError(f"training phrases must have a candidate box of IoU {ENOUGH} or more, got none")
    print0(f"{len(kept):,} phrases, {len(items) - len(kept):,} left out: no candidate box of IoU {ENOUGH} or more")
    tokens = [text_ids(vocab, item.source or "") for item in items]
    sizes = [len(tokens[number]) for number in kept]
    batches = BucketBatchSampler(sizes, text.batch_budget * max(sizes), seed=seed, max_items=text.batch_budget)
    examples = Examples(items, reader, kept, tokens, [int(iou_K.argmax()) for iou_K in overlaps])

    def load(chosen: Sequence[Sequence[int]], epoch: int) -> Iterable[Batch]:
        return loader(examples, collate, chosen, workers=text.workers, seed=seed, epoch=epoch)

    return Data(batches.epoch, load)
