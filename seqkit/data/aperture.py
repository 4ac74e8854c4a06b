"""The crop rectangle of a container, which players apply and ffmpeg's library does not: `clap` of .mp4 and .mov (ISO
14496-12, 12.1.4), PixelCrop of Matroska (RFC 9559, 5.1.4.1.28.8). What lies outside it is told.
"""

import re
from pathlib import Path

from seqkit.data.shards import open_file

HEAD = 1 << 20  # bytes of the beginning of a Matroska file in which its tracks stand
CLAP = re.compile(rb"\x00\x00\x00\x28clap(.{16})", re.DOTALL)  # width and height, as fractions, and more
CROPS = re.compile(rb"\x54[\xaa\xbb\xcc\xdd](?:\x81(.)|\x82(..)|\x84(....)|\x88(.{8}))", re.DOTALL)
TRACK = re.compile(rb"\xb0(?:\x81.|\x82..)\xba", re.DOTALL)  # its width, before its height
TABLE = b"moov"
MOST_TABLE = 1 << 26  # bytes of a table that is looked through
LEAST = 2  # pixels that may be cut away untold: odd sizes


def cropped(path: Path, name: str, width: int, height: int) -> str:
    """A remark on a video, in a container of that name and of so many pixels, of which players show a part; empty
    where they show all."""
    if name == "mov":
        found = CLAP.search(_table(path))
        sides = [int.from_bytes(found[1][n : n + 4], "big") for n in (0, 4, 8, 12)] if found else []
        if not sides or not all(sides):
            return ""
        wide, high = sides[0] / sides[1], sides[2] / sides[3]
        cut = width - wide >= LEAST or height - high >= LEAST
        return _told(f"{wide:g} x {high:g} of {width} x {height} pixels") if cut else ""
    if name != "matroska":
        return ""
    with open_file(path) as file:
        head = file.read(HEAD)
    track = TRACK.search(head)
    if track is None:
        return ""
    sizes = [int.from_bytes(next(filter(None, match.groups()), b""), "big") for match in _crops(head, track.start())]
    return _told(f"{sum(sizes)} pixels less") if LEAST <= sum(sizes) < width + height else ""


def _crops(head: bytes, place: int) -> list[re.Match[bytes]]:
    """The PixelCrop elements beside the size of a track."""
    return list(CROPS.finditer(head, max(0, place - 64), place + 64))


def _told(part: str) -> str:
    return f"players cut the edges away ({part}), which are read here; crop the pictures themselves"


def _table(path: Path) -> bytes:
    """The box of an .mp4 that describes its streams; empty where there is none."""
    with open_file(path) as file:
        place = 0
        while len(head := file.read(16)) >= 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            if kind == TABLE:
                file.seek(place)
                return file.read(min(size or MOST_TABLE, MOST_TABLE))
            if size < 8:
                break
            place += size
            file.seek(place)
    return b""
