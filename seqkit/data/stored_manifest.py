"""Manifests of millions of lines: items are read from the file when they are asked for. What is kept in memory is where
each line lies, 12 bytes an item.

N items.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from seqkit.data.manifest import Item, checked_items, parse_line, read_manifest, repeated
from seqkit.data.packed import is_packed
from seqkit.errors import InputError


class StoredItems(Sequence[Item]):
    """The items of a manifest, or some of them. It can be passed to other processes."""

    def __init__(self, path: Path, begins_N: NDArray[np.int64], sizes_N: NDArray[np.int32]) -> None:
        """begins_N, sizes_N: the first byte of every line, and the bytes that it has."""
        self.path, self.begins_N, self.sizes_N = path, begins_N, sizes_N

    def __len__(self) -> int:
        return len(self.begins_N)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> "StoredItems": ...

    def __getitem__(self, place: int | slice) -> "Item | StoredItems":
        if isinstance(place, slice):
            return StoredItems(self.path, self.begins_N[place], self.sizes_N[place])
        return next(iter(self[range(len(self))[place] :][:1]))

    def __iter__(self) -> Iterator[Item]:
        with self.path.open("rb") as file:
            for begin, size in zip(self.begins_N, self.sizes_N, strict=True):
                file.seek(int(begin))
                text = file.read(int(size)).decode().removeprefix("\ufeff")
                yield parse_line(text, self.path.parent, f"{self.path}, byte {begin}")


def open_manifest(path: Path, *, needed: Sequence[str] = ()) -> Sequence[Item]:
    """The items of a manifest, of a packed one in memory. Reads all of it once, and raises what `read_manifest`
    raises."""
    if path.is_file():
        with path.open("rb") as file:
            if is_packed(file.read(16)):
                return read_manifest(path, needed=needed)
    begins, sizes, ids = array("q"), array("i"), array("q")
    for begin, size, _, item in _placed(path, needed):
        begins.append(begin)
        sizes.append(size)
        ids.append(hash(item.id))
    _check_unique(path, np.frombuffer(ids, np.int64))
    return StoredItems(path, np.frombuffer(begins, np.int64), np.frombuffer(sizes, np.int32))


def _placed(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, int, int, Item]]:
    """Yields first byte, bytes, number and item of every line that is not blank."""
    begin = end = at = 0
    parsed = checked_items(path, needed)
    first = next(parsed)  # complains of a file that is not there
    with path.open("rb") as file:
        for number, item in chain([first], parsed):
            for line in islice(file, number - at):
                begin, end = end, end + len(line)
            at = number
            yield begin, end - begin, number, item


def _check_unique(path: Path, ids_N: NDArray[np.int64]) -> None:
    """Raises InputError for an id that stands twice; only those of equal hashes are compared."""
    sorted_N = np.sort(ids_N)
    twice = set(sorted_N[1:][sorted_N[1:] == sorted_N[:-1]].tolist())
    lines: dict[str, int] = {}
    for _, _, number, item in _placed(path, ()) if twice else ():
        if hash(item.id) in twice:
            if item.id in lines:
                raise InputError(repeated(path, number, item.id, lines[item.id]))
            lines[item.id] = number


def sample(items: Sequence[Item], most: int) -> Sequence[Item]:
    """At most so many of the items, evenly spaced over them: all where they are no more."""
    if len(items) <= most:
        return items
    places_M = np.linspace(0, len(items) - 1, most).astype(int)
    if isinstance(items, StoredItems):
        return StoredItems(items.path, items.begins_N[places_M], items.sizes_N[places_M])
    return [items[place] for place in places_M]
