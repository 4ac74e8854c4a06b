"""Remarks about a raw input: printed by commands, and heard by whoever shows them in another way, as the page does."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from seqkit.train.distributed import print0

_heard: ContextVar[list[str] | None] = ContextVar("_heard", default=None)


def remark(given: Path | str, text: str) -> None:
    """Print what is odd about an input."""
    heard = _heard.get()
    if heard is not None and text not in heard:
        heard.append(text)
    print0(f"{given}: {text}")


@contextmanager
def heard_remarks() -> Iterator[list[str]]:
    """The remarks that come until the end, without the names of their inputs."""
    heard: list[str] = []
    before = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(before)
