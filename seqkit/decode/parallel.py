"""Parallel processing of batches on a CPU, one thread a batch.

The operations of a search are small: several searches at once are faster than one whose operations use all threads.
Python's threads suffice, as torch releases the interpreter lock.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

from seqkit.share import shared

X = TypeVar("X")
Y = TypeVar("Y")


def map_batches(fn: Callable[[X], Sequence[Y]], batches: Sequence[X], device: torch.device) -> Sequence[Sequence[Y]]:
    """`fn` applied to every batch, results in order; on a CPU as many batches at once as torch has threads.

    `fn` gives a result for each member of a batch. In a part of a command only a share is computed.
    """
    return shared(lambda some: _map(fn, some, device), batches)


def each_batch(fn: Callable[[X], Sequence[Y]], batches: Sequence[X]) -> Sequence[Sequence[Y]]:
    """The same, one batch after the other."""
    return shared(lambda some: [fn(batch) for batch in some], batches)


def map_alike(fn: Callable[[Sequence[X]], Sequence[Y]], rows: Sequence[X], sizes: Sequence[int], most: int) -> list[Y]:
    """`fn` of at most `most` rows of like size together; results in the order of the rows."""
    batches = in_batches(sorted(range(len(rows)), key=lambda number: sizes[number]), most)
    found: dict[int, Y] = {}
    for numbers, own in zip(batches, each_batch(lambda some: fn([rows[n] for n in some]), batches), strict=True):
        found |= zip(numbers, own, strict=True)
    return [found[number] for number in range(len(rows))]


def in_batches(rows: Sequence[X], size: int) -> list[list[X]]:
    """Rows in batches of `size`, in their order."""
    return [list(rows[first : first + size]) for first in range(0, len(rows), size)]


def _map(fn: Callable[[X], Y], batches: Sequence[X], device: torch.device) -> list[Y]:
    threads = min(torch.get_num_threads(), len(batches))
    if device.type != "cpu" or threads < 2:
        return [fn(batch) for batch in batches]
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
            return list(pool.map(fn, batches))
    finally:
        torch.set_num_threads(before)  # the matrix library has one setting for all threads
