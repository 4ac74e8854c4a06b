"""Manifests: JSON lines, one item per line. Preparation scripts write them, recipes read them.

In a file, media paths are relative to the file's own folder or absolute; in an Item they are ready to open.
Times are seconds, rows count from 0.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from seqkit.data.files import atomic_write, parse_json, read_lines, shown
from seqkit.data.text import printable
from seqkit.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One line of a manifest; a key that the item has not is None or empty."""

    id: str
    source: str | None = None
    image: Path | None = None
    video: Path | None = None
    audio: Path | None = None
    question: str | None = None
    references: tuple[str, ...] = ()  # the first is the training target unless the recipe says otherwise
    answers: tuple[str, ...] = ()
    start: float | None = None  # seconds; with `end`, the cut of the media that is the item
    end: float | None = None
    seconds: float | None = None
    speaker: str | None = None
    words: tuple[tuple[str, float, float], ...] = ()  # word, start, end in seconds
    boxes: tuple[tuple[float, ...], ...] = ()
    features: Path | None = None  # a .npy of shape (time, width)
    rows: tuple[int, int] | None = None  # [first, end) of `features`
    extra: Mapping[str, Any] = field(default_factory=dict)  # keys unknown here, kept as they came


MEDIA = ("image", "video", "audio", "features")
LISTS = ("references", "answers")  # of which an empty one is as none
KEYS = tuple(f.name for f in fields(Item) if f.name != "extra")


def read_manifest(path: Path, *, needed: Sequence[str] = ()) -> list[Item]:
    """Reads every item of a manifest, in its order.

    Raises InputError, naming file, line, id and key, for the first line that is not a valid item or lacks one of the
    keys `needed`, and for a file that is missing or empty.
    """
    items: list[Item] = []
    lines: dict[str, int] = {}
    for number, item in checked_items(path, needed):
        if item.id in lines:
            raise InputError(repeated(path, number, item.id, lines[item.id]))
        lines[item.id] = number
        items.append(item)
    return items


def checked_items(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, Item]]:
    """Yields (line number, item) of a manifest, whose ids may not be unique yet. Raises what `read_manifest` raises of
    the rest."""
    number = 0
    for number, item in _parsed(Path(path)):
        for key in needed:
            if getattr(item, key) in (None, ()):
                raise InputError(
                    f'{path}, line {number}, id "{item.id}": `{key}` must be given, got none; '
                    "add it, or take the item out"
                )
        yield number, item
    if not number:
        raise InputError(f"{path}: must hold at least one item, got an empty file")


def repeated(path: Path, number: int, name: str, before: int) -> str:
    """The fault of an id that an earlier line has."""
    place = f'{path}, line {number}, id "{name}"'
    return f"{place}: `id` must be unique, got one that line {before} has; rename one of the two"


def write_manifest(path: Path, items: Iterable[Item]) -> int:
    """Writes a manifest atomically; returns the number of items.

    Media inside the manifest's folder are written relative to it, others absolute. The caller keeps ids unique, so that
    millions of items can stream through. Raises InputError for an item that is not valid.
    """
    path, number = Path(path), 0
    folder = Path(os.path.abspath(path.parent))
    with atomic_write(path) as file:
        for number, item in enumerate(items, 1):
            values = as_json(item, folder)
            parse_item(values, folder, f"{path}, line {number}")
            file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
    return number


def parse_line(line: str, folder: Path, place: str) -> Item:
    """Parses one line of a manifest in `folder`; `place` begins every InputError."""
    return parse_item(parse_json(line, place, finite=False), folder, place)


def parse_item(values: Any, folder: Path, place: str) -> Item:
    """Makes an item of a decoded JSON line, media paths joined to `folder`; `place` begins every InputError."""
    if not isinstance(values, dict):
        raise InputError(f"{place}: must be a JSON object, got {shown(values)}")
    if "id" not in values:
        raise InputError(f"{place}: key `id` is missing; give every item a unique text as `id`")
    name = values["id"]
    if not _is_text(name) or not name.strip():
        raise InputError(f"{place}: `id` must be a non-empty text, got {shown(name)}")
    found: dict[str, Any] = {"id": name, "extra": {k: v for k, v in values.items() if k not in KEYS}}
    for key, value in values.items():
        if key not in CHECKS or value is None or (key in LISTS and value == []):
            continue
        wanted, valid, convert = CHECKS[key]
        if not valid(value):
            raise InputError(f'{place}, id "{name}": `{key}` must be {wanted}, got {shown(value)}')
        found[key] = folder / value if key in MEDIA else convert(value)
    for key, value in found["extra"].items():
        try:
            usual = _is_text(key) and _is_usual(value)
        except RecursionError:
            raise InputError(f'{place}, id "{name}": `{key}` must not be nested so deep') from None
        if not usual:
            wanted = "finite numbers and whole characters"
            raise InputError(f'{place}, id "{name}": `{printable(key)}` must hold {wanted}, got {shown(value)}')
    item = Item(**found)
    if item.end is not None and item.end <= (item.start or 0.0):
        raise InputError(
            f'{place}, id "{name}": `end` must be after `start` ({item.start or 0.0:g} seconds), got {item.end:g}'
        )
    return item


def _parsed(path: Path) -> Iterator[tuple[int, Item]]:
    """Yields (line number, item); blank lines are skipped."""
    if not path.is_file():
        others = ", ".join(sorted(p.name for p in path.parent.glob("*.jsonl"))) or "none"
        raise InputError(f"{path}: no such manifest; manifests in this folder: {others}")
    for number, line in read_lines(path):
        if line.strip():
            yield number, parse_line(line, path.parent, f"{path}, line {number}")


def as_json(item: Item, folder: Path) -> dict[str, Any]:
    """An item as the object of its line in a manifest of `folder`: only the keys that it has."""
    values: dict[str, Any] = {}
    for key in KEYS:
        value = getattr(item, key)
        if value is None or value == ():
            continue
        if key in MEDIA:
            absolute = Path(os.path.abspath(value))
            value = str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)
        values[key] = value
    plain: dict[str, Any] = json.loads(json.dumps(values))  # tuples become lists, as a reader sees them
    return plain | dict(item.extra)


_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: JSON can spell it, no file can hold it


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not _SURROGATE.search(value)


def _is_path(value: Any) -> bool:
    return _is_text(value) and value.strip() != "" and "\0" not in value


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_is_text, value))


def _is_number(value: Any) -> bool:
    """Tells whether the value is a finite number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_usual(value: Any) -> bool:
    """Tells whether no number in a value of JSON is NaN or infinite, and no text has half a character."""
    if isinstance(value, float):
        return abs(value) <= sys.float_info.max
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return not isinstance(value, list) or all(map(_is_usual, value))


def _is_seconds(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(w, list) and len(w) == 3 and _is_text(w[0]) and all(map(_is_seconds, w[1:])) and w[1] <= w[2]
        for w in value
    )


def _is_boxes(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(b, list) and len(b) == 4 and all(map(_is_number, b)) for b in value
    )


def _is_rows(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2 and all(type(n) is int for n in value)
    return pair and bool(0 <= value[0] < value[1] < 2**63)


def _nested(value: list[list[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(map(tuple, value))


_TEXT = ("a text", _is_text, str)
_PATH = ("a path", _is_path, Path)
_SECONDS = ("seconds, a finite number from 0 up", _is_seconds, float)
CHECKS: dict[str, tuple[str, Callable[[Any], bool], Callable[[Any], Any]]] = {
    "source": _TEXT,
    "question": _TEXT,
    "speaker": _TEXT,
    "image": _PATH,
    "video": _PATH,
    "audio": _PATH,
    "features": _PATH,
    "references": ("a list of at least one text", _is_texts, tuple),
    "answers": ("a list of at least one text", _is_texts, tuple),
    "start": _SECONDS,
    "end": _SECONDS,
    "seconds": _SECONDS,
    "words": ("a list of [word, start_seconds, end_seconds]", _is_words, _nested),
    "boxes": ("a list of boxes of four numbers", _is_boxes, _nested),
    "rows": ("[first, end) with 0 <= first < end", _is_rows, tuple),
}
