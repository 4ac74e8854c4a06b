"""Ends that come from outside: signals and a full disk."""

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
def interruptible() -> Iterator[list[str]]:
    """Within, SIGINT and SIGTERM do no more than add their name to the list given, so that a step is never cut.

    A second SIGINT to a lone process acts as ever; of several, each gets one from the terminal and one from torchrun.
    """
    caught: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(signal.Signals(number).name)
        if distributed.world_size() == 1:
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may handle signals
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def room(folder: Path) -> Iterator[None]:
    """A disk without room, within, is an InputError that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{folder}: disk must have room for checkpoints and log, got '{error.strerror}': "
            "free some and go on with --resume; the last checkpoint is whole"
        ) from error
