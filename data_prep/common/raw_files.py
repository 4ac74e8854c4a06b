"""Published files under `--raw`: found by name at any depth, and JSON read so that every fault has a place."""

import filecmp
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from seqkit.data.files import open_bytes, shown, strict_json, unique_keys
from seqkit.data.packed import FAULTS
from seqkit.errors import InputError

T = TypeVar("T")
Files = Mapping[str, Sequence[Path]]  # all paths of a file name, sorted


def find_files(raw: Path) -> Files:
    """Every file at any depth, linked folders included. Raises InputError where `raw` is no folder."""
    if not raw.is_dir():
        raise InputError(f"{raw}: must be a folder that holds the published files, got no folder")
    files: dict[str, list[Path]] = defaultdict(list)
    visited: set[str] = set()
    for folder, folders, names in os.walk(raw, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:  # a link to a folder above it would never end
            folders.clear()
            continue
        visited.add(real)
        folders.sort()
        for name in sorted(names):
            files[name].append(Path(folder, name))
    return files


def published_file(files: Files, name: str) -> Path | None:
    """The published file of that name, or None. Raises InputError for several that differ."""
    paths = files.get(name, ())
    for other in paths[1:]:
        check_copy(paths[0], other)
    return paths[0] if paths else None


def check_copy(first: Path, other: Path) -> None:
    """Raises InputError, naming both, for two files of one name that differ."""
    if first != other and not filecmp.cmp(first, other, shallow=False):
        raise InputError(f"{other}: must be as {first}, its namesake, got other content; keep one of the two")


def find_image(files: Files, name: str) -> Path | None:
    """The file of an image: of several with its name, the one in the published folder, else the first."""
    return next(iter(_candidates(files, name)), None)


def differing_copies(files: Files, name: str) -> list[Path]:
    """Files that could as well be that of `find_image`, and have other content."""
    paths = _candidates(files, name)
    return [other for other in paths[1:] if not filecmp.cmp(paths[0], other, shallow=False)]


def _candidates(files: Files, name: str) -> list[Path]:
    wanted = PurePosixPath(name).parts
    paths = files.get(wanted[-1], ())
    return [path for path in paths if path.parts[-len(wanted) :] == wanted] or list(paths)


def read_json(path: Path, hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Reads JSON, plain or packed; `hook` replaces every object. Raises InputError for a file that is not whole JSON,
    and for a key given twice."""

    def unique(pairs: list[tuple[str, Any]]) -> Any:
        entry = unique_keys(pairs, str(path))
        return hook(entry) if hook else entry

    try:
        with open_bytes(path) as file:
            return strict_json(file.read(), unique)
    except InputError:
        raise
    except (ValueError, RecursionError, *FAULTS) as error:
        raise InputError(f"{path}: must be whole JSON, got a fault: {error}; unpack or download it again") from None


class UniqueKeys:
    """Ids with the places where they stand; the same id at a second place is an error that names both."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[Hashable, str] = {}

    def add(self, key: Hashable, place: str) -> None:
        """Raises InputError for a key that was added before."""
        if key in self.places:
            raise InputError(
                f"{place}: `{self.name}` must be unique, got {key!r}, which {self.places[key]} has; "
                "take out one of the two"
            )
        self.places[key] = place


def value_of(entry: Any, key: str, kind: type[T], place: str) -> T:
    """`entry[key]`. Raises InputError, beginning with `place`, where that is not of the type `kind`."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise InputError(f"{place}: `{key}` must be of type {kind.__name__}, got {shown(value)}")
    return value


def entries_of(entry: Any, key: str, place: str) -> Iterator[tuple[str, Any]]:
    """The members of the list `entry[key]`, each after its place."""
    for number, member in enumerate(value_of(entry, key, list, place)):
        yield f"{place}, {key}[{number}]", member
