"""Data of captioning: items to vocabulary, training examples and batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.vocab import Vocab, WordVocab
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.ranges import Range
from seqkit.recipes.common.image_reader import ImageReader
from seqkit.score.caption import caption_tokens
from seqkit.score.language import tokenizer_for
from seqkit.score.language_names import SPACED
from seqkit.train.distributed import print0


@described
@dataclass(frozen=True)
class TextConfig:
    """Captions to ids, and to batches."""

    min_count: Annotated[int, Range(min=1)] = 5
    """occurrences in training captions that put a word into the vocabulary (Show and Tell: 5)"""
    max_caption: Annotated[int, Range(min=1)] = 30
    """most words of a training caption; longer ones are left out and counted"""
    batch_budget: Annotated[int, Range(min=1)] = 64
    """most captions of a training batch (Show and Tell: 32)"""
    workers: Annotated[int, Range(min=0)] = 0
    """processes that read images ahead of training, useful where the image encoder is trained; 0: none"""


def normalize_caption(caption: str, characters: bool = False) -> str:
    """Penn Treebank words in lower case, without punctuation; letters of scripts without spaces as `characters`."""
    return " ".join(caption_tokens(caption, characters))


def without_spaces(items: Sequence[Item]) -> bool:
    """Whether the captions are of a script without spaces, whose words are then its characters."""
    return tokenizer_for([caption for item in items for caption in item.references]) != SPACED


def read_captions(data: Path, split: str) -> list[Item]:
    return read_manifest(data / f"{split}.jsonl", needed=("image", "references"))


def read_images(data: Path, split: str) -> list[Item]:
    """The items of a split that may have no captions."""
    return read_manifest(data / f"{split}.jsonl", needed=("image",))


def train_vocab(text: TextConfig, items: Sequence[Item]) -> Vocab:
    characters = without_spaces(items)
    captions = (normalize_caption(caption, characters) for item in items for caption in item.references)
    return WordVocab.train(captions, min_count=text.min_count)


@described
@dataclass(frozen=True)
class Examples:
    """Loads a training example: the features of an image, and a caption; `index` is the item's number."""

    items: Sequence[Item]
    reader: ImageReader
    pairs: Sequence[tuple[int, Sequence[int]]]
    """an item's number, and the ids of a caption of it"""

    def __call__(self, pair: int, seed: int) -> Example:
        number, ids = self.pairs[pair]
        image = self.items[number].image
        assert image is not None
        return Example(number, tuple(part[0] for part in self.reader([image])), ids)


def train_data(text: TextConfig, vocab: Vocab, items: Sequence[Item], reader: ImageReader, seed: int) -> Data:
    """Every caption with its image, in batches of captions of similar length."""
    characters = without_spaces(items)
    pairs = [
        (number, vocab.encode(normalize_caption(caption, characters)))
        for number, item in enumerate(items)
        for caption in item.references
    ]
    kept = [(number, ids) for number, ids in pairs if 0 < len(ids) <= text.max_caption]
    if not kept:
        raise InputError(f"training captions must have 1 to {text.max_caption} words, got none of {len(pairs)}")
    print0(
        f"{len(kept):,} captions of {len(items):,} images, {len(pairs) - len(kept):,} left out: none or more than "
        f"{text.max_caption} words"
    )
    return _batched(text, Examples(items, reader, kept), seed)


def image_data(text: TextConfig, items: Sequence[Item], reader: ImageReader, seed: int) -> Data:
    """Every image once, without a caption: the input of self-critical training."""
    return _batched(text, Examples(items, reader, [(number, []) for number in range(len(items))]), seed)


def _batched(text: TextConfig, examples: Examples, seed: int) -> Data:
    sizes = [len(ids) + 1 for _, ids in examples.pairs]
    batches = BucketBatchSampler(sizes, text.batch_budget * max(sizes), seed=seed, max_items=text.batch_budget)

    def load(chosen: Sequence[Sequence[int]], epoch: int) -> Iterable[Batch]:
        return loader(examples, collate, chosen, workers=text.workers, seed=seed, epoch=epoch)

    return Data(batches.epoch, load)
