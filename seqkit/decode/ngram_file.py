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
        content = file.read(size)
    try:
        header = json.loads(content)
        # Copy on write, as torch wants arrays that can be written.
        arrays = [
            np.memmap(path, np.dtype(kind), "c", 16 + size + start, (length,))
            for start, length, kind in (header["arrays"][name] for name in ARRAYS)
        ]
    except (ValueError, OSError):
        raise InputError(f"{path}: must be a whole n-gram model, got one that is cut short; make it again") from None
    return Ngram(tuple(header["symbols"]), tuple(header["bounds"]), *(array.view(np.ndarray) for array in arrays))
