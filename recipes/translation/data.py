"""Parallel text: pairs of sentences to vocabularies, examples and batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np

from seqkit.data.batch import Batch, Batches, BucketBatchSampler, Data, Example, collate, loader
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.stored_manifest import open_manifest, sample
from seqkit.data.token_rows import TokenRows
from seqkit.data.vocab import SubwordVocab, Vocab, load_vocab, train_vocab
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.ranges import Range, check_ranges
from seqkit.recipes.common.rare_characters import warn_rare
from seqkit.start import Start
from seqkit.train.distributed import print0

VOCAB_PAIRS = 500_000  # of more, a sample decides the vocabulary


@described
@dataclass(frozen=True)
class TextConfig:
    """Vocabularies and batches."""

    units: Literal["subwords", "words", "characters"] = "subwords"
    """what one token is (both papers: words)"""
    vocab_size: Annotated[int, Range(min=1)] = 6000
    """most entries of a vocabulary; characters are all kept (Bahdanau: 30000; Sutskever: 160000 and 80000)"""
    joint_vocab: bool = True
    """one vocabulary for both languages"""
    merge_dropout: Annotated[float, Range(min=0, below=1)] = 0.0
    """probability that a subword merge is left out in training, a new split every epoch (Provilkov et al. 2020: 0.1)"""
    max_sentence: Annotated[int, Range(min=1)] = 100
    """most tokens of a training sentence, on either side; longer pairs are left out and counted (Bahdanau: 50)"""
    batch_budget: Annotated[int, Range(min=1)] = 1500
    """most tokens of a training batch: its pairs times the longest sentence"""

    def __post_init__(self) -> None:
        check_ranges(self)


class Vocabs(NamedTuple):
    """The two languages' vocabularies, the same one where they are joint."""

    source: Vocab
    target: Vocab

    def save(self, folder: Path) -> None:
        self.source.save(folder, "source")
        self.target.save(folder, "target")


def load_vocabs(folder: Path) -> Vocabs:
    """The vocabularies of a checkpoint; one object where the two are equal."""
    source, target = load_vocab(folder, "source"), load_vocab(folder, "target")
    joint = len(source) == len(target) and all(source.token(i) == target.token(i) for i in range(len(target)))
    return Vocabs(target if joint else source, target)


def trained_vocab(text: TextConfig, texts: Sequence[str]) -> Vocab:
    """A vocabulary of the texts; says which characters are too rare for it."""
    vocab = train_vocab(text.units, texts, text.vocab_size)
    if isinstance(vocab, SubwordVocab):
        warn_rare(vocab, text.vocab_size)
    return vocab


def train_vocabs(text: TextConfig, items: Sequence[Item]) -> Vocabs:
    sources, targets = sources_of(items), [item.references[0] for item in items]
    if text.joint_vocab:
        both = trained_vocab(text, [*sources, *targets])
        return Vocabs(both, both)
    return Vocabs(*(trained_vocab(text, texts) for texts in (sources, targets)))


def start_vocabs(start: Start, text: TextConfig, items: Sequence[Item]) -> Vocabs:
    """The vocabularies of the run to go on from, else those of the items, or of a sample of very many."""
    if len(items) > VOCAB_PAIRS:
        print0(f"vocabulary from {VOCAB_PAIRS:,} of {len(items):,} training pairs, evenly spaced")
    items = list(sample(items, VOCAB_PAIRS))
    if start.assets is None:
        return train_vocabs(text, items)
    known, sides = load_vocabs(start.assets), (sources_of(items), [item.references[0] for item in items])

    def own(name: str, texts: Sequence[str]) -> Vocab:
        return start.vocab(name, text.units, lambda: trained_vocab(text, texts), texts)

    if known.source is known.target:
        both = own("target", [*sides[0], *sides[1]])
        return Vocabs(both, both)
    return Vocabs(own("source", sides[0]), own("target", sides[1]))


def read_pairs(data: Path, split: str) -> list[Item]:
    return read_manifest(data / f"{split}.jsonl", needed=("source", "references"))


def open_pairs(data: Path, split: str) -> Sequence[Item]:
    """The same, read from the file when they are asked for: of millions only their places are in memory."""
    return open_manifest(data / f"{split}.jsonl", needed=("source", "references"))


def read_sources(data: Path, split: str) -> list[Item]:
    """The items of a split that may have no translations."""
    return read_manifest(data / f"{split}.jsonl", needed=("source",))


def sources_of(items: Sequence[Item]) -> list[str]:
    return [item.source or "" for item in items]


@dataclass(frozen=True)
class Examples:
    """Loads a training example: the ids of a pair; a `seed` leaves out merges."""

    items: Sequence[Item]
    vocabs: Vocabs
    merge_dropout: float = 0.0

    def __call__(self, number: int, seed: int | None = None) -> Example:
        item, rng = self.items[number], None if seed is None else np.random.default_rng(seed)

        def encode(vocab: Vocab, text: str) -> list[int]:
            if rng is None or not isinstance(vocab, SubwordVocab):
                return vocab.encode(text)
            return vocab.encode(text, sample=self.merge_dropout, rng=rng)

        source = encode(self.vocabs.source, item.source or "")
        return Example(number, (source,), encode(self.vocabs.target, item.references[0]))


def train_data(text: TextConfig, vocabs: Vocabs, items: Sequence[Item], seed: int) -> Data:
    """Pairs in batches of like length; with merge dropout every epoch splits the words anew."""
    if text.merge_dropout and text.units != "subwords":
        raise InputError(f"`merge_dropout` must be 0 for {text.units}, got {text.merge_dropout}: it splits subwords")

    load = Examples(items, vocabs, text.merge_dropout)
    sources, targets = TokenRows(len(vocabs.source)), TokenRows(len(vocabs.target))
    for item in items:
        sources.append(vocabs.source.encode(item.source or ""))
        targets.append(vocabs.target.encode(item.references[0]))
    sizes_N2 = np.stack([sources.lengths(), targets.lengths() + 1], 1)
    kept = np.flatnonzero((sizes_N2.min(1) > 0) & (sizes_N2.max(1) <= text.max_sentence)).astype(np.int32)
    if not len(kept):
        raise InputError(f"training pairs must have 1 to {text.max_sentence} tokens a side, got none of {len(items)}")
    print0(
        f"{len(kept):,} training pairs, {len(items) - len(kept):,} left out for more than {text.max_sentence} tokens"
    )
    batches = BucketBatchSampler(sizes_N2[kept], text.batch_budget, seed=seed)

    def epoch(number: int) -> Batches:
        return batches.epoch(number).of(kept)

    def read(batches: Sequence[Sequence[int]], epoch: int) -> Iterable[Batch]:
        if text.merge_dropout:
            return loader(load, collate, batches, seed=seed, epoch=epoch)
        return (collate([Example(n, (sources[n],), targets[n]) for n in batch]) for batch in batches)

    return Data(epoch, read)
