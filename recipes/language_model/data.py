"""Text of a language model: lines and references, cut into symbols, to vocabularies and batches."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from seqkit.data.batch import BucketBatchSampler, Data, Example, collate
from seqkit.data.files import read_lines
from seqkit.data.stored_manifest import open_manifest
from seqkit.data.text import normalize
from seqkit.data.token_rows import TokenRows
from seqkit.data.vocab import SPECIALS, UNK, CharVocab, SubwordVocab, Vocab, WordVocab, load_vocab
from seqkit.decode import is_ngram
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.find_run import find_run
from seqkit.ranges import Range, check_ranges
from seqkit.recipes.common.rare_characters import warn_rare
from seqkit.start import Start
from seqkit.train.checkpoint import find_checkpoint
from seqkit.train.distributed import print0

HELD_OUT = 20  # of a plain file every 20th line validates a recurrent model
VOCAB_TEXTS = 1_000_000  # of more, a sample decides the vocabulary of a recurrent model
KINDS = {"characters": CharVocab, "words": WordVocab, "subwords": SubwordVocab}


@described
@dataclass(frozen=True)
class TextConfig:
    """From text to symbols."""

    units: Literal["characters", "subwords", "words"] = "characters"
    """what one symbol is; words are what stands between spaces"""
    subword_run: Path | None = None
    """run whose target vocabulary segments text into subwords; null: subwords of the training text"""
    vocab_size: Annotated[int, Range(min=len(SPECIALS) + 1)] = 10000
    """most subwords, or words of the recurrent model, the most frequent; characters are all kept"""
    normalize: tuple[Literal["normalize_whitespace", "lower", "strip_punctuation"], ...] = ("normalize_whitespace",)
    """normalization of a text before it is segmented, in this order"""
    batch_budget: Annotated[int, Range(min=1)] = 2000
    """most symbols of a training batch: its texts times the longest"""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.subword_run and self.units != "subwords":
            raise InputError(f"`subword_run` must be null for units {self.units}, got {self.subword_run}")


def read_texts(data: Path, split: str) -> list[str]:
    """The lines of a plain file, or every reference of the manifest `split` in a folder."""
    if not data.exists():
        raise InputError(f"{data}: no such file or folder; must be text, one sentence a line, or a folder of manifests")
    if not data.is_dir():
        if is_ngram(data):
            raise InputError(f"{data}: must be text, one sentence a line, got an n-gram model")
        return [text for _, text in read_lines(data)]
    items = open_manifest(data / f"{split}.jsonl", needed=("references",))
    return [text for item in items for text in item.references]


def read_splits(data: Path) -> tuple[list[str], list[str]]:
    """Texts for training and for validation: `train` and `val` of a folder, or the lines of one file."""
    if data.is_dir():
        return read_texts(data, "train"), read_texts(data, "val")
    texts = read_texts(data, "train")
    return [text for place, text in enumerate(texts) if place % HELD_OUT], texts[::HELD_OUT]


def segment(text: TextConfig, subwords: Vocab | None, line: str) -> list[str]:
    """The symbols of one text."""
    line = normalize(line, text.normalize)
    if subwords:
        return subwords.tokens(line)
    return list(line) if text.units == "characters" else line.split()


def find_subwords(text: TextConfig, texts: Sequence[str]) -> Vocab:
    """The vocabulary that segments into subwords: of `subword_run`, or trained."""
    if text.subword_run:
        run = find_run(text.subword_run)
        return load_checked(text, find_checkpoint(run / "best") or run)
    vocab = SubwordVocab.train([normalize(line, text.normalize) for line in texts], text.vocab_size)
    warn_rare(vocab, text.vocab_size)
    return vocab


def start_vocab(start: Start, text: TextConfig, texts: Sequence[str]) -> Vocab:
    """The vocabulary of the run to go on from, else that of the texts, or of a sample of very many."""
    if len(texts) > VOCAB_TEXTS:
        print0(f"vocabulary from {VOCAB_TEXTS:,} of {len(texts):,} texts, evenly spaced")
        texts = [texts[place] for place in np.linspace(0, len(texts) - 1, VOCAB_TEXTS).astype(int)]
    if text.units == "subwords":
        lines = [normalize(line, text.normalize) for line in texts]
        return start.vocab("target", text.units, lambda: find_subwords(text, texts), lines)
    return start.vocab("target", text.units, lambda: make_vocab(text, (segment(text, None, line) for line in texts)))


def load_checked(text: TextConfig, folder: Path) -> Vocab:
    """The vocabulary of a checkpoint; InputError where its units are others."""
    vocab = load_vocab(folder, "target")
    if not isinstance(vocab, KINDS[text.units]):
        raise InputError(f"`units` must be those of the vocabulary in {folder}, got {text.units}")
    return vocab


def make_vocab(text: TextConfig, rows: Iterable[Sequence[str]]) -> Vocab:
    """A vocabulary of the characters or words in `rows`, the most frequent first."""
    counts = Counter(symbol for row in rows for symbol in row)
    ordered = sorted((symbol for symbol in counts if symbol not in SPECIALS), key=lambda s: (-counts[s], s))
    if text.units == "characters":
        return CharVocab(ordered)
    return WordVocab(ordered[: text.vocab_size - len(SPECIALS)])


def symbols_of(vocab: Vocab) -> list[str]:
    return [vocab.token(i) for i in range(len(vocab))]


def train_data(text: TextConfig, vocab: Vocab, texts: Sequence[str], seed: int) -> Data:
    """Texts as ids of their symbols, in batches of like length."""
    ids = {symbol: i for i, symbol in enumerate(symbols_of(vocab))}
    rows = TokenRows(len(vocab))
    for line in texts:
        rows.append(
            [ids.get(symbol, UNK) for symbol in segment(text, vocab if text.units == "subwords" else None, line)]
        )
    batches = BucketBatchSampler(rows.lengths() + 1, text.batch_budget, seed=seed)
    return Data(batches.epoch, lambda found, epoch: (collate([Example(i, (), rows[i]) for i in own]) for own in found))
