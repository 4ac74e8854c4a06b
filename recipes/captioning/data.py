"""Captions for the captioning recipe: items to vocabulary, examples and batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqkit.config import at_least_one
from seqkit.data.batch import Batch, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.vocab import Vocab, WordVocab
from seqkit.errors import InputError
from seqkit.recipes.common.image_encoder import Sight
from seqkit.score.ptb import tokenize
from seqkit.train.distributed import print0


@dataclass(frozen=True)
class Text:
    """From captions to ids, and to batches."""

    min_count: int = 5
    """uses in training that make a word part of the vocabulary (Show and Tell: 5)"""
    max_caption: int = 30
    """longer training captions are left out and counted"""
    batch_captions: int = 64
    """captions a batch (Show and Tell: 32)"""
    workers: int = 0
    """processes that read pictures ahead of training, worth it where the eye learns; 0: training reads them itself"""

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
    print0(
        f"{len(kept):,} captions of {len(items):,} pictures, {len(pairs) - len(kept):,} left out: none or more than "
        f"{text.max_caption} words"
    )
    return _data(text, kept, items, sight, seed)


def picture_data(text: Text, items: Sequence[Item], sight: Sight, seed: int) -> Data:
    """Every picture once, without a caption: what a model that is rewarded for its own captions learns from."""
    return _data(text, [(number, []) for number in range(len(items))], items, sight, seed)


def _data(text: Text, pairs: Sequence[tuple[int, list[int]]], items: Sequence[Item], sight: Sight, seed: int) -> Data:
    """Batches of pairs of a picture's number and a caption, of like length."""
    sizes = [len(ids) + 1 for _, ids in pairs]
    batches = BucketBatchSampler(sizes, text.batch_captions * max(sizes), seed=seed, max_items=text.batch_captions)

    def load(pair: int, _: int) -> Example:
        number, ids = pairs[pair]
        return Example(number, tuple(part[0] for part in sight([items[number].image])), ids)

    def read(chosen: Sequence[Sequence[int]], epoch: int) -> Iterable[Batch]:
        return loader(load, collate, chosen, workers=text.workers, seed=seed, epoch=epoch)

    return Data(batches.epoch, read)
