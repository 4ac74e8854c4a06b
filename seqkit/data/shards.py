"""Files in shards: where a file of an item lies in a tar file, and its bytes, from this disk or by HTTP.

A corpus in shards is a folder of manifests as any other, whose media are called SHARD.tar/OFFSET+SIZE/NAME: so many
bytes from that byte of the shard on. Whatever opens an item's path asks here, and needs neither an index in memory nor
the rest of the shard. `shards.json` beside the manifests names the shards; where these lie elsewhere it says that too,
under `at`: a folder or an address.
"""

import functools
import http.client
import io
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from seqkit.data.files import read_json
from seqkit.errors import InputError

INDEX = "shards.json"
ADDRESS = re.compile(r"(https?):/{1,2}([^/].*)")  # a path loses one slash of two
PLACE = re.compile(r"(\d{1,18})\+(\d{1,18})")
SECONDS, TRIES = 60, 4  # that a server may take for an answer; how often it is asked, with longer and longer pauses
PAUSE = 0.5


class Place(NamedTuple):
    """Where a file lies: so many bytes of a shard, which is a file or an address."""

    shard: str
    offset: int
    size: int


class _Bytes(io.BytesIO):
    """Bytes with the name of a file, whose ending some decoders look at."""

    name = ""


def path_in(shard: Path, offset: int, size: int, name: str) -> Path:
    """The path of a file in a shard."""
    return shard / f"{offset}+{size}" / name


def place_of(path: Path) -> Place | None:
    """Where the file of a path in a shard lies; None for the path of a plain file."""
    shard, place = os.path.split(os.path.dirname(path))
    if not shard.endswith(".tar") or not (found := PLACE.fullmatch(place)):
        return None
    folder, name = os.path.split(shard)
    origin = _origin(folder or ".")
    name = quote(name) if ADDRESS.match(origin) else name
    return Place(f"{origin}/{name}" if origin else shard, int(found[1]), int(found[2]))


def _origin(folder: str) -> str:
    """Where the shards of a folder lie; empty for the folder itself."""
    try:
        return _origin_in(folder, os.stat(os.path.join(folder, INDEX)).st_mtime_ns)
    except OSError:
        return ""


@functools.lru_cache(maxsize=16)
def _origin_in(folder: str, written: int) -> str:
    found = read_json(Path(folder) / INDEX)
    return str(found.get("at", "")) if isinstance(found, dict) else ""


def openable(path: Path) -> Path | io.BytesIO:
    """What a decoder opens: the path of a plain file; of a file in a shard its bytes, under its name.

    Raises InputError for a shard that is missing or cut off.
    """
    if (place := place_of(path)) is None:
        return path
    file = _Bytes(read_place(place))
    file.name = path.name
    return file


@contextmanager
def open_file(path: Path) -> Iterator[io.BufferedReader | io.BytesIO]:
    """Opens the file of an item, plain or in a shard, in binary mode."""
    found = openable(path)
    with open(found, "rb") if isinstance(found, Path) else found as file:
        yield file


def has_file(path: Path) -> bool:
    """Whether the file of an item is there; of one behind an address that is taken for granted."""
    place = place_of(path)
    return path.is_file() if place is None else bool(ADDRESS.match(place.shard)) or Path(place.shard).is_file()


def size_of(path: Path) -> int:
    """Bytes of the file of an item; 0 where there is none."""
    if place := place_of(path):
        return place.size
    try:
        return path.stat().st_size
    except OSError:
        return 0


def file_behind(path: Path) -> Path:
    """The file of this disk that is another as soon as that of an item is: itself or its shard, or of a shard behind an
    address the index, which has its hash."""
    if (place := place_of(path)) is None:
        return path
    return path.parents[2] / INDEX if ADDRESS.match(place.shard) else Path(place.shard)


def read_place(place: Place) -> bytes:
    """The bytes of a file in a shard. Raises InputError for a shard that is missing, unreachable or cut off."""
    if ADDRESS.match(place.shard):
        content = fetch(place.shard, place.offset, place.size)
    else:
        try:
            with open(place.shard, "rb") as file:
                file.seek(place.offset)
                left = os.fstat(file.fileno()).st_size - place.offset  # before memory is taken
                content = file.read(max(0, min(place.size, left)))
        except OSError as error:
            raise InputError(f"{place.shard}: must be a shard, got {error.strerror}; fetch it again") from None
    if len(content) != place.size:
        end, found = place.offset + place.size, place.offset + len(content)
        raise InputError(
            f"{place.shard}: must have {end:,} bytes or more, got one cut off at {found:,}; fetch it again"
        )
    return content


def fetch(address: str, offset: int = 0, size: int | None = None) -> bytes:
    """What is at an address: all of it, or so many bytes from `offset` on, or fewer where it ends before.

    A server that fails for the moment is asked again. Raises InputError where it has no such file, or gives no parts.
    """
    if size == 0:
        return b""
    headers = {} if size is None else {"Range": f"bytes={offset}-{offset + size - 1}"}
    request = urllib.request.Request(ADDRESS.sub(r"\1://\2", address), headers=headers)
    for left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                if size is not None and answer.status != 206:
                    raise InputError(f"{request.full_url}: its server must give parts of files (HTTP ranges), got all")
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                return b""
            if error.code < 500 or not left:
                told = f"{error.code} {error.reason}; correct the address"
                raise InputError(f"{request.full_url}: must be a file to read, got {told}") from None
        except (OSError, http.client.HTTPException) as error:
            if not left:
                told = str(getattr(error, "reason", None) or error)
                raise InputError(f"{request.full_url}: must be reached, got {told}") from None
        time.sleep(PAUSE * (TRIES - left))
    raise AssertionError("the last try returns or raises")
