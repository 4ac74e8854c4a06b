"""Locks on files: of two owners one waits, and where there are no locks nobody does."""

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seqkit.data import feature_store
from seqkit.data.feature_store import locked
from seqkit.data.file_lock import LOCKED_BYTE, try_lock, unlock


@pytest.fixture
def handles(tmp_path: Path) -> Any:
    """The same file, opened twice."""
    opened = [os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2)]
    yield opened
    for handle in opened:
        os.close(handle)


class Windows(SimpleNamespace):
    """msvcrt's locks, of two handles in one process."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        super().__init__(owners={}, places=set())

    def locking(self, handle: int, mode: int, count: int) -> None:
        self.places.add((os.lseek(handle, 0, os.SEEK_CUR), count))
        if mode == self.LK_UNLCK:
            del self.owners["file"]
        elif self.owners.setdefault("file", handle) != handle:
            raise PermissionError(errno.EACCES, "Permission denied")


@pytest.fixture(params=["posix", "windows"])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Windows | None:
    if request.param == "posix":
        pytest.importorskip("fcntl")
        return None
    windows = Windows()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    return windows


def test_one_has_the_lock_until_it_lets_go(handles: list[int], platform: Windows | None) -> None:
    one, other = handles
    assert try_lock(one) and not try_lock(other)
    unlock(one)
    assert try_lock(other) and not try_lock(one)
    if platform:
        assert platform.places == {(LOCKED_BYTE, 1)}


@pytest.mark.parametrize("kind", ["file system", "platform"])
def test_without_locks_nobody_waits(handles: list[int], monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def flock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setitem(sys.modules, "fcntl", SimpleNamespace(flock=flock, LOCK_EX=2, LOCK_NB=4, LOCK_UN=8))
    if kind == "platform":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    assert [try_lock(handle) for handle in handles] == [True, True]
    unlock(handles[0])


def test_a_cache_waits_for_its_lock_on_any_platform(
    tmp_path: Path, platform: Windows | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    naps: list[float] = []
    handle = os.open(tmp_path / "cache.lock", os.O_RDWR | os.O_CREAT)
    assert try_lock(handle)

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            unlock(handle)

    monkeypatch.setattr(feature_store.time, "sleep", sleep)
    with locked(tmp_path):
        assert len(naps) == 3
    os.close(handle)
    assert capsys.readouterr().err.count("another process adds to this cache; waiting for it") == 1
