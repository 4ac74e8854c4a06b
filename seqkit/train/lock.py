"""Lock of a run folder: one process at a time may write there.

`RUN/.lock` names its owner: host, process, token, time. The lock on it is that of `seqkit.data.file_lock`. The file is
emptied when a run has finished, so one with an owner in it tells of a run that broke off.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from seqkit.data.file_lock import try_lock
from seqkit.described import described
from seqkit.errors import InputError

NAME = ".lock"
TOKEN = os.urandom(8).hex()  # tells this process from one of the same number in another container


@described
class Held(NamedTuple):
    """What was found in the lock file."""

    again: bool
    """this process holds the lock already"""
    before: str
    """the owner before, if it broke off"""


@contextmanager
def lock(folder: Path) -> Iterator[Held]:
    """Context that holds the lock of `folder`. Raises InputError that names the other process which holds it."""
    handle, before = _acquire(folder)
    handles = [] if handle is None else [handle]
    if hasattr(os, "register_at_fork"):  # a child process that outlives this one must not keep the lock
        os.register_at_fork(after_in_child=lambda: os.close(handles.pop()) if handles else None)
    try:
        yield Held(handle is None, before)
    finally:
        if handles:
            text = _read(handles[0])
            if text:  # the run has not finished, and this process does not hold the lock any more
                _write(handles[0], text.replace(TOKEN, "ended"))
            os.close(handles.pop())


def forget_owner(folder: Path, before: str = "") -> None:
    """Write the owner `before` back into the lock file, or remove it: nothing has broken off."""
    with suppress(OSError):  # Windows removes no open file: emptied, it says the same
        (folder / NAME).write_text(before, encoding="utf-8")
        if not before:
            (folder / NAME).unlink()


def _acquire(folder: Path) -> tuple[int | None, str]:
    """An open file with the lock, or None where this process has it; and the owner before, if it broke off."""
    path, me = folder / NAME, f"{socket.gethostname()} {os.getpid()} {TOKEN}"
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        owner = _read(handle)
        if owner.startswith(me):
            os.close(handle)
            return None, ""
        locked = try_lock(handle)
        if locked and _is(handle, path):
            _write(handle, f"{me} {time.strftime('%Y-%m-%d %H:%M:%S')}")
            return handle, owner
        os.close(handle)
        if locked:  # the owner before has removed the file in the meantime
            continue
        host, process, _, since = (owner.split(" ", 3) + ["?"] * 4)[:4]
        raise InputError(
            f"{folder}: must be used by one process at a time, got process {process} on {host}, "
            f"which has used it since {since}: wait for it, or choose another folder"
        )


def _read(handle: int) -> str:
    os.lseek(handle, 0, os.SEEK_SET)
    return os.read(handle, 1024).decode("utf-8", "replace")


def _write(handle: int, text: str) -> None:
    with suppress(OSError):  # a full disk
        os.truncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, text.encode())


def _is(handle: int, path: Path) -> bool:
    """Whether an open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
