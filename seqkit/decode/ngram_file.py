"""The file format of n-gram models, memory-mapped when loaded.

Eight bytes of magic, the length of a JSON header in eight bytes, the header (bounds, symbols, place and type of each
array), then the arrays, little-endian, aligned to 64 bytes.
"""

import json
from pathlib import Path
from typing import IO

import numpy as np

from seqkit.decode.arpa import is_arpa, load_arpa
from seqkit.decode.ngram import Ngram
from seqkit.errors import InputError

MAGIC, ALIGNED = b"seqkitNG", 64
ARRAYS = ("key_E", "logprob_G", "backoff_G", "suffix_G", "context_G")


def write_ngram(model: Ngram, file: IO[bytes]) -> None:
    """Write the model to an open file."""
    arrays = {name: np.ascontiguousarray(getattr(model, name)) for name in ARRAYS}
    places, end = {}, 0
    for name, values in arrays.items():
        places[name] = (end, len(values), values.dtype.newbyteorder("<").str)
        end += -(-values.nbytes // ALIGNED) * ALIGNED
    header = json.dumps({"bounds": model.bounds, "symbols": model.symbols, "arrays": places}, ensure_ascii=False)
    content = header.encode()
    content += b" " * (-(16 + len(content)) % ALIGNED)
    file.write(MAGIC + len(content).to_bytes(8, "little") + content)
    for name, values in arrays.items():
        data = values.astype(places[name][2]).tobytes()
        file.write(data + bytes(-len(data) % ALIGNED))


def is_ngram(path: Path) -> bool:
    """Whether a file holds an n-gram model, ours or in ARPA format, whatever its name."""
    with path.open("rb") as file:
        return file.read(8) == MAGIC or is_arpa(path)


def load_ngram(path: Path) -> Ngram:
    """Load a model, in our format or in ARPA format, which the content tells.

    Raises InputError where the file is missing, of another format or cut short.
    """
    if not path.is_file():
        raise InputError(f"{path}: must be the file of an n-gram model, got none there; correct the path")
    with path.open("rb") as file:
        magic, size = file.read(8), int.from_bytes(file.read(8), "little")
        if magic != MAGIC:
            return load_arpa(path)
        content = file.read(min(size, path.stat().st_size))
    try:
        header = json.loads(content)
        # Copy on write, as torch wants arrays that can be written.
        arrays = [
            np.memmap(path, np.dtype(header["arrays"][name][2]), "c", 16 + size + place, (length,))
            for name in ARRAYS
            for place, length in [map(int, header["arrays"][name][:2])]
        ]
        model = Ngram(
            tuple(header["symbols"]), tuple(map(int, header["bounds"])), *(a.view(np.ndarray) for a in arrays)
        )
        fault = damage(model)
    except (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError) as error:
        fault = f"one that is cut short ({type(error).__name__})"
    if fault:
        raise InputError(f"{path}: must be a whole n-gram model, got {fault}; make it again") from None
    return model


def damage(model: Ngram) -> str:
    """What is wrong with a model, by which a query would leave its arrays; empty where nothing is."""
    vocab, bounds, nodes = len(model.symbols), model.bounds, len(model.logprob_G)
    kinds = [array.dtype.kind for array in model[2:]]
    lengths = [len(array) for array in model[3:]] + [len(model.key_E) + 1]
    if kinds != ["i", "f", "f", "i", "i"] or lengths != [nodes] * 5:
        return "arrays of other kinds and lengths"
    if not vocab or not all(isinstance(symbol, str) for symbol in model.symbols) or len(set(model.symbols)) < vocab:
        return "symbols that are no different texts"
    if len(bounds) < 3 or bounds[:3] != (0, 1, 1 + vocab) or list(bounds) != sorted(bounds) or bounds[-1] != nodes:
        return f"bounds {bounds[:6]}"
    if not np.array_equal(model.key_E[:vocab], np.arange(vocab)) or not bool((np.diff(model.key_E) > 0).all()):
        return "n-grams out of order"
    for first, last, above in zip(bounds[2:], bounds[3:], bounds[1:], strict=False):
        if first < last and not above * vocab <= model.key_E[first - 1] <= model.key_E[last - 2] < first * vocab:
            return "n-grams of no parent"
    for first, last in zip(bounds, bounds[1:], strict=False):
        for part_G, most in ((model.suffix_G, max(1, first)), (model.context_G, last)):
            own = part_G[first:last]
            if own.min(initial=0) < 0 or own.max(initial=0) >= most:
                return "n-grams that lead nowhere"
    usual = np.isfinite(model.logprob_G).all() and (model.backoff_G < np.inf).all()  # a weight may be 0
    return "" if usual else "numbers that are none"
