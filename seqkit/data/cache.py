"""Feature cache: features of a frozen CNN, computed once and read one image at a time.

A file that was not touched since it was seen (path, size and times are the same) costs no more than a look at it; one
that was moved, copied or touched is known by the SHA-256 of its bytes; only new bytes are decoded, by threads, while
the CNN computes. `seqkit.data.feature_store` says what lies in the folder.

N pictures, B batch.
"""

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from hashlib import blake2b, file_digest
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from seqkit.data.feature_store import FeatureStore, HalfArray, StoreWriter, locked, open_store, plain, read_record
from seqkit.data.image import Pixels, Square, to_pixels
from seqkit.data.shards import file_behind, open_file
from seqkit.errors import InputError

Extract = Callable[[Tensor], Sequence[Tensor]]  # uint8 pixels (B, 3, size, size) to arrays that begin with B
Read = tuple[bytes, Pixels | None] | InputError  # the hash of a file and, where they are needed, its pixels
Stamps = NDArray[np.bytes_]
WORKERS = min(8, os.cpu_count() or 1)  # threads that read and decode; that work leaves Python's lock


class FeatureCache:
    """The features of N images in the order of the request: a row number per image, and a file that is opened for each
    access. It needs little memory and can be passed to other processes."""

    def __init__(self, records: FeatureStore, rows_N: NDArray[np.int64], bad: Mapping[int, str]) -> None:
        self.data_file, self.shapes, self.rows_N = records.data_file, records.shapes, rows_N
        self.bad = bad
        """what is wrong with each picture that has no features, by its number"""
        self.ends = np.cumsum([prod(shape) for shape in self.shapes], dtype=int).tolist()

    def __len__(self) -> int:
        return len(self.rows_N)

    def __getitem__(self, number: int) -> tuple[HalfArray, ...]:
        """The float16 arrays that `extract` gave for one picture. Raises InputError for a bad one."""
        number = range(len(self))[number]
        if number in self.bad:
            raise InputError(self.bad[number])
        record_W = read_record(self.data_file, int(self.rows_N[number]), self.ends[-1])
        parts = np.split(record_W, self.ends[:-1])
        return tuple(part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True))


def build_cache(
    folder: Path,
    paths: Sequence[Path],
    extract: Extract,
    key: Mapping[str, Any],
    *,
    square: Square,
    batch: int = 32,
    skip_bad: bool = False,
) -> FeatureCache:
    """Returns the features of images, from the cache in `folder` where it has them, else computed and added to it.

    extract: the CNN, as a Backbone's `extractor()`; it is called without gradients. key: all that decides what it
    gives for its pixels, as a Backbone's `key()`; `square` and the pictures' bytes are added here. A cache with
    another key, or a damaged one, is made anew, which a line on stderr says. An interrupt keeps all whole batches.
    Raises InputError for the first picture that cannot be read, or with `skip_bad` lists them all in `bad` of the
    result; and for a disk without room.
    """
    folder, wanted = Path(folder), json.loads(json.dumps({**key, **square.key()}))
    stamps = np.fromiter(map(stamp_of, paths), "S16", len(paths))
    records, bad = open_store(folder, wanted), dict[int, str]()
    if (records.rows(stamps) < 0).any():
        with locked(folder):
            records = open_store(folder, wanted)
            if records.complaint:
                print(f"{folder}: {records.complaint}", file=sys.stderr, flush=True)
            todo = np.flatnonzero(records.rows(stamps) < 0).tolist()
            with StoreWriter(folder, wanted, records, len(todo)) as writer:
                read = partial(_read, paths, stamps, square, writer)
                with closing(_ahead(read, todo, 2 * batch + WORKERS)) as reads:
                    shown = tqdm(reads, folder.name, len(todo), unit=" images", disable=None)
                    bad = _fill(writer, shown, stamps, partial(_features, extract), batch, skip_bad)
        records = open_store(folder, wanted)
    return FeatureCache(records, records.rows(stamps), bad)


def _fill(
    writer: StoreWriter,
    reads: Iterable[tuple[int, Read]],
    stamps: Stamps,
    features: Callable[[Sequence[Pixels]], list[HalfArray]],
    batch: int,
    skip_bad: bool,
) -> dict[int, str]:
    """Adds what was read; returns the faults of the other images by number."""
    bad: dict[int, str] = {}
    waiting: dict[bytes, Pixels] = {}  # by content, so that copies are computed once
    seen: list[tuple[bytes, bytes]] = []

    def flush() -> None:
        if waiting:
            writer.add(list(waiting), features(list(waiting.values())))
        for stamp, content in seen:
            writer.note(stamp, content)
        waiting.clear()
        seen.clear()

    for number, read in reads:
        if isinstance(read, InputError):
            if not skip_bad:
                raise read
            bad[number] = str(read)
            continue
        content, pixels = read
        seen.append((stamps[number], content))
        if pixels is not None and writer.find(content) is None:
            waiting[content] = pixels
        if len(waiting) in (0, batch):
            flush()
    flush()
    return bad


def _features(extract: Extract, squares: Sequence[Pixels]) -> list[HalfArray]:
    with torch.no_grad():
        arrays = [array.detach().to("cpu", torch.float16).numpy() for array in extract(to_pixels(squares))]
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("`extract` must give numbers of a size below 65504, the largest of half precision, got others")
    return arrays


def _read(paths: Sequence[Path], stamps: Stamps, square: Square, writer: StoreWriter, number: int) -> Read:
    """The hash of a file's bytes, and its pixels unless the cache has those bytes."""
    path = paths[number]
    try:
        if not stamps[number]:
            raise InputError(f"{path}: no such picture; correct the path or fetch the file")
        with open_file(path) as file:
            content = plain(file_digest(file, "sha256").digest())
        return content, None if writer.find(content) else square.read(path)
    except OSError as error:
        return InputError(f"{path}: must be a file that can be read, got {error.strerror}; correct its rights")
    except InputError as error:
        return error


def stamp_of(path: Path) -> bytes:
    """Returns a stamp that changes when the file is written, moved or touched; empty where there is none."""
    try:
        status = os.stat(file_behind(path))
    except OSError:
        return b""
    facts = f"\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}".encode()
    return plain(blake2b(os.fsencode(os.path.abspath(path)) + facts, digest_size=16).digest())


def _ahead(work: Callable[[int], Read], numbers: Sequence[int], depth: int) -> Generator[tuple[int, Read], None, None]:
    """Yields results in order; threads work up to `depth` ahead."""
    pool, rest = ThreadPoolExecutor(WORKERS), iter(numbers)
    try:
        pending = deque((number, pool.submit(work, number)) for number in islice(rest, depth))
        while pending:
            number, future = pending.popleft()
            yield number, future.result()
            pending.extend((number, pool.submit(work, number)) for number in islice(rest, 1))
    finally:
        pool.shutdown(cancel_futures=True)
