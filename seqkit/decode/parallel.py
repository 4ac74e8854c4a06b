"""Several batches at once on a CPU: operations of a search are small, and gain more from that than from being shared.

Threads of Python serve: the work is torch's, which lets the others run meanwhile.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

X = TypeVar("X")
Y = TypeVar("Y")


def map_batches(fn: Callable[[X], Y], batches: Sequence[X], device: torch.device) -> list[Y]:
    """`fn` of every batch, in their order; on a CPU as many at once as torch has threads, each on one of them."""
    threads = min(torch.get_num_threads(), len(batches))
    if device.type != "cpu" or threads < 2:
        return [fn(batch) for batch in batches]
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
            return list(pool.map(fn, batches))
    finally:
        torch.set_num_threads(before)  # of the matrix library too, which has one number for all threads
