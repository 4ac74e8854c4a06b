"""Crop rectangles of containers are told; those that cut nothing are not."""

import struct

import pytest

from seqkit.data.video_file import read_frames
from tests.seqkit.data.test_odd_videos import flashes, write


def told(path) -> list[str]:
    notes: list[str] = []
    assert len(list(read_frames(path, note=notes.append))) == 5
    return notes


def grown(content: bytes, place: int, extra: bytes) -> bytes:
    """With more at the end of the box that begins at `place`, and in all boxes around it."""
    end = place + int.from_bytes(content[place : place + 4], "big")
    made = bytearray(content[:end] + extra + content[end:])
    for start in (
        place,
        *(content.rindex(kind, 0, place) - 4 for kind in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov")),
    ):
        size = int.from_bytes(content[start : start + 4], "big") + len(extra)
        made[start : start + 4] = size.to_bytes(4, "big")
    return bytes(made)


@pytest.mark.parametrize(
    ("wide", "high", "cut"), [(48, 40, True), (48, 48, True), (64, 40, True), (64, 48, False), (64, 47, False)]
)
def test_a_clean_aperture_is_told(wide, high, cut, tmp_path):
    path = write(tmp_path / "a.mp4", flashes(5, 1))
    content = path.read_bytes()
    sample = content.index(b"avc1", content.index(b"stsd")) - 4
    box = struct.pack(">I4s8I", 40, b"clap", wide, 1, high, 1, 0, 1, 0, 1)
    path.write_bytes(grown(content, sample, box))
    remark = f"players cut the edges away ({wide} x {high} of 64 x 48 pixels), which are read here; crop the pictures "
    assert told(path) == ([remark + "themselves"] if cut else [])


def test_a_pixel_crop_of_matroska_is_told(tmp_path):
    path = write(tmp_path / "a.mkv", flashes(5, 1))
    assert told(path) == []
    content = path.read_bytes()
    size = content.index(b"\xb0\x81\x40\xba\x81\x30")  # PixelWidth 64, PixelHeight 48
    assert content[size - 2 : size] == b"\xe0\x8a" and content[size + 10 : size + 15] == b"\x55\xee\x81\x00\xec"
    more = b"\x54\xcc\x81\x08\x54\xbb\x81\x04" + b"\xec\x85" + bytes(5)  # in the place of what is free behind it
    path.write_bytes(content[: size - 1] + b"\x92" + content[size : size + 10] + more + content[size + 25 :])
    [remark] = told(path)
    assert remark.startswith("players cut the edges away (12 pixels less), which are read here")
