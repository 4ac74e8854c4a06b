"""Published files, and the pictures that they name: what all scripts for pictures share.

Files are found by name anywhere under the raw folder. Pictures are decoded once, in several processes, by the reader
that training uses, so that preparation and training agree on what is readable.
"""

import hashlib
import json
import os
import signal
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

from tqdm import tqdm

from seqkit.cli import Parser
from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.translation.pairs import write_stats
from seqkit.errors import InputError

FEW = 200  # pictures that are checked before other processes would have started
CHUNK = 32  # pictures that a process takes at a time
SMALL = 64  # pixels of a side: a JPEG is read to its end all the same, in less time

Value = TypeVar("Value")
Files = Mapping[str, Sequence[Path]]  # every place of a file, by its name


def files_below(raw: Path) -> Files:
    """Every file at any depth, folders that are links included. Raises InputError where `raw` is no folder."""
    if not raw.is_dir():
        raise InputError(f"{raw}: must be a folder that holds the published files, got no folder")
    files: dict[str, list[Path]] = defaultdict(list)
    entered: set[str] = set()
    for folder, folders, names in os.walk(raw, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:  # a link to a folder above it would never end
            folders.clear()
            continue
        entered.add(real)
        folders.sort()
        for name in sorted(names):
            files[name].append(Path(folder, name))
    return files


def one_file(files: Files, name: str) -> Path | None:
    """The published file of that name, or None. Raises InputError for several that differ."""
    paths = files.get(name, ())
    for other in paths[1:]:
        if other.read_bytes() != paths[0].read_bytes():
            raise InputError(f"{other}: must be as {paths[0]}, its namesake, got other content; keep one of the two")
    return paths[0] if paths else None


def locate(files: Files, name: str) -> Path | None:
    """The file of a picture: of several with its name, the one in the published folder, else the first."""
    wanted = PurePosixPath(name).parts
    paths = files.get(wanted[-1], ())
    return min(paths, key=lambda path: path.parts[-len(wanted) :] != wanted, default=None)


def read_json(path: Path, hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """`hook` replaces every object. Raises InputError for a file that is not whole JSON."""
    try:
        return json.loads(path.read_bytes(), object_hook=hook)
    except ValueError as error:
        raise InputError(f"{path}: must be whole JSON, got a fault: {error}; unpack or download it again") from None


def value_of(entry: Any, key: str, kind: type[Value], place: str) -> Value:
    """`entry[key]`. Raises InputError, beginning with `place`, where that is not of the kind."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        shown = json.dumps(value, default=repr)[:60]
        raise InputError(f"{place}: `{key}` must be of type {kind.__name__}, got {shown}")
    return value


def entries_of(entry: Any, key: str, place: str) -> Iterator[tuple[str, Any]]:
    """The members of the list `entry[key]`, each after its place."""
    for number, member in enumerate(value_of(entry, key, list, place)):
        yield f"{place}, {key}[{number}]", member


class Look(NamedTuple):
    """What decoding a picture showed."""

    fault: str = ""  # why it must be dropped: missing, empty, truncated or unreadable
    reason: str = ""  # what the reader said of it
    mode: str = "RGB"  # its pixels as Pillow names them: L is grey, P a palette


def look(path: Path) -> Look:
    """Decodes the picture as training will."""
    from PIL import Image

    from seqkit.data.image import read_image

    if not path.is_file():
        return Look("missing")  # a link that leads nowhere
    if path.stat().st_size == 0:
        return Look("empty")
    try:
        read_image(path, at_least=SMALL)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return Look("truncated" if "truncated" in reason else "unreadable", reason)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reader has judged
        with Image.open(path) as picture:
            return Look(mode=picture.mode)


def looks(paths: Sequence[Path], workers: int, title: str) -> Iterator[Look]:
    """`look` at each, in order, with progress."""
    bar = tqdm(total=len(paths), desc=title, unit=" pictures", disable=None)
    if workers == 1 or len(paths) <= FEW:
        for path in paths:
            yield look(path)
            bar.update()
    else:
        # Started afresh, not forked: a fork would copy locks that threads of this process hold.
        quiet = (signal.SIGINT, signal.SIG_IGN)  # an interrupt is this process's to tell
        with ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, quiet) as pool:
            for found in pool.map(look, paths, chunksize=CHUNK):
                yield found
                bar.update()
    bar.close()


class Pictures(NamedTuple):
    """What became of pictures, by the names that a corpus has for them."""

    paths: dict[str, Path]  # of those to keep
    dropped: dict[str, list[str]]  # by fault
    not_rgb: dict[str, list[str]]  # by mode, and kept
    reasons: dict[str, str]  # what the reader said of a picture that it refused


def examine(files: Files, names: Iterable[str], workers: int, title: str) -> Pictures:
    """Finds every picture and decodes it once. Raises InputError for a number of workers that is none."""
    if workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}")
    pictures = Pictures({}, defaultdict(list), defaultdict(list), {})
    found: dict[str, Path] = {}
    for name in names:
        path = locate(files, name)
        if path is None:
            pictures.dropped["missing"].append(name)
        else:
            found[name] = path
    for (name, path), seen in zip(found.items(), looks(list(found.values()), workers, title), strict=True):
        if seen.reason:
            pictures.reasons[name] = seen.reason
        if seen.fault:
            pictures.dropped[seen.fault].append(name)
            continue
        if seen.mode != "RGB":
            pictures.not_rgb[seen.mode].append(name)
        pictures.paths[name] = path
    return pictures


class Kept(NamedTuple):
    """What is left of a split, and its statistics."""

    items: list[Item]
    counts: dict[str, object]


def write_splits(
    out: Path, splits: Iterable[tuple[str, Kept]], read: Sequence[str], more: Mapping[str, dict[str, object]]
) -> dict[str, dict[str, object]]:
    """A manifest for every split of which an item is left, and `stats.json`, with `more` in it; statistics by split.

    `read` names the published files that list the items. Raises InputError where no item is left at all.
    """
    stats: dict[str, dict[str, object]] = {}
    for split, kept in splits:
        if kept.items:
            write_manifest(out / f"{split}.jsonl", kept.items)
        stats[split] = {**kept.counts, "files": list(read)}
    if not any(counts["items"] for counts in stats.values()):
        dropped = ", ".join(f"{split} {counts['dropped']}" for split, counts in stats.items())
        raise InputError(f"{', '.join(read)}: must name readable pictures under --raw, got none; dropped: {dropped}")
    stats |= more
    write_stats(out, stats)
    return stats


def carved(names: Iterable[str], number: int) -> set[str]:
    """`number` of the names, always the same ones whatever their order."""
    return set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:number])


def add_arguments(parser: Parser) -> None:
    """The flags of every preparation script for pictures."""
    parser.add_argument("--raw", type=Path, required=True, help="folder with the published files at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    parser.add_argument("--split", help="put every picture that is found into one split of this name")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes that decode pictures (default: all cores)"
    )


def show(stats: Mapping[str, Mapping[str, object]]) -> None:
    """A line a split; names are in stats.json."""
    for split, counts in stats.items():
        hidden = ("files", "named", "reasons", "remarks")
        print(split, *(f"{key}={value}" for key, value in counts.items() if key not in hidden))
