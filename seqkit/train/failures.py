"""Failures from outside that end a run in one clear line: a full disk, too little memory, a lost process."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from seqkit.errors import InputError
from seqkit.train import distributed

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows knows no quota
OUT_OF_MEMORY = ("out of memory", "not enough memory", "allocate memory", "bad_alloc", "failed to allocate")
LOST = ("connection closed by peer", "connection reset by peer", "broken pipe", "timed out", "remote process exited")


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Context that turns "no space left" and "quota exceeded" into an InputError that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise InputError(
            f"{folder}: disk must have room for checkpoints and log, got '{error.strerror}': "
            "free some and resume the run; the last checkpoint is whole"
        ) from error


@contextmanager
def explain_out_of_memory(what: str, advice: str) -> Iterator[None]:
    """Context that turns a failed allocation, on the CPU or a GPU, into an InputError: memory must hold `what`."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        known = isinstance(error, MemoryError | torch.OutOfMemoryError) or getattr(error, "errno", 0) == errno.ENOMEM
        if not known and not any(mark in first.lower() for mark in OUT_OF_MEMORY):
            raise
        raise InputError(f"memory must hold {what}, got '{first}': {advice}; the last checkpoint is whole") from error


@contextmanager
def explain_lost_process(
    folder: Path, advice: str = "resume the run, with any number of processes; the last checkpoint is whole"
) -> Iterator[None]:
    """Context that turns the end of another process of the group into an InputError."""
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, dist.DistError) or any(mark in str(error).lower() for mark in LOST)
        if distributed.world_size() == 1 or not lost:
            raise
        raise InputError(
            f"{folder}: all {distributed.world_size()} processes must go on together, got one that has ended: see its "
            f"own message, and {advice}"
        ) from error
