"""The ARPA text format of n-gram models, as SRILM and KenLM write and read it.

One n-gram a line: log10 p, the words, log10 of the back-off weight. The space of a character model is written <space>.
What stands before \\data\\ is ignored. Words come in NFC, as texts are learned; <S>, </S> and <UNK> are the signs in
lower case. N-grams whose prefixes were pruned are read, too: the missing prefixes get their back-off probability. A
file without <unk> gets one of log10 p -100, as in KenLM; a p of 0 is one of log10 p -99, as in SRILM.

U n-grams of one order, n the order, V symbols.
"""

import codecs
import gzip
import itertools
import unicodedata
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqkit.decode.ngram import SPECIALS, Ngram, contexts
from seqkit.errors import InputError

LN10 = float(np.log(10))
SPACE = "<space>"
SIGNS = {SPACE: " ", "<UNK>": "<unk>", "<S>": "<s>", "</S>": "</s>"}  # words that are read as others
OTHERS = {  # what a file is that begins so
    b"mmap lm http://kheafield.com/code": "a binary of KenLM, which other programs cannot read; give the ARPA file",
    b"\xff\xfe": "UTF-16; convert the file to UTF-8",
    b"\xfe\xff": "UTF-16; convert the file to UTF-8",
    b"BZh": "a file packed by bzip2; unpack it",
    b"\xfd7zXZ": "a file packed by xz; unpack it",
    b"PK\x03\x04": "a ZIP archive; unpack it",
}
ZERO = -99.0  # how SRILM writes the logarithm of 0
UNSEEN = {"<unk>": -100.0, "<s>": ZERO, "</s>": ZERO}  # log10 p of symbols that a file may lack
LARGEST = 1e30  # of what a float32 holds
HEAD = "\\data\\"
HEAD_LINES = 1000  # of text before the head that `is_arpa` reads

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Number = TypeVar("Number", int, float)


def words_of(model: Ngram) -> Iterator[Ints]:
    """The symbols of the n-grams of each order (U, n), in the order of the nodes."""
    before_Un = np.zeros((1, 0), np.int64)
    for number in range(1, model.order + 1):
        own = slice(model.bounds[number] - 1, model.bounds[number + 1] - 1)
        parent_U, word_U = np.divmod(np.asarray(model.key_E[own]), len(model.symbols))
        before_Un = np.concatenate([before_Un[parent_U - model.bounds[number - 1]], word_U[:, None]], 1)
        yield before_Un


def write_arpa(model: Ngram, file: IO[bytes]) -> None:
    """Write the model in ARPA format, with eight digits."""
    sizes = np.diff(model.bounds[1:]).tolist()
    file.write("".join(["\\data\\\n", *(f"ngram {n}={size}\n" for n, size in enumerate(sizes, 1))]).encode())
    names = [SPACE if symbol == " " else symbol for symbol in model.symbols]
    for number, words_Un in enumerate(words_of(model), 1):
        file.write(f"\n\\{number}-grams:\n".encode())
        own = slice(model.bounds[number], model.bounds[number + 1])
        logprobs = (np.asarray(model.logprob_G[own], np.float64) / LN10).tolist()
        backoffs = (np.asarray(model.backoff_G[own], np.float64) / LN10).tolist()
        for words, logprob, backoff in zip(words_Un.tolist(), logprobs, backoffs, strict=True):
            end = f"\t{backoff:.8g}" if number < model.order else ""
            file.write(f"{logprob:.8g}\t{' '.join([names[word] for word in words])}{end}\n".encode())
    file.write(b"\n\\end\\\n")


def load_arpa(path: Path) -> Ngram:
    """Load an ARPA file, plain or gzipped. Raises InputError that names file and line."""
    ids = {symbol: place for place, symbol in enumerate(SPECIALS)}
    words, values = [], []
    for number, ids_Un, values_U2 in _sections(path, ids):
        if number == 1:
            lacking = [symbol for place, symbol in enumerate(SPECIALS) if place not in ids_Un]
            ids_Un = np.concatenate([ids_Un, np.array([[ids[symbol]] for symbol in lacking], np.int64).reshape(-1, 1)])
            unseen = [[UNSEEN[symbol], 0.0] for symbol in lacking]
            values_U2 = np.concatenate([values_U2, np.array(unseen).reshape(-1, 2)])
        words.append(ids_Un)
        values.append(values_U2 * LN10)
    return assemble(tuple(ids), words, values, str(path))


def assemble(symbols: tuple[str, ...], words: list[Ints], values: list[Floats], name: str) -> Ngram:
    """A model from the n-grams of each order (U, n), in any order, with log p and log back-off (U, 2) of each."""
    for number in range(len(words) - 1, 0, -1):
        lacking_Un = _lacking(words[number][:, :-1], words[number - 1], len(symbols))
        words[number - 1] = np.concatenate([words[number - 1], lacking_Un])
        values[number - 1] = np.concatenate([values[number - 1], np.tile([np.nan, 0.0], (len(lacking_Un), 1))])
    nothing = np.zeros(0)
    empty = Ngram(
        symbols,
        (0, 1),
        nothing.astype(np.int64),
        np.zeros(1),
        np.zeros(1),
        np.zeros(1, np.int32),
        nothing.astype(np.int32),
    )
    model = empty
    for words_Un, values_U2 in zip(words, values, strict=True):
        model = _add(model, words_Un, values_U2, name)
    backoff_G = model.backoff_G.astype(np.float32)
    context_G = contexts(model.key_E, model.bounds, backoff_G, model.suffix_G, len(symbols))
    return model._replace(logprob_G=model.logprob_G.astype(np.float32), backoff_G=backoff_G, context_G=context_G)


def _add(model: Ngram, words_Un: Ints, values_U2: Floats, name: str) -> Ngram:
    """The model with one more order."""
    parent_U = np.zeros(len(words_Un), np.int64)
    for column in range(words_Un.shape[1] - 1):
        parent_U = model.child(parent_U, words_Un[:, column])
    key_U = parent_U * len(model.symbols) + words_Un[:, -1]
    sort_U = np.argsort(key_U)
    key_U, parent_U, word_U, (logprob_U, backoff_U) = (
        key_U[sort_U],
        parent_U[sort_U],
        words_Un[sort_U, -1],
        values_U2[sort_U].T,
    )
    if (twice_U := np.flatnonzero(key_U[1:] == key_U[:-1])).size:
        text = " ".join(model.symbols[word] for word in words_Un[sort_U[twice_U[0]]])
        raise InputError(f"{name}: n-grams must be different, got `{text}` twice")
    suffix_U, lower_U = _back_off(model, parent_U, word_U)
    logprob_U = np.where(np.isnan(logprob_U), lower_U, logprob_U)
    return Ngram(
        model.symbols,
        (*model.bounds, model.bounds[-1] + len(key_U)),
        np.concatenate([model.key_E, key_U]),
        np.concatenate([model.logprob_G, logprob_U]),
        np.concatenate([model.backoff_G, backoff_U]),
        np.concatenate([model.suffix_G, suffix_U.astype(np.int32)]),
        model.context_G,
    )


def _back_off(model: Ngram, parent_U: Ints, word_U: Ints) -> tuple[Ints, Floats]:
    """The longest proper suffix of `parent_U` followed by `word_U` in the model, and log p by backing off to it."""
    suffix_U, total_U = np.zeros_like(parent_U), np.zeros(len(parent_U))
    open_U = np.flatnonzero(parent_U > 0)
    while open_U.size:
        total_U[open_U] += model.backoff_G[parent_U[open_U]]
        parent_U[open_U] = model.suffix_G[parent_U[open_U]]
        child_U = model.child(parent_U[open_U], word_U[open_U])
        found_U = child_U >= 0
        suffix_U[open_U[found_U]] = child_U[found_U]
        total_U[open_U[found_U]] += model.logprob_G[child_U[found_U]]
        open_U = open_U[~found_U]
    return suffix_U, total_U


def _lacking(wanted_Un: Ints, held_Un: Ints, vocab: int) -> Ints:
    """The distinct rows of the first array that the second lacks."""
    both_Un = np.concatenate([held_Un, wanted_Un])
    code_U = np.zeros(len(both_Un), np.int64)
    for column_U in both_Un.T:
        code_U = np.unique(code_U * vocab + column_U, return_inverse=True)[1]
    first_U = np.unique(code_U, return_index=True)[1]
    return both_Un[first_U[first_U >= len(held_Un)]]


def _sections(path: Path, ids: dict[str, int]) -> Iterator[tuple[int, Ints, Floats]]:
    """(n, the words (U, n), log10 p and back-off (U, 2)) in the order of the file; unigrams fill `ids`."""
    sizes: list[int] = []
    number, words, values = 0, array("q"), array("d")
    for line, text in _lines_of_model(path):
        place = f"{path}, line {line}"
        if text.startswith("\\"):
            if number and len(values) != 2 * sizes[number - 1]:
                raise InputError(
                    f"{place}: must follow the {sizes[number - 1]} {number}-grams that the head counts, "
                    f"got {len(values) // 2}"
                )
            if number:
                yield number, np.array(words, np.int64).reshape(-1, number), np.array(values).reshape(-1, 2)
            if text == "\\end\\" and number == len(sizes) > 0:
                return
            number, words, values = number + (text != HEAD), array("q"), array("d")
            if number and (text != f"\\{number}-grams:" or number > len(sizes)):
                raise InputError(f"{place}: must be the head of the {number}-grams or the end, got {text!r}")
        elif number and text:
            _read_line(place, text, number, ids, words, values)
        elif text.startswith("ngram "):
            sizes.append(_number(place, text.partition("=")[2], int))
    with path.open("rb") as file:
        first = file.read(40)
    form = next((form for begin, form in OTHERS.items() if first.startswith(begin)), "")
    raise InputError(f"{path}: must end in \\end\\, got {form or 'a file that is cut short or is no ARPA file'}")


def _read_line(
    place: str, text: str, number: int, ids: dict[str, int], words: "array[int]", values: "array[float]"
) -> None:
    """Append the words and the two numbers of one n-gram."""
    fields = [field for field in text.replace("\t", " ").split(" ") if field]
    if len(fields) not in (number + 1, number + 2):
        raise InputError(f"{place}: must be a log-probability, {number} words and at most one back-off, got {text!r}")
    own = [SIGNS.get(word, word) for word in fields[1 : number + 1]]
    own = own if text.isascii() else [unicodedata.normalize("NFC", word) for word in own]
    if number == 1:
        ids.setdefault(own[0], len(ids))
    for word in own:
        if word not in ids:
            raise InputError(f"{place}: words must be among the 1-grams, got {word!r}")
        words.append(ids[word])
    logprob = ZERO if fields[0].lower() == "-inf" else _logarithm(place, fields[0])
    if logprob > 0:
        raise InputError(f"{place}: log10 of a probability must be 0 or less, got {fields[0]}; make the file again")
    values.append(logprob)
    values.append(_logarithm(place, fields[-1]) if len(fields) == number + 2 else 0.0)


def _logarithm(place: str, text: str) -> float:
    value = _number(place, text, float)
    if not abs(value) < LARGEST:  # nan is not, either
        raise InputError(f"{place}: must be a finite number, got {text}; make the file again")
    return value


def _number(place: str, text: str, kind: type[Number]) -> Number:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"{place}: must be a number, got {text!r}") from None


def is_arpa(path: Path) -> bool:
    """Whether \\data\\ stands in a line of its own among the first of a file."""
    return any(line.strip() == HEAD.encode() for _, line in itertools.islice(_lines(path), HEAD_LINES))


def _lines_of_model(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text without white space at its ends) of every line from \\data\\ on."""
    begun = False
    for number, line in _lines(path):
        begun = begun or line.strip() == HEAD.encode()
        if begun:
            try:
                yield number, line.decode().strip(" \t\r\n")
            except UnicodeDecodeError:
                raise InputError(f"{path}, line {number}: must be UTF-8; convert the file to UTF-8") from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number from 1, bytes) of every line, plain or gzipped; a byte order mark is left out."""
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if gzipped else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: must be a whole file, got damage ({error}); fetch it again") from None
