"""Signals that end training: SIGINT (Ctrl-C) and SIGTERM (schedulers, torchrun)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from seqkit.train import distributed


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Context in which SIGINT and SIGTERM only append their number to the list it gives, so that no step is cut short.

    In a single process a second SIGINT acts as usual; under torchrun each process receives it twice, from the terminal
    and from torchrun.
    """
    caught: list[int] = []

    def record(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        if distributed.world_size() == 1:
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may handle signals
        return
    before = {number: signal.signal(number, record) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
