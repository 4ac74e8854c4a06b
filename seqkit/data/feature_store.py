"""Feature store: a growing file of float16 records of one size, indexed by the files they were computed from.

A store is a folder:
    cache.json          what the records depend on (the key), the shapes of a record's arrays, the names of the others
    features-*.f16      the records, one after the other
    index-*.bin         an ENTRY for every version of a file that was seen; of two with one stamp the later holds
    cache.lock          held by the one process that adds

An entry joins a file as it is on disk (its stamp) and its bytes (their SHA-256) to a row. Entries are written after
their records are on the disk: whatever stops a process, the index never promises more than there is. A million entries
are 64 MB and are looked up at once. Records of another key go to files of another name, so that a process which reads
the old ones never gets the new; rows that no file needs any more stay until then.

N files asked for, R entries, B records added at once, W numbers a record.
"""

import errno
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from math import prod
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from seqkit.data.file_lock import try_lock, unlock
from seqkit.data.files import atomic_write, strict_json
from seqkit.errors import InputError

HalfArray = NDArray[np.float16]
ENTRY = np.dtype([("stamp", "S16"), ("content", "S32"), ("row", "<i8"), ("check", "<u4"), ("unused", "<u4")])
HEADER, FORMAT = "cache.json", 1
_DATA, _INDEX = re.compile(r"features-[0-9a-f]+\.f16"), re.compile(r"index-[0-9a-f]+\.bin")
SAMPLE = 16  # records whose checksum is compared on opening
WAIT = 0.2  # seconds between two looks at the lock of another process
COMMIT = 5.0  # seconds of work that a machine which loses power may lose


def plain(digest: bytes) -> bytes:
    """Strips trailing zeros of a hash, as numpy does in fixed-size bytes."""
    return digest.rstrip(b"\0")


class FeatureStore(NamedTuple):
    """The usable records of a folder; `complaint` says why some are left out."""

    data_file: Path
    index_file: Path
    shapes: tuple[tuple[int, ...], ...] = ()
    entries_R: NDArray[Any] = np.empty(0, ENTRY)
    complaint: str = ""

    @property
    def width(self) -> int:
        return sum(map(prod, self.shapes))

    def rows(self, stamps: Sequence[bytes] | NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Looks up the row of every stamp, -1 where there is none. Sorts both sides: random search is slow."""
        stamps_N = np.asarray(stamps, "S16")
        order_R, turn_N = np.argsort(self.entries_R["stamp"], kind="stable"), np.argsort(stamps_N)
        sorted_R = self.entries_R["stamp"][order_R]
        last_N = np.searchsorted(sorted_R, stamps_N[turn_N], side="right") - 1
        rows_N = np.full(len(stamps_N), -1)
        if len(sorted_R):
            hit_N = (last_N >= 0) & (sorted_R[last_N] == stamps_N[turn_N])
            rows_N[turn_N[hit_N]] = self.entries_R["row"][order_R[last_N[hit_N]]]
        return rows_N


def open_store(folder: Path, key: Mapping[str, Any]) -> FeatureStore:
    """Opens the store in `folder` if it was made with this key and is intact; else an empty one under new names."""
    name = secrets.token_hex(4)
    nothing = FeatureStore(folder / f"features-{name}.f16", folder / f"index-{name}.bin")
    if not (folder / HEADER).exists():
        return nothing
    try:
        header = strict_json((folder / HEADER).read_bytes())
        shapes = tuple(tuple(map(int, shape)) for shape in header["shapes"])
        found = FeatureStore(folder / header["features"], folder / header["index"], shapes)
        if not (_DATA.fullmatch(header["features"]) and _INDEX.fullmatch(header["index"])):
            raise ValueError("names that are not those of a cache")  # or another file would be cut and written to
        theirs = {"format": header["format"], **header["key"]}
        bytes_R = found.index_file.read_bytes()
        stored_R = np.frombuffer(bytes_R, ENTRY, len(bytes_R) // ENTRY.itemsize)
        there = found.data_file.stat().st_size // (2 * found.width)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, RecursionError) as error:
        return nothing._replace(complaint=f"damaged cache made anew ({type(error).__name__}: {error})")
    ours = {"format": FORMAT, **key}
    others = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if others:
        return nothing._replace(complaint=f"cache of another {', '.join(others)} made anew")
    kept_R = stored_R[(stored_R["row"] >= 0) & (stored_R["row"] < there)]
    found = found._replace(entries_R=kept_R)
    if not _intact(found):
        return nothing._replace(complaint="cache whose features do not fit their checksums made anew")
    lost = len(stored_R) - len(kept_R)
    return found._replace(complaint=f"{lost} of {len(stored_R)} pictures cut off in the cache" if lost else "")


def read_record(data_file: Path, row: int, width: int) -> HalfArray:
    """Reads one record (W,). No memory map: it would count all that was ever read as memory in use, and fetch single
    pages from the disk.

    Raises InputError where the file was removed or cut off since it was opened.
    """
    try:
        record_W: HalfArray = np.fromfile(data_file, "<f2", width, offset=row * width * 2)
        if len(record_W) == width:
            return record_W
        fault = f"{len(record_W)} of the {width} numbers of row {row}"
    except OSError as error:
        fault = str(error)
    raise InputError(f"{data_file}: must stay as it was opened, got {fault}; build the cache again")


def _intact(records: FeatureStore) -> bool:
    """Compares the checksums of a sample of records."""
    sample = np.linspace(0, len(records.entries_R) - 1, min(SAMPLE, len(records.entries_R)), dtype=np.int64)
    return all(
        crc32(read_record(records.data_file, int(entry["row"]), records.width).tobytes()) == entry["check"]
        for entry in records.entries_R[sample]
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks `folder` (made where missing) for writing; waits for another process, and says so."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / "cache.lock", "w")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InputError(f"{folder}: must be a folder to write to, got {error.strerror}; choose another") from None
    with file:
        if not try_lock(file.fileno()):
            print(f"{folder}: another process adds to this cache; waiting for it", file=sys.stderr, flush=True)
            while not try_lock(file.fileno()):
                time.sleep(WAIT)
        try:
            yield
        finally:
            unlock(file.fileno())


class StoreWriter:
    """Adds records within a `with` block, whose end always commits them. The caller holds the lock."""

    def __init__(self, folder: Path, key: Mapping[str, Any], records: FeatureStore, expected: int) -> None:
        """expected: about how many records will be added, for which the disk must have room."""
        self.folder, self.key, self.records, self.expected = folder, key, records, expected
        self.row = 1 + int(records.entries_R["row"].max(initial=-1))
        self.order_R = np.argsort(records.entries_R["content"], kind="stable")
        self.contents_R = records.entries_R["content"][self.order_R]
        self.added: dict[bytes, tuple[int, int]] = {}  # row and checksum by content
        self.pending: list[tuple[bytes, bytes, int, int, int]] = []
        self.committed = time.monotonic()
        self.files = ExitStack()

    def __enter__(self) -> "StoreWriter":
        if self.records.shapes:
            self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.files:
            if self.pending:
                self._commit()

    def find(self, content: bytes) -> tuple[int, int] | None:
        """Looks up row and checksum of the record of a file with these bytes. Thread-safe."""
        at = int(np.searchsorted(self.contents_R, np.bytes_(content)))
        if at < len(self.contents_R) and self.contents_R[at] == content:
            entry = self.records.entries_R[self.order_R[at]]
            return int(entry["row"]), int(entry["check"])
        return self.added.get(content)

    def note(self, stamp: bytes, content: bytes) -> None:
        """Records that the file with this stamp has these bytes, whose record exists."""
        found = self.find(content)
        if found is None:
            raise ValueError(f"`content` must be that of a record, got {content.hex()}")
        self.pending.append((stamp, content, *found, 0))
        if time.monotonic() - self.committed > COMMIT:
            self._commit()

    def add(self, contents: Sequence[bytes], arrays: Sequence[NDArray[Any]]) -> None:
        """Adds the records of B files from arrays (B, ...). Raises InputError for a disk without room."""
        shapes = tuple(array.shape[1:] for array in arrays)
        if not self.records.shapes:
            self.records = self.records._replace(shapes=shapes)
            self._open(fresh=True)
        if shapes != self.records.shapes or {len(array) for array in arrays} != {len(contents)}:
            raise ValueError(
                f"`arrays` must be {len(contents)} of each of {self.records.shapes} as all with this key, "
                f"got {[array.shape for array in arrays]}"
            )
        records_BW = np.concatenate([array.reshape(len(contents), -1) for array in arrays], 1).astype("<f2")
        _write(self.data, records_BW, self.folder)
        for content, record_W in zip(contents, records_BW, strict=True):
            self.added[content] = self.row, crc32(record_W.tobytes())
            self.row += 1

    def _open(self, fresh: bool = False) -> None:
        """Truncates behind the last valid record and removes files that the header no longer names."""
        data, index, shapes, entries_R, _ = self.records
        self._check_room()
        self.data = self.files.enter_context(open(data, "ab", buffering=0))  # noqa: SIM115
        self.data.truncate(self.row * 2 * self.records.width)
        with atomic_write(index) as file:
            file.write(entries_R.tobytes())
        self.index = self.files.enter_context(open(index, "ab", buffering=0))  # noqa: SIM115
        if fresh:
            header = {"format": FORMAT, "key": self.key, "shapes": shapes, "features": data.name, "index": index.name}
            with atomic_write(self.folder / HEADER) as file:
                file.write(json.dumps(header, indent=1).encode() + b"\n")
        for path in (*self.folder.glob("features-*.f16"), *self.folder.glob("index-*.bin")):
            if path not in (data, index):
                with suppress(PermissionError):  # Windows removes no file that another process reads
                    path.unlink(missing_ok=True)

    def _check_room(self) -> None:
        need, free = self.expected * 2 * self.records.width, shutil.disk_usage(self.folder).free
        if need > free:
            raise InputError(
                f"{self.folder}: disk must have {need / 1e9:.1f} GB of room for {self.expected} records, "
                f"got {free / 1e9:.1f} GB; free some or choose another folder"
            )

    def _commit(self) -> None:
        os.fsync(self.data.fileno())
        _write(self.index, np.array(self.pending, ENTRY), self.folder)
        os.fsync(self.index.fileno())
        self.pending.clear()
        self.committed = time.monotonic()


def _write(file: IO[bytes], array: NDArray[Any], folder: Path) -> None:
    """Writes unbuffered, so that nothing is left to write when a disk is full."""
    rest = memoryview(array.tobytes())
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{folder}: disk must have room for features, got {error.strerror!r}: free some and start "
            "again; what was computed is kept"
        ) from error
