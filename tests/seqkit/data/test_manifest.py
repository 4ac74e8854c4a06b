"""Manifests: what is written is read back, and every faulty line is named."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data.files import atomic_write, read_lines
from seqkit.data.manifest import KEYS, Item, read_manifest, write_manifest
from seqkit.errors import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SECONDS = st.floats(0, 1e6)


def full_item(folder: Path) -> Item:
    return Item(
        id="a 1",
        source="One\u2028line",
        image=folder / "pictures" / "1.jpg",
        video=folder / "1.mp4",
        audio=folder.parent / "elsewhere.wav",
        question="Why?",
        references=("Eins", ""),
        answers=("yes", "no"),
        start=0.0,
        end=1.5,
        seconds=2.0,
        speaker="s1",
        words=(("bin", 0.0, 0.5),),
        boxes=((1.0, 2.0, 3.0, 4.0),),
        features=folder / "f.npy",
        rows=(0, 3),
        extra={"license": {"by": [1, None]}},
    )


def test_every_key_comes_back(tmp_path):
    item = full_item(tmp_path)
    assert all(getattr(item, key) not in (None, ()) for key in KEYS)
    assert write_manifest(tmp_path / "train.jsonl", [item, Item(id="b")]) == 2
    assert read_manifest(tmp_path / "train.jsonl") == [item, Item(id="b")]


def test_paths_in_the_file_are_relative_to_it_or_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_manifest(Path("out/train.jsonl"), [Item(id="a", image=Path("out/x/1.jpg"), audio=Path("raw/1.wav"))])
    line = json.loads(Path("out/train.jsonl").read_text())
    assert line == {"id": "a", "image": "x/1.jpg", "audio": str(tmp_path / "raw" / "1.wav")}
    item = read_manifest(Path("out/train.jsonl"))[0]
    assert (item.image, item.audio) == (Path("out/x/1.jpg"), tmp_path / "raw" / "1.wav")


def test_golden_line(tmp_path):
    item = Item(id="t-1", source="Ein Haus.", references=("Ça va.",), end=2, speaker="s")
    write_manifest(tmp_path / "t.jsonl", [item])
    golden = '{"id": "t-1", "source": "Ein Haus.", "references": ["Ça va."], "end": 2, "speaker": "s"}\n'
    assert (tmp_path / "t.jsonl").read_text(encoding="utf-8") == golden


@given(TEXT, st.lists(TEXT, min_size=1), SECONDS, st.none() | TEXT)
@settings(deadline=None)
def test_any_text_survives(tmp_path_factory, source, references, seconds, speaker):
    path = tmp_path_factory.mktemp("m") / "train.jsonl"
    item = Item(id="x", source=source, references=tuple(references), seconds=seconds, speaker=speaker)
    write_manifest(path, [item])
    assert read_manifest(path) == [item]


def test_blank_lines_byte_order_mark_and_carriage_returns_are_passed_over(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "a"}\r\n\r\n{"id": "b", "source": null}\n  \n')
    assert [item.id for item in read_manifest(tmp_path / "m.jsonl")] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "b"', "line 2: must be a JSON object, got a fault at column 11"),
        (
            '{"id": "b", "source": "x", "source": "y"}',
            "line 2: must have each key of an object once, got 'source' twice",
        ),
        ('{"id": "b", "x": {"a": 1, "a" : 2}}', "line 2: must have each key of an object once, got 'a' twice, with"),
        ("[1]", r"line 2: must be a JSON object, got \[1\]"),
        ('{"source": "x"}', "line 2: key `id` is missing"),
        ('{"id": 7}', "line 2: `id` must be a non-empty text, got 7"),
        ('{"id": " "}', 'line 2: `id` must be a non-empty text, got " "'),
        ('{"id": "a"}', 'line 2, id "a": `id` must be unique, got one that line 1 has'),
        ('{"id": "b", "source": ["x"]}', 'id "b": `source` must be a text, got'),
        ('{"id": "b", "source": "\\ud800"}', r'id "b": `source` must be a text, got "\\ud800"'),
        ('{"id": "b", "image": ""}', 'id "b": `image` must be a path, got ""'),
        ('{"id": "b", "references": {}}', r'id "b": `references` must be a list of at least one text, got \{\}'),
        ('{"id": "b", "references": "x"}', 'id "b": `references` must be a list of at least one text, got "x"'),
        ('{"id": "b", "answers": [1]}', 'id "b": `answers` must be a list of at least one text'),
        ('{"id": "b", "start": -1}', 'id "b": `start` must be seconds, a finite number from 0 up, got -1'),
        ('{"id": "b", "seconds": NaN}', 'id "b": `seconds` must be seconds, a finite number from 0 up, got NaN'),
        (
            '{"id": "b", "seconds": Infinity}',
            'id "b": `seconds` must be seconds, a finite number from 0 up, got Infinity',
        ),
        ('{"id": "b", "mine": [{"x": NaN}]}', 'id "b": `mine` must hold finite numbers and whole characters, got'),
        ('{"id": "b", "mine": ["\\ud800"]}', 'id "b": `mine` must hold finite numbers and whole characters, got'),
        ('{"id": "b", "\\ud800": 1}', r'id "b": `\\ud800` must hold finite numbers and whole characters, got 1'),
        ('{"id": "b", "end": true}', 'id "b": `end` must be seconds'),
        ('{"id": "b", "start": 2, "end": 1.5}', r'id "b": `end` must be after `start` \(2 seconds\), got 1.5'),
        ('{"id": "b", "end": 0}', r'id "b": `end` must be after `start` \(0 seconds\), got 0'),
        ('{"id": "b", "words": [["x", 1]]}', 'id "b": `words` must be a list of'),
        ('{"id": "b", "words": [["x", 2, 1]]}', 'id "b": `words` must be a list of'),
        ('{"id": "b", "boxes": [[1, 2, 3]]}', 'id "b": `boxes` must be a list of boxes of four numbers'),
        ('{"id": "b", "rows": [3, 3]}', r'id "b": `rows` must be \[first, end\) with 0 <= first < end'),
        ("[" * 100_000, "line 2: must be a JSON object, got brackets nested too deep"),
        ('{"id": "b", "seconds": ' + "1" * 5000 + "}", "line 2: must be a JSON object, got Exceeds the limit"),
        ('{"id": "b", "seconds": ' + "1" * 400 + "}", 'id "b": `seconds` must be seconds, a finite number from 0 up'),
        ('{"id": "b", "boxes": [[0, 0, 1, ' + "9" * 400 + "]]}", 'id "b": `boxes` must be a list of boxes'),
        ('{"id": "b", "rows": [0, ' + "9" * 400 + "]}", r'id "b": `rows` must be \[first, end\)'),
        ('{"id": "b", "rows": [0, 3.0]}', r'id "b": `rows` must be \[first, end\)'),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "val.jsonl"
    path.write_text('{"id": "a"}\n' + line + "\n")
    with pytest.raises(InputError, match=message) as error:
        read_manifest(path)
    assert str(error.value).startswith(f"{path}, line 2") and "\n" not in str(error.value)


def test_an_empty_list_of_references_is_none(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"id": "a", "source": "x", "references": [], "answers": []}\n')
    assert read_manifest(tmp_path / "m.jsonl") == [Item(id="a", source="x")]
    with pytest.raises(InputError, match="`references` must be given, got none"):
        read_manifest(tmp_path / "m.jsonl", needed=("references",))


@pytest.mark.parametrize("key", ["image", "references"])
def test_a_key_that_a_recipe_needs_is_missed_by_name(tmp_path, key):
    write_manifest(tmp_path / "a.jsonl", [full_item(tmp_path), Item(id="b", source="x")])
    assert len(read_manifest(tmp_path / "a.jsonl", needed=("source",))) == 2
    with pytest.raises(InputError, match=rf'a.jsonl, line 2, id "b": `{key}` must be given, got none'):
        read_manifest(tmp_path / "a.jsonl", needed=("source", key))


def test_undecodable_bytes_are_named(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(b'{"id": "a"}\n{"id": "\xff"}\n')
    with pytest.raises(InputError, match=r"m.jsonl, line 2: byte 8 is not UTF-8"):
        read_manifest(tmp_path / "m.jsonl")


def test_missing_and_empty_manifests(tmp_path):
    (tmp_path / "test_b.jsonl").write_text("\n")
    with pytest.raises(InputError, match="test_a.jsonl: no such manifest; manifests in this folder: test_b.jsonl"):
        read_manifest(tmp_path / "test_a.jsonl")
    with pytest.raises(InputError, match="must hold at least one item, got an empty file"):
        read_manifest(tmp_path / "test_b.jsonl")


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "train.jsonl"
    write_manifest(path, [Item(id="a")])
    with pytest.raises(InputError, match='line 2, id "c": `end` must be after'):
        write_manifest(path, [Item(id="b"), Item(id="c", start=2.0, end=1.0)])
    assert read_manifest(path) == [Item(id="a")]
    assert os.listdir(tmp_path) == ["train.jsonl"]


def test_atomic_files_have_the_usual_rights(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_write(tmp_path / "deep" / "new") as file:
        file.write(b"x")
        assert not (tmp_path / "deep" / "new").exists()
    assert (tmp_path / "deep" / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_only_a_line_feed_ends_a_line(tmp_path):
    (tmp_path / "t").write_bytes("a\u2028b\x0bc\rd\n\nlast".encode())
    assert list(read_lines(tmp_path / "t")) == [(1, "a\u2028b\x0bc\rd"), (2, ""), (3, "last")]


def test_lines_that_end_in_carriage_returns_alone_are_named(tmp_path):
    (tmp_path / "t").write_bytes(b"one\rtwo\r")
    with pytest.raises(
        InputError, match="t: lines must end in line feeds, got carriage returns alone; convert the file"
    ):
        list(read_lines(tmp_path / "t"))
    (tmp_path / "t").write_bytes(b"one\r")
    assert list(read_lines(tmp_path / "t")) == [(1, "one")]


def test_a_broken_archive_is_named_and_text_under_its_name_is_text(tmp_path):
    (tmp_path / "t.gz").write_bytes(b"no gzip")
    assert list(read_lines(tmp_path / "t.gz")) == [(1, "no gzip")]
    (tmp_path / "t.gz").write_bytes(gzip.compress(b"one")[:-4])
    with pytest.raises(InputError, match=r"t.gz: cannot be read after line 0"):
        list(read_lines(tmp_path / "t.gz"))


def test_gzip_is_told_by_content_and_its_damage_is_named(tmp_path):
    packed = gzip.compress(b"one\ntwo\n" * 1000)
    (tmp_path / "plain.txt").write_bytes(packed)
    assert sum(1 for _ in read_lines(tmp_path / "plain.txt")) == 2000
    outcomes = set()
    for place in range(len(packed)):
        (tmp_path / "t.gz").write_bytes(packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :])
        try:
            outcomes.add(len(list(read_lines(tmp_path / "t.gz"))))
        except InputError as error:
            assert "t.gz" in str(error)
            outcomes.add("refused")
    assert "refused" in outcomes
