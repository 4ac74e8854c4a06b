"""Arrays of numbers in numpy's files: what the header claims is compared with what is there before memory is taken."""

import ast
import io
import math
import tokenize
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data.shards import openable
from seqkit.errors import DAMAGE, InputError

BROKEN = (*DAMAGE, MemoryError, tokenize.TokenError, zipfile.BadZipFile)  # of numpy and its zip files


def read_array(path: Path) -> NDArray[Any]:
    """Opens a .npy file as a memory-mapped array; one in a shard is read. Raises InputError, naming the file, for one
    that is missing, broken or holds no numbers."""
    try:
        source = openable(path)
        if not isinstance(source, Path):
            table: Any = parse_array(source.read())
        else:
            table = np.load(source, mmap_mode="r", allow_pickle=False)
        if not isinstance(table, np.ndarray) or not np.issubdtype(table.dtype, np.number):
            raise ValueError("no array of numbers")
        return table
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(f"{path}: must be a .npy array of numbers, got {_told(error)}; make it again") from None


def read_arrays(path: Path, content: bytes, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays `names` of a .npz archive with this `content`. Raises InputError, naming `path`, where it is broken or
    lacks one."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            there = archive.namelist()
            lacking = [name for name in names if f"{name}.npy" not in there]
            if not lacking:
                return {name: parse_array(archive.read(f"{name}.npy")) for name in names}
    except BROKEN as error:
        raise InputError(f"{path}: must be a whole NumPy archive, got {_told(error)}; fetch it again") from None
    raise InputError(f"{path}: must hold the arrays {', '.join(names)}, got none of the name {lacking[0]}")


def parse_array(content: bytes) -> NDArray[Any]:
    """The array of a .npy file with this content; it takes no memory beside that. Raises ValueError and others of
    one of BROKEN for a broken one."""
    version = content[6:8]
    if content[:6] != b"\x93NUMPY" or version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError("no .npy array")
    width = 2 if version == b"\1\0" else 4
    begin = 8 + width
    size = int.from_bytes(content[8:begin], "little")
    if size > 10_000:
        raise ValueError("a header that is too long")
    header = ast.literal_eval(content[begin : begin + size].decode("latin1"))
    shape, kind = tuple(map(int, header["shape"])), np.dtype(header["descr"])
    if kind.hasobject or any(side < 0 for side in shape):
        raise ValueError("no plain array")
    there = (len(content) - begin - size) // max(1, kind.itemsize)
    if math.prod(shape) > there:
        raise ValueError(f"{there} of {math.prod(shape)} values")
    flat = np.frombuffer(content, kind, math.prod(shape), begin + size)
    return flat.reshape(shape, order="F" if header["fortran_order"] else "C")


def _told(error: BaseException) -> str:
    return f"damage ({' '.join(str(error).split())[:80] or type(error).__name__})"
