"""Rules of `seqkit check` for media files, their lengths, and feature arrays.

A rule goes over the items of all manifests, so that it can compare them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from seqkit.data.manifest import MEDIA, Item
from seqkit.errors import InputError

SLACK = 1e-3  # seconds by which rounded times may reach past an end


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
            if path is not None and not path.is_file():
                yield Finding(True, "missing file", f"{line.at(key)}: no file {path}; put it there or remove the item")
            elif path is not None and path.stat().st_size == 0:
                yield Finding(True, "empty file", f"{line.at(key)}: {path} is empty; replace it or remove the item")


def images(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds images that cannot be decoded to their end; each file is read once."""
    from seqkit.data.image import read_image

    pictured = [line for line in lines if line.item.image and line.item.image.is_file()]
    faults: dict[Path, str] = {}
    for line in tqdm(pictured, desc="pictures", unit=" items", disable=None):
        path = line.item.image
        if path is None or path.stat().st_size == 0:  # which has been said
            continue
        if path not in faults:
            try:
                read_image(path, at_least=64)  # a JPEG is then decoded small, in less time
                faults[path] = ""
            except InputError as error:
                faults[path] = str(error)
        if faults[path]:
            yield Finding(True, "unreadable picture", f"{line.at('image')}: {faults[path]}, or remove the item")


def times(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds cuts that reach past `seconds`, and words outside their cut."""
    for line in lines:
        item = line.item
        length = float("inf") if item.seconds is None else item.seconds
        for key, time in (("start", item.start), ("end", item.end)):
            if time is not None and time > length + SLACK:
                fault = f"{line.at(key)}: is {time:g}, past `seconds` ({length:g}); correct one of them"
                yield Finding(True, "beyond the end", fault)
        first, last = item.start or 0.0, length if item.end is None else item.end
        for word, start, end in item.words:
            if start < first - SLACK or end > last + SLACK:
                fault = f"{line.at('words')}: {word!r} at {start:g} to {end:g} seconds is outside the item; correct it"
                yield Finding(False, "word outside", fault)


def features(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds feature files that are no array, of another width than the first, or shorter than their cut."""
    first: tuple[int, str] | None = None
    for line in lines:
        path, rows, place = line.item.features, line.item.rows, line.at("features")
        if path is None or not path.is_file():
            continue
        try:
            shape = np.load(path, mmap_mode="r").shape
        except (ValueError, OSError, EOFError):
            shape = ()
        if len(shape) != 2 or 0 in shape:
            fault = f"shape {shape}" if shape else "no array"
            yield Finding(True, "features", f"{place}: {path} must hold (time, width), got {fault}; write it anew")
            continue
        first = first or (shape[1], place)
        if shape[1] != first[0]:
            fault = f"{place}: has width {shape[1]}, but {first[1]} has {first[0]}; compute all of them alike"
            yield Finding(True, "features", fault)
        if rows and rows[1] > shape[0]:
            fault = f"{line.at('rows')}: ends at {rows[1]}, past the {shape[0]} rows of {path}; correct the cut"
            yield Finding(True, "beyond the end", fault)
