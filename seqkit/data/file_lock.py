"""Locks on open files, which the operating system releases however their owner ends.

flock, or msvcrt.locking on Windows. A platform or file system without locks has none: then nothing blocks.
"""

import os
from contextlib import suppress

LOCKED_BYTE = 1 << 20  # what Windows locks: a byte behind the text, which stays readable


def try_lock(handle: int) -> bool:
    """Whether an open file could be locked; True where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return _on_windows(handle, "LK_NBLCK")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def unlock(handle: int) -> None:
    """Release a lock at once: closing alone would leave it to a process that was forked within."""
    try:
        import fcntl
    except ImportError:
        _on_windows(handle, "LK_UNLCK")
        return
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)


def _on_windows(handle: int, mode: str) -> bool:
    try:
        import msvcrt
    except ImportError:  # no locks here
        return True
    os.lseek(handle, LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(handle, getattr(msvcrt, mode), 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
