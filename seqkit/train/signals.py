"""Interruptions from outside: signals and a full disk."""

import errno
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from seqkit.errors import InputError
from seqkit.train import distributed


@contextmanager
def catch_signals() -> Iterator[list[str]]:
    """Context in which SIGINT and SIGTERM only append their name to the list it gives, so that no step is cut short.

    In a single process a second SIGINT acts as usual; under torchrun each process receives it twice, from the terminal
    and from torchrun.
    """
    caught: list[str] = []

    def record(number: int, frame: FrameType | None) -> None:
        caught.append(signal.Signals(number).name)
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


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Context that turns "no space left" and "quota exceeded" into an InputError with one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{folder}: disk must have room for checkpoints and log, got '{error.strerror}': "
            "free some and go on with --resume; the last checkpoint is whole"
        ) from error
