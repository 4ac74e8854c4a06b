"""Where data are: a folder of manifests, or a corpus in shards by its folder, its address, or a pattern of shards.

    --data DIR                                        manifests, with media beside them or in shards
    --data https://HOST/CORPUS                        the same behind an address
    --data 'DIR/train-{000000..000003}.tar'           of the splits that are named these shards alone, others whole
    --data 'https://HOST/CORPUS/{train,val}-*.tar'

Manifests are small beside media: those of an address are copied below the cache folder and kept as long as they are the
same; media are read where they lie.
"""

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice, product
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from urllib.parse import quote

from seqkit.data.feature_store import locked
from seqkit.data.files import atomic_write, file_hash, parse_json, read_json
from seqkit.data.shards import ADDRESS, INDEX, fetch
from seqkit.errors import InputError

PIECE = 8 << 20  # bytes of a manifest that are asked for at once
BRACES = re.compile(r"\{([^{}]*)\}")
NAME = re.compile(r"[^/\\\0]{1,100}")  # of a file: nothing that leads elsewhere
RANGE = re.compile(r"(\d+)\.\.(\d+)")


def find_data(word: str | PathLike[str], splits: Sequence[str] | None = None) -> Path:
    """The folder of the manifests that a word of `--data` stands for.

    splits: those whose shards must be there, as far as they lie on a disk; None for all. Raises InputError for an
    address or pattern that leads to none, and for a shard that is missing or cut off.
    """
    text = fspath(word).replace("\\", "/") if ADDRESS.match(fspath(word)) else fspath(word)
    base, _, last = text.rpartition("/")
    pattern = last if last.endswith(".tar") else ""
    folder = base or "." if pattern else text.rstrip("/") or text
    found = _copied(ADDRESS.sub(r"\1://\2", folder)) if ADDRESS.match(folder) else Path(folder)
    if pattern:
        found = _limited(found, pattern, text)
    if (found / INDEX).is_file():
        _check_shards(found, splits)
    return found


def word_of(data: Path) -> str:
    """The word that a folder was found by, for a config: its path, an address or a pattern."""
    index = read_json(data / INDEX) if (data / INDEX).is_file() else {}
    return str(index["asked"]) if isinstance(index, dict) and "asked" in index else str(data.resolve())


def _copied(address: str) -> Path:
    """The copy of the manifests at an address, brought up to date."""
    content = fetch(f"{address}/{INDEX}")
    index = _valid(parse_json(content, f"{address}/{INDEX}"), f"{address}/{INDEX}")
    folder = _cache(address)
    with locked(folder):
        for split, about in index["splits"].items():
            path = folder / f"{split}.jsonl"
            if not path.is_file() or file_hash(path) != about["sha256"]:
                with atomic_write(path) as file:
                    for offset in range(0, about["bytes"], PIECE):
                        file.write(fetch(f"{address}/{quote(path.name)}", offset, min(PIECE, about["bytes"] - offset)))
                if file_hash(path) != about["sha256"]:
                    path.unlink()
                    raise InputError(
                        f"{address}/{path.name}: must be the manifest that {INDEX} names, got another or a part; "
                        "upload it again"
                    )
        _write_index(folder, {**index, "at": address, "asked": address})
    return folder


def _limited(source: Path, pattern: str, word: str) -> Path:
    """Copies of the manifests of a folder; of splits of which shards match the pattern, the items of those alone."""
    index = _valid(read_json(source / INDEX), str(source / INDEX))
    chosen: dict[str, list[bool]] = {}
    for split, about in index["splits"].items():
        matches = [_matches(shard["file"], pattern) for shard in about["shards"]]
        chosen[split] = matches if any(matches) else [True] * len(matches)
    if all(all(own) for own in chosen.values()) and not any(
        _matches(shard["file"], pattern) for about in index["splits"].values() for shard in about["shards"]
    ):
        raise InputError(f"{word}: must match shards that {source / INDEX} names, got none")
    at = index.get("at") or str(source.resolve())
    folder = _cache(f"{at}/{pattern}")
    with locked(folder):
        splits = {}
        for split, about in index["splits"].items():
            path = folder / f"{split}.jsonl"
            if not (source / path.name).is_file():
                raise InputError(f"{source / path.name}: must be there, as {source / INDEX} names it; fetch it again")
            kept = [shard for shard, own in zip(about["shards"], chosen[split], strict=True) if own]
            with (source / path.name).open("rb") as lines, atomic_write(path) as file:
                for shard, own in zip(about["shards"], chosen[split], strict=True):
                    for line in islice(lines, shard["items"]):
                        if own:
                            file.write(line)
            items = sum(shard["items"] for shard in kept)
            splits[split] = {"items": items, "bytes": path.stat().st_size, "sha256": file_hash(path), "shards": kept}
        asked = word if ADDRESS.match(word) else os.path.abspath(word)
        _write_index(folder, {**index, "splits": splits, "at": at, "asked": asked})
    return folder


def _matches(name: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, own) for own in expand_braces(pattern))


def expand_braces(pattern: str) -> Iterator[str]:
    """The patterns that one with braces stands for, as in a shell: {a,b} and {000..012}."""
    parts = BRACES.split(pattern)
    choices = []
    for number, part in enumerate(parts):
        if number % 2 == 0:
            choices.append([part])
        elif found := RANGE.fullmatch(part):
            width = len(found[1])
            choices.append([f"{n:0{width}}" for n in range(int(found[1]), int(found[2]) + 1)])
        else:
            choices.append(part.split(","))
    return map("".join, product(*choices))


def _check_shards(folder: Path, splits: Sequence[str] | None) -> None:
    """Raises InputError for a shard on a disk that is missing, or of another size than the index says."""
    index = _valid(read_json(folder / INDEX), str(folder / INDEX))
    at = str(index.get("at") or folder)
    if ADDRESS.match(at):
        return
    for split in index["splits"] if splits is None else splits:
        for shard in index["splits"].get(split, {"shards": ()})["shards"]:
            path = Path(at) / shard["file"]
            size = path.stat().st_size if path.is_file() else None
            if size != shard["bytes"]:
                there = "no such file" if size is None else f"{size:,}"
                raise InputError(
                    f"{path}: must be a shard of {shard['bytes']:,} bytes, got {there}; fetch it again, or make the "
                    "shards anew"
                )


def _valid(index: Any, name: str) -> dict[str, Any]:
    """An index, of which what is read here has the right types. Raises InputError for one that has not."""
    try:
        for split, about in index["splits"].items():
            shards = [(str(own["file"]), own["items"], own["bytes"]) for own in about["shards"]]
            counts = [about["bytes"], *(count for _, *own in shards for count in own)]
            if not all(type(count) is int and 0 <= count < 2**62 for count in counts):
                raise ValueError
            if not all(NAME.fullmatch(part) for part in (split, *(file for file, _, _ in shards))):
                raise ValueError
            about["sha256"] = str(about["sha256"])
        return dict(index)
    except (TypeError, KeyError, ValueError, AttributeError):
        raise InputError(f"{name}: must be an index as `seqkit shards` writes it, got a damaged one") from None


def _write_index(folder: Path, index: dict[str, Any]) -> None:
    content = json.dumps(index, indent=1).encode() + b"\n"
    if not (folder / INDEX).is_file() or (folder / INDEX).read_bytes() != content:  # features are known by its time
        with atomic_write(folder / INDEX) as file:
            file.write(content)


def _cache(word: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqkit"
    return cache / f"data-{hashlib.sha256(word.encode()).hexdigest()[:16]}"
