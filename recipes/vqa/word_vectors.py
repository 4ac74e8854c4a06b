"""Word vectors in text: GloVe's (a word and its numbers a line), fastText's and word2vec's (the same after a header).

V vocabulary, E width of word vectors.
"""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqkit.data.files import read_bytes_lines
from seqkit.data.vocab import Vocab
from seqkit.errors import InputError
from seqkit.train.distributed import print0

SAMPLE = 1000  # lines that tell the width
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # which no text has


def read_vectors(path: Path, vocab: Vocab) -> NDArray[np.float32]:
    """The vectors (V, E) of a file, plain or gzipped, for the tokens of `vocab`, zeros for those it lacks.

    A word may hold spaces, as some of GloVe's do; of a word that comes twice the first vector is taken. Raises
    InputError for a line that is not a word and so many finite numbers, and for a file without any of the words.
    """
    if not path.is_file():
        raise InputError(f"`glove` must be a file of word vectors, got {path}, which is none")
    numbers = {vocab.token(i): i for i in range(len(vocab))}
    lines = _fields(path)
    sample = list(itertools.islice(lines, SAMPLE))
    width, header = _width(path, sample)
    rows: dict[int, NDArray[np.float32]] = {}
    twice = 0
    for line, fields in itertools.chain(sample[header:], lines):
        if len(fields) <= width:
            raise InputError(f"{path}, line {line}: must be a word and {width} numbers, got {len(fields) - 1}")
        place = numbers.get(unicodedata.normalize("NFC", " ".join(fields[:-width])))
        if place is None:
            continue
        if place in rows:
            twice += 1
            continue
        try:
            with np.errstate(over="ignore"):  # told below
                rows[place] = np.array(fields[-width:], np.float32)
        except ValueError:
            raise InputError(f"{path}, line {line}: must be a word and numbers, got {fields[-width]!r}") from None
        if not np.isfinite(rows[place]).all():
            raise InputError(f"{path}, line {line}: must be a word and finite numbers, got NaN or infinity")
    if not rows:
        raise InputError(
            f"{path}: must have vectors of the words of questions, got none; take a file of their language"
        )
    vectors_VE = np.zeros((len(vocab), width), np.float32)
    for number, row in rows.items():
        vectors_VE[number] = row
    more = f", the first of {twice:,} that come twice" * bool(twice)
    print0(f"{path.name}: vectors of {width} numbers for {len(rows):,} of {len(vocab):,} words{more}")
    return vectors_VE


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields of all lines that are not empty; fastText's end with a space."""
    for line, content in read_bytes_lines(path):
        if line <= SAMPLE and CONTROLS.search(content):
            raise InputError(
                f"{path}: must be word vectors in text, got a binary file; take the one in text (.txt, .vec)"
            )
        if text := content.decode("utf-8", "replace").rstrip(" \t"):
            yield line, text.replace("\t", " ").split(" ")


def _width(path: Path, sample: list[tuple[int, list[str]]]) -> tuple[int, bool]:
    """Numbers of a vector, and whether the first line is a header of their count and width. Raises InputError."""
    counts = Counter(_numbers(fields) for _, fields in sample)
    counts = counts if max(counts, default=0) else Counter(len(fields) - 1 for _, fields in sample)
    header = len(sample) > 1 and len(sample[0][1]) == 2 and all(f.isdecimal() and len(f) < 10 for f in sample[0][1])
    if header:
        width = int(sample[0][1][1])
        if width and len(sample[1][1]) > width:
            return width, True
    width = max(counts, key=lambda count: counts[count], default=0)  # of as many, the first
    if not width:
        line = sample[0][0] if sample else 1
        raise InputError(f"{path}, line {line}: must be a word and its numbers, got 0")
    return width, False


def _numbers(fields: list[str]) -> int:
    """How many of the last fields are numbers, a first one, the word, left out."""
    for count, field in enumerate(reversed(fields[1:])):
        try:
            float(field)
        except ValueError:
            return count
    return len(fields) - 1
