"""The generator of random draws in a forward pass: torch's own, or one of the thread's.

Micro-batches that are computed side by side draw each from their own, so that a run repeats whatever thread is first.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_thread = threading.local()


def generator() -> torch.Generator | None:
    """What dropout and sampling of this thread draw from; None is torch's own."""
    found: torch.Generator | None = getattr(_thread, "generator", None)
    return found


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Context in which this thread draws from a generator of its own on the CPU, seeded with `seed`."""
    _thread.generator = torch.Generator().manual_seed(seed)
    try:
        yield
    finally:
        _thread.generator = None
