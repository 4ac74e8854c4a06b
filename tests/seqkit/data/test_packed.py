"""Text packed by gzip, bzip2 and xz is read whatever its name; what is no text is named."""

import bz2
import gzip
import lzma
import random
from pathlib import Path

import pytest

from seqkit.data.files import read_lines
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.common.raw_files import read_json
from seqkit.data_prep.translation.pairs import find_corpora
from seqkit.errors import InputError

TEXT = "".join(f"{random.Random(n).random()} é\n" for n in range(20_000)).encode()
PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("kind", PACK)
def test_packed_text_is_read_by_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.txt"
    lines = [*enumerate(TEXT.decode().removesuffix("\n").split("\n"), 1)]
    path.write_bytes(PACK[kind](TEXT))
    assert list(read_lines(path)) == lines
    path.write_bytes(PACK[kind](TEXT[:300_001]) + PACK[kind](TEXT[300_001:]))  # joined files
    assert list(read_lines(path)) == lines
    path.write_bytes(PACK[kind](b'{"id": "a"}'))
    assert read_json(path) == {"id": "a"} and read_manifest(path)[0].id == "a"
    path.write_bytes(PACK[kind](TEXT)[:-40])
    with pytest.raises(InputError, match=r"a.txt: cannot be read after line \d+ \(.*ended before"):
        list(read_lines(path))
    with pytest.raises(InputError, match=r"a.txt: must be whole JSON, got a fault"):
        read_json(path)


def test_xz_takes_no_more_memory_than_a_file_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.xz"
    content = bytearray(lzma.compress(b"a\n", check=lzma.CHECK_NONE))
    path.write_bytes(content)
    assert list(read_lines(path)) == [(1, "a")]
    path.write_bytes(lzma.compress(b"a\n", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]))
    with pytest.raises(InputError, match=r"a.xz: cannot be read after line 0 \(Memory usage limit exceeded\)"):
        list(read_lines(path))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("a b\n".encode("utf-16"), "must be text in UTF-8, got UTF-16; convert the file"),
        (
            "a b\n".encode("utf-16-be"),
            "must be text in UTF-8, got NUL bytes, as UTF-16 and binary files have them; convert it",
        ),
        (b"PK\x03\x04\x14\0\0\0\x08\0\xd4\xff", "must be text in UTF-8, got a ZIP archive; unpack it"),
        (b"\x28\xb5\x2f\xfd\x20\x09", "must be text in UTF-8, got a file packed by zstd; unpack it"),
        (b"\xe9t\xe9\n", "line 1: byte 0 is not UTF-8; convert the file to UTF-8"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=match):
        list(read_lines(tmp_path / "a.txt"))


def test_pairs_are_found_under_the_names_of_packed_files(tmp_path: Path) -> None:
    for kind, language in (("bz2", "de"), ("xz", "en")):
        (tmp_path / f"train.{language}.{kind}").write_bytes(PACK[kind](b"a\n"))
    [corpus] = find_corpora(tmp_path, "train", "de", "en")[0]
    assert (corpus.source.name, corpus.target.name) == ("train.de.bz2", "train.en.xz")
