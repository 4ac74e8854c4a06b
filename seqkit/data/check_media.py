"""Rules of `seqkit check` for the presence of media files, and for times.

A rule goes over the items of all manifests, so that it can compare them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seqkit.data.manifest import MEDIA, Item
from seqkit.data.shards import has_file, size_of

SLACK = 1e-3  # seconds by which rounded times may reach past an end
ROUNDING = 0.1  # the same of a length that is written down


class Line(NamedTuple):
    file: str
    number: int
    item: Item

    def at(self, key: str) -> str:
        return f'{self.file}, line {self.number}, id "{self.item.id}", `{key}`'


class Finding(NamedTuple):
    problem: bool  # else a remark
    kind: str
    text: str


def media(lines: Sequence[Line]) -> Iterator[Finding]:
    for line in lines:
        for key in MEDIA:
            path: Path | None = getattr(line.item, key)
            if path is not None and not has_file(path):
                yield Finding(True, "missing file", f"{line.at(key)}: no file {path}; put it there or remove the item")
            elif path is not None and size_of(path) == 0:
                yield Finding(True, "empty file", f"{line.at(key)}: {path} is empty; replace it or remove the item")


def times(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds cuts of another length than `seconds`, and words outside their item. `start` and `end` are on the clock of
    the file, `seconds` and `words` count from the beginning of the item."""
    for line in lines:
        item = line.item
        length = float("inf") if item.seconds is None else item.seconds
        if item.end is not None:
            cut = item.end - (item.start or 0.0)
            if item.seconds is not None and abs(cut - length) > ROUNDING:
                fault = f"{line.at('seconds')}: is {length:g}, but `start` to `end` lasts {cut:g}; correct one of them"
                yield Finding(True, "beyond the end", fault)
            length = cut
        late = [(word, start, end) for word, start, end in item.words if end > length + SLACK]
        yield from _order(line)
        whole = bool(late) and item.start is not None and item.words[0][1] >= item.start
        for word, start, end in late:
            advice = "`words` counts from the beginning of the item, not of the file" if whole else "correct it"
            fault = f"{line.at('words')}: {word!r} at {start:g} to {end:g} seconds is outside the item; {advice}"
            yield Finding(start >= length, "word outside", fault)


def _order(line: Line) -> Iterator[Finding]:
    """Finds words that are not in the order of time, and words that are not those of the text."""
    words, item = line.item.words, line.item
    back = next((n for n, (one, two) in enumerate(zip(words, words[1:])) if two[1] < one[1]), None)  # noqa: B905
    if back is not None:
        told = f"{words[back + 1][0]!r} begins before {words[back][0]!r}, which stands before it; sort them by time"
        yield Finding(False, "words out of order", f"{line.at('words')}: {told}")
    said = _letters(" ".join(word for word, _, _ in words))
    if said and item.references and said not in map(_letters, item.references):
        told = f"are not those of `references`, {item.references[0][:40]!r}; correct one of them"
        yield Finding(False, "other words", f"{line.at('words')}: {told}")
    if item.rows and not item.features:
        yield Finding(False, "unread key", f"{line.at('rows')}: nothing reads it without `features`; remove it")


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
