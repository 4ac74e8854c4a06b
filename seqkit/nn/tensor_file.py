"""Files of `torch.save`, read so that a damaged one takes no more memory than there is in it, and gives one line."""

import mmap
import pickle
from pathlib import Path
from typing import Any

import torch

from seqkit.errors import DAMAGE, InputError

BROKEN = (*DAMAGE, MemoryError, AssertionError, pickle.UnpicklingError)  # of torch.load


def read_tensors(path: Path) -> Any:
    """Reads tensors, in any nesting of plain values, to the CPU. Raises InputError, naming the file, for others."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            whole: Any = content
            return torch.load(whole, map_location="cpu", weights_only=True)  # a map reads no more than there is
    except BROKEN as error:
        raise InputError(f"{path}: must be as torch.save writes it, got damage ({type(error).__name__})") from None
