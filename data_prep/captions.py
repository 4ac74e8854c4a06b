"""Pictures with their captions, from any corpus, to manifests: what flickr8k.py and coco.py share.

Pictures are found by file name anywhere under the raw folder and decoded once, in several processes, by the reader
that training uses, so that preparation and training agree on what is readable. A picture that is missing, empty,
truncated or unreadable is dropped; one that is not RGB is kept. Both are counted and named in `stats.json`.
Captions stay as published.
"""

import os
import signal
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from data_prep.parallel import write_stats
from seqkit.cli import Parser
from seqkit.data.manifest import Item, write_manifest
from seqkit.errors import InputError

FEW = 200  # pictures that are checked before other processes would have started
CHUNK = 32  # pictures that a process takes at a time
SMALL = 64  # pixels of a side: a JPEG is read to its end all the same, in less time


class Captioned(NamedTuple):
    """A picture as a corpus lists it."""

    name: str  # of its file, perhaps with the published folder before it
    captions: tuple[str, ...]


class Look(NamedTuple):
    """What decoding a picture showed."""

    fault: str = ""  # why it must be dropped: missing, empty, truncated or unreadable
    reason: str = ""  # what the reader said of it
    mode: str = "RGB"  # its pixels as Pillow names them: L is grey, P a palette


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


class Kept(NamedTuple):
    """What became of a split's pictures; the lists are their names."""

    items: list[Item]
    dropped: dict[str, list[str]]  # by fault
    not_rgb: dict[str, list[str]]  # by mode, and kept
    reasons: dict[str, str]  # what the reader said of a picture that it refused, by name


def write_splits(
    out: Path, files: Files, splits: Mapping[str, Sequence[Captioned]], *, read: Sequence[str], workers: int,
    unlisted: int = 0,
) -> dict[str, dict[str, object]]:
    """A manifest for every split of which a picture is left, and `stats.json`; statistics by split.

    `read` names the published files of captions, `unlisted` counts their pictures that are in no split.
    Raises InputError where no picture is left at all, or two would have one id.
    """
    if workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}")
    _unique(splits)
    stats: dict[str, dict[str, object]] = {}
    for split, listed in splits.items():
        kept = _keep(files, listed, workers, split)
        if kept.items:
            write_manifest(out / f"{split}.jsonl", kept.items)
        stats[split] = {**_counted(listed, kept), "files": list(read)}
    if not any(counts["items"] for counts in stats.values()):
        dropped = ", ".join(f"{split} {counts['dropped']}" for split, counts in stats.items())
        raise InputError(f"{', '.join(read)}: must name readable pictures under --raw, got none; dropped: {dropped}")
    if unlisted:
        stats["unlisted"] = {"images": unlisted, "left_out": "in none of the lists"}
    write_stats(out, stats)
    return stats


def _unique(splits: Mapping[str, Sequence[Captioned]]) -> None:
    first: dict[str, str] = {}
    for split, listed in splits.items():
        for name, _ in listed:
            here = f"{name} of {split}"
            if _id(name) in first:
                raise InputError(
                    "pictures must differ in their names without folder and ending, "
                    f"got {first[_id(name)]} and {here}; rename one of the two, or keep it in one place"
                )
            first[_id(name)] = here


def _id(name: str) -> str:
    return PurePosixPath(name).stem


def _keep(files: Files, listed: Sequence[Captioned], workers: int, title: str) -> Kept:
    kept = Kept([], defaultdict(list), defaultdict(list), {})
    found: list[tuple[str, tuple[str, ...], Path]] = []
    for name, published in listed:
        captions = tuple(filter(str.strip, published))  # an empty one can be neither learnt nor scored
        path = locate(files, name)
        if path is None or not captions:
            kept.dropped["missing" if path is None else "no_caption"].append(name)
        else:
            found.append((name, captions, path))
    for (name, captions, path), seen in zip(found, looks([p for *_, p in found], workers, title), strict=True):
        if seen.reason:
            kept.reasons[name] = seen.reason
        if seen.fault:
            kept.dropped[seen.fault].append(name)
            continue
        if seen.mode != "RGB":
            kept.not_rgb[seen.mode].append(name)
        kept.items.append(Item(id=_id(name), image=path, references=captions))
    return kept


def _counted(listed: Sequence[Captioned], kept: Kept) -> dict[str, object]:
    """Counts first, then the names behind them."""
    empty = [name for name, captions in listed for caption in captions if not caption.strip()]
    return {
        "images": len(listed),
        "items": len(kept.items),
        "references": sum(len(item.references) for item in kept.items),
        "dropped": {fault: len(names) for fault, names in kept.dropped.items()},
        "not_rgb": {mode: len(names) for mode, names in kept.not_rgb.items()},
        "empty_captions": len(empty),
        "named": {**kept.dropped, **kept.not_rgb, **({"empty_captions": empty} if empty else {})},
        "reasons": kept.reasons,
    }


def add_arguments(parser: Parser) -> None:
    """The flags of every preparation script for captions."""
    parser.add_argument("--raw", type=Path, required=True, help="folder with the published files at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    parser.add_argument("--split", help="put every picture that is found into one split of this name")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes that decode pictures (default: all cores)"
    )


def show(stats: Mapping[str, Mapping[str, object]]) -> None:
    """A line a split; names are in stats.json."""
    for split, counts in stats.items():
        print(split, *(f"{key}={value}" for key, value in counts.items() if key not in ("files", "named", "reasons")))
