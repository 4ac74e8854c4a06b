"""Parallel processing of batches on a CPU, one thread a batch.

The operations of a search are small: several searches at once are faster than one whose operations use all threads.
Python's threads suffice, as torch releases the interpreter lock.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

X = TypeVar("X")
Y = TypeVar("Y")


def map_batches(fn: Callable[[X], Y], batches: Sequence[X], device: torch.device) -> list[Y]:
    """`fn` applied to every batch, results in order; on a CPU as many batches at once as torch has threads."""
    threads = min(torch.get_num_threads(), len(batches))
    if device.type != "cpu" or threads < 2:
        return [fn(batch) for batch in batches]
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
            return list(pool.map(fn, batches))
    finally:
        torch.set_num_threads(before)  # the matrix library has one setting for all threads
