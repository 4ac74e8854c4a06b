"""`seqkit shards DATA OUT`: a folder of manifests as tar files that webdataset reads, and that recipes train from.

A shard holds samples, one after the other: SPLIT-NUMBER.json, then SPLIT-NUMBER.KEY for every medium, with the ending
of its files where that is the same in all. Readers of others take the first samples for all: in a split every sample
has the same files, an empty one where an item has none, and every JSON the same keys, null where an item has none.
Numbers count the items of a split, so that dots and equal names of the items' own files change nothing; the names stand
in the JSON.

Of `features` with `rows` the sample holds those rows alone. A file that several items share is there for each of them,
as webdataset reads one sample after the other.

S bytes of a shard.
"""

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from seqkit.data.array_file import read_array
from seqkit.data.files import atomic_write, file_hash
from seqkit.data.manifest import MEDIA, Item, as_json, write_manifest
from seqkit.data.manifest_keys import keys_of
from seqkit.data.shards import INDEX, has_file, open_file, path_in, size_of
from seqkit.data.stored_manifest import open_manifest
from seqkit.errors import InputError

BLOCK = tarfile.BLOCKSIZE  # bytes to whose multiples tar fills a file
COPIED = 1 << 20  # bytes that are copied at once
ENDING = re.compile(r"\.[a-z0-9]{1,8}")


class Layout(NamedTuple):
    """What every sample of a split has."""

    keys: tuple[str, ...]  # of its JSON
    files: dict[str, str]  # a medium to what follows the sample's number in the name of its file
    bytes: int  # of all files
    shared: int  # of those, the bytes that are there already for another item


def layout_of(items: Sequence[Item]) -> Layout:
    """The layout of a split. Raises InputError, naming the file, for one that is missing."""
    keys, endings = dict[str, None](), dict[str, set[str]]()
    seen, total, shared = set[Path](), 0, 0
    for item in items:
        keys |= dict.fromkeys(key for key in keys_of(item) if key != "rows" or not item.features)
        for key, path in _media(item):
            if path not in seen and not has_file(path):
                raise InputError(f'{path}, id "{item.id}": no such file; put it there, or take the item out')
            endings.setdefault(key, set()).add(path.suffix.lower())
            if key != "features" or item.rows is None:
                total, shared = total + size_of(path), shared + size_of(path) * (path in seen)
                seen.add(path)
    files = {key: _member(key, endings[key]) for key in MEDIA if key in endings}
    return Layout(tuple(keys), files, total, shared)


def _media(item: Item) -> list[tuple[str, Path]]:
    return [(key, path) for key in MEDIA if (path := getattr(item, key)) is not None]


def _member(key: str, endings: set[str]) -> str:
    ending = next(iter(endings)) if len(endings) == 1 else ""
    return key + (ending if ENDING.fullmatch(ending) else "")


class File(NamedTuple):
    """A file of a sample."""

    key: str
    name: str  # of the item's own file; empty where it has none
    content: IO[bytes]
    size: int


class Shard:
    """A tar file that is being written."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self.file = path, file
        self.items, self.bytes, self.hash = 0, 0, hashlib.sha256()

    def add(self, name: str, content: IO[bytes], size: int) -> int:
        """Adds a file of `size` bytes; returns where its content begins. Raises InputError where it is shorter."""
        header = tarfile.TarInfo(name)
        header.size = size
        self._write(header.tobuf(tarfile.GNU_FORMAT))
        begin, left = self.bytes, size
        while left and (part := content.read(min(COPIED, left))):
            self._write(part)
            left -= len(part)
        if left:
            raise InputError(f"{self.path}: a file must stay as it is while it is copied, got one that became shorter")
        self._write(bytes(-size % BLOCK))
        return begin

    def finish(self) -> dict[str, Any]:
        """Ends the tar file; returns its entry of the index."""
        self._write(bytes(2 * BLOCK))
        self._write(bytes(-self.bytes % tarfile.RECORDSIZE))
        facts = {"file": self.path.name, "items": self.items, "bytes": self.bytes}
        return {**facts, "sha256": self.hash.hexdigest()}

    def _write(self, part: bytes) -> None:
        self.file.write(part)
        self.hash.update(part)
        self.bytes += len(part)


class SplitWriter:
    """Writes the samples of a split, shard by shard; `shards` are the entries of the index."""

    def __init__(self, out: Path, split: str, layout: Layout, most: int) -> None:
        """most: bytes of a shard, which only a single sample exceeds."""
        self.out, self.split, self.layout, self.most = out, split, layout, most
        self.shards: list[dict[str, Any]] = []

    def write(self, items: Sequence[Item]) -> Iterator[Item]:
        """Adds the items; yields them with their media where they lie now."""
        with ExitStack() as opened:
            shard: Shard | None = None
            stem = self.split.replace(".", "_")  # what follows the first dot is the kind of file
            for number, item in enumerate(tqdm(items, self.split, unit=" items", disable=None)):
                with ExitStack() as sources:
                    told, files = self._sample(item, sources)
                    size = sum(2 * BLOCK + file.size for file in files) + 2 * BLOCK + len(told)
                    if shard is not None and shard.bytes + size > self.most:
                        self.shards.append(shard.finish())
                        opened.close()
                        shard = None
                    if shard is None:
                        path = self.out / f"{self.split}-{len(self.shards):06}.tar"
                        shard = Shard(path, opened.enter_context(atomic_write(path)))
                    yield self._add(shard, f"{stem}-{number:09}", item, told, files)
            if shard is not None:
                self.shards.append(shard.finish())

    def _sample(self, item: Item, sources: ExitStack) -> tuple[bytes, list[File]]:
        """The JSON of an item, and its files."""
        files: list[File] = []
        for key in self.layout.files:
            path: Path | None = getattr(item, key)
            if path is None:
                files.append(File(key, "", io.BytesIO(), 0))
            elif key == "features" and item.rows is not None:
                cut = io.BytesIO()
                np.save(cut, read_array(path)[slice(*item.rows)])
                files.append(File(key, path.name, io.BytesIO(cut.getvalue()), cut.tell()))
            else:
                files.append(File(key, path.name, sources.enter_context(open_file(path)), size_of(path)))
        bare = replace(item, rows=_rows(item), **dict.fromkeys(self.layout.files))  # type: ignore[arg-type]
        values = as_json(bare, Path()) | {file.key: file.name for file in files if file.name}
        told = {key: values.get(key) for key in self.layout.keys}
        return json.dumps(told, ensure_ascii=False).encode(), files

    def _add(self, shard: Shard, key: str, item: Item, told: bytes, files: Sequence[File]) -> Item:
        shard.add(f"{key}.json", io.BytesIO(told), len(told))
        places: dict[str, Path] = {}
        for file in files:
            offset = shard.add(f"{key}.{self.layout.files[file.key]}", file.content, file.size)
            if file.name:
                places[file.key] = path_in(shard.path, offset, file.size, file.name)
        shard.items += 1
        return replace(item, rows=_rows(item), **places)  # type: ignore[arg-type]


def _rows(item: Item) -> tuple[int, int] | None:
    """The rows of an item whose features are cut to them already."""
    return None if item.features else item.rows


def write_shards(data: Path, out: Path, *, most: int) -> dict[str, Any]:
    """Writes every manifest of the folder `data` as shards of at most `most` bytes to `out`; returns the index.

    Raises InputError for a folder without manifests, an `out` that is there already, a missing file, and a disk without
    room.
    """
    paths = sorted(data.glob("*.jsonl"))
    if not paths:
        raise InputError(f"{data}: must be a folder with manifests such as train.jsonl, got no *.jsonl in it")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"`OUT` must be a new folder, got {out}, which is there; remove it or name another")
    index: dict[str, Any] = {"format": 1, "splits": {}}
    for path in paths:
        items = open_manifest(path)
        layout = layout_of(items)
        _check_room(out, layout.bytes)
        writer = SplitWriter(out, path.stem, layout, most)
        write_manifest(out / path.name, writer.write(items))
        about = {"items": len(items), "bytes": size_of(out / path.name), "sha256": file_hash(out / path.name)}
        index["splits"][path.stem] = {**about, "shared": layout.shared, "shards": writer.shards}
    with atomic_write(out / INDEX) as file:
        file.write(json.dumps(index, indent=1).encode() + b"\n")
    return index


def _check_room(out: Path, need: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out).free
    if need > free:
        raise InputError(
            f"{out}: disk must have {need / 1e9:.1f} GB of room, got {free / 1e9:.1f} GB; free some or choose another"
        )


def summary(index: dict[str, Any]) -> Iterator[str]:
    """A line for every split: items, shards, bytes."""
    for split, about in index["splits"].items():
        size = sum(shard["bytes"] for shard in about["shards"])
        line = f"{split}: {about['items']:,} items in {len(about['shards']):,} shards, {size / 1e6:,.1f} MB"
        if about["shared"]:
            line += f"; {about['shared'] / 1e6:,.1f} MB of them are further copies of files that items share"
        yield line
