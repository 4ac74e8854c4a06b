"""Praat's TextGrid files: labels of intervals, by tier.

A reader of our own, as four packages lose labels or refuse files that Praat writes itself
(`findings/textgrid_labels.sh`). Praat reads a text file as a row of texts in double quotes (a quote within is doubled,
lines may break), numbers (with sign, exponent or %) and flags such as <exists>; words that are none of these, and all
from ! to the end of a line, are comments (Praat's manual, "TextGrid file formats"). So the long and the short form are
one.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqkit.errors import InputError

TOKEN = re.compile(r'"(?P<text>(?:[^"]|"")*)"|(?P<comment>!.*)|(?P<flag><\w+>)|(?P<word>[^\s"!<][^\s"!]*)|(?P<open>")')
NUMBER = re.compile(r"(?P<value>[-+]?\d+(\.\d*)?([eE][-+]?\d+)?)(?P<percent>%?)")
COMMA = re.compile(r",\d")  # after a number: a decimal comma, of which Praat reads what is before it
BINARY = b"ooBinaryFile"
LARGEST = 1e9  # seconds, or intervals, that are no mistake


class Interval(NamedTuple):
    """A label; seconds."""

    start: float
    end: float
    text: str


class Tier(NamedTuple):
    """A tier of intervals."""

    name: str
    intervals: tuple[Interval, ...]


def read_text_grid(path: Path) -> list[Tier]:
    """The tiers of intervals; those of points are passed over. Raises InputError for a file that is no TextGrid."""
    return list(_tiers(_Tokens(path, _decoded(path))))


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith(BINARY):
        raise InputError(f"{path}: must be a TextGrid saved as text, got a binary one; save it as a text file in Praat")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # as Praat reads what is not UTF-8


class _Tokens:
    """Texts, numbers and flags of a file, in order."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text, self.found = path, text, TOKEN.finditer(text)

    def _next(self, kind: str) -> re.Match[str]:
        for match in self.found:
            number = NUMBER.match(match["word"]) if match["word"] else None
            there = "number" if number else match.lastgroup
            if number and COMMA.match(match["word"], number.end()):
                raise self.fault("a number with a decimal point", repr(match[0][:40]), match.start())
            if there in ("text", "number", "flag", "open"):
                if there == kind:
                    return number or match
                raise self.fault(f"a {kind}", repr(match[0][:40]), match.start())
        raise self.fault(f"a {kind}", "the end", len(self.text))

    def fault(self, wanted: str, got: str, place: int) -> InputError:
        line = self.text.count("\n", 0, place) + 1
        return InputError(f"{self.path}, line {line}: must be as Praat writes a TextGrid, {wanted} here, got {got}")

    def text_(self) -> str:
        return self._next("text")["text"].replace('""', '"')

    def number(self) -> float:
        match = self._next("number")
        value = float(match["value"]) / (100 if match["percent"] else 1)
        if not abs(value) < LARGEST:
            raise self.fault("a usual number", match["value"][:20], 0)
        return value

    def flag(self) -> str:
        return self._next("flag")[0]


def _tiers(tokens: _Tokens) -> Iterator[Tier]:
    kinds = tokens.text_(), tokens.text_()
    if not kinds[0].startswith("ooTextFile") or kinds[1] != "TextGrid":
        raise tokens.fault('"ooTextFile" and "TextGrid"', f"{kinds[0][:20]!r} and {kinds[1][:20]!r}", 0)
    tokens.number(), tokens.number()
    if tokens.flag() != "<exists>":
        return
    for _ in range(int(tokens.number())):
        kind, name = tokens.text_(), tokens.text_()
        tokens.number(), tokens.number()
        size = int(tokens.number())
        if kind == "IntervalTier":
            yield Tier(name, tuple(Interval(tokens.number(), tokens.number(), tokens.text_()) for _ in range(size)))
        else:
            for _ in range(size):
                tokens.number(), tokens.text_()
