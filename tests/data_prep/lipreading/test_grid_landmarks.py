"""Lip points from made-up archives: positions and differences by law, splits by speaker, words by their labels."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.lipreading import grid_landmarks
from seqkit.data_prep.lipreading.grid_corpus import (
    ADVERBS,
    COLORS,
    COMMANDS,
    DIGITS,
    LETTERS,
    PREPOSITIONS,
    sentence_of,
)
from seqkit.data_prep.lipreading.grid_landmarks import features, utterance_lengths
from seqkit.errors import InputError
from tests.corpora import DATA

SHARED = DATA / "grid_landmarks"
PAUSE = 3
FIRST = {id(COMMANDS): 4, id(COLORS): 8, id(PREPOSITIONS): 12, id(DIGITS): 16, id(ADVERBS): 26, id(LETTERS): 30}


def labels(name: str) -> list[int]:
    slots = (COMMANDS, COLORS, PREPOSITIONS, LETTERS, DIGITS, ADVERBS)
    return [FIRST[id(slot)] + list(slot).index(letter) for slot, letter in zip(slots, name, strict=True)]


def archive(path: Path, utterances: dict[str, list[tuple[int, int]]], **changed) -> np.ndarray:
    """A file of utterances, each (label, frames) a word; the coordinates in sixteenths of a pixel (18, T)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    words = [word for each in utterances.values() for word in each]
    frames = sum(length for _, length in words)
    points = np.random.default_rng(0).integers(-400, 1600, (18, frames))
    arrays = {
        "ids": np.array(list(utterances)),
        "n_words": np.array([len(each) for each in utterances.values()], np.uint8),
        "word_len": np.array([length for _, length in words], np.uint16),
        "word_label": np.array([label for label, _ in words], np.uint8),
        "delta16_T": np.diff(points, axis=1, prepend=0).astype(np.int16),
    } | changed
    with lzma.open(path, "wb") if path.suffix == ".xz" else open(path, "wb") as file:
        np.savez(file, **{key: value for key, value in arrays.items() if value is not None})
    return points


def spoken(name: str, *lengths: int) -> list[tuple[int, int]]:
    return list(zip(labels(name), lengths or (2, 3, 1, 2, 4, 5), strict=True))


UTTERANCES = {
    "s1/bbaf2n": spoken("bbaf2n"),
    "s34/lgwzzp": [(PAUSE, 2), *spoken("lgwzzp")[:3], (PAUSE, 1), *spoken("lgwzzp")[3:]],
    "s5/pribas": spoken("prib1s"),
    "s5/prib1s": spoken("prib1s", 1, 0, 1, 1, 1, 1),
    "s7/swia9a": [],
    "s7/swib9a": spoken("swib9a", 0, 0, 0, 0, 0, 0),
    "s22/swic9a": spoken("swic9a"),
    "s10/swid9a": spoken("swid9a"),
}


def run(raw: Path, out: Path, *argv: str) -> dict:
    grid_landmarks.main(["--raw", str(raw), "--out", str(out), *argv])
    return json.loads((out / "stats.json").read_text())


@pytest.mark.parametrize("name", ["landmarks.npz.xz", "landmarks.npz"])
def test_golden(name, tmp_path, capsys):
    archive(tmp_path / "raw" / "deep" / name, UTTERANCES)
    found = run(tmp_path / "raw", tmp_path)
    lines = {
        split: [json.loads(line) for line in (tmp_path / f"{split}.jsonl").read_text().splitlines()]
        for split in ("train", "val", "test")
    }
    assert {split: [line["id"] for line in each] for split, each in lines.items()} == {
        "train": ["s5_prib1s", "s10_swid9a"],
        "val": ["s34_lgwzzp"],
        "test": ["s1_bbaf2n", "s22_swic9a"],
    }
    assert lines["val"][0] == {
        "id": "s34_lgwzzp",
        "features": "features.npy",
        "rows": [17, 37],
        "speaker": "s34",
        "seconds": 0.8,
        "references": ["lay green with z zero please"],
        "words": [
            ["lay", 0.08, 0.16],
            ["green", 0.16, 0.28],
            ["with", 0.28, 0.32],
            ["z", 0.36, 0.44],
            ["zero", 0.44, 0.6],
            ["please", 0.6, 0.8],
        ],
    }
    assert lines["train"][0]["words"][1] == ["red", 0.04, 0.04]
    assert found["train"] == {
        "items": 2,
        "frames": 22,
        "words": 12,
        "speakers": {"s5": 1, "s10": 1},
        "dropped": {"words_missing": 2, "no_frames": 1},
        "named": {"words_missing": ["s5_pribas", "s7_swia9a"], "no_frames": ["s7_swib9a"]},
    }
    assert "val items=1 frames=20 words=6 dropped={}" in capsys.readouterr().out
    assert not any(finding.problem for finding in check(tmp_path)[1])


def test_features_are_positions_and_their_differences_exactly(tmp_path):
    points = archive(tmp_path / "landmarks.npz", UTTERANCES).T / 16
    run(tmp_path, tmp_path)
    found = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert found.dtype == np.float16 and found.shape == (len(points), 36)
    assert (found[:, :18] == points).all()
    for split in ("train", "val", "test"):
        for item in read_manifest(tmp_path / f"{split}.jsonl"):
            first, last = item.rows
            assert not found[first, 18:].any()
            assert (found[first + 1 : last, 18:] == np.diff(points[first:last], axis=0)).all()
            assert item.references == (sentence_of(item.id.split("_")[1]),) and item.seconds == (last - first) / 25
            assert item.words[-1][2] == item.seconds


def test_utterances_without_frames_take_none_from_the_next():
    arrays = {"word_len": np.array([2, 0, 0, 3]), "n_words": np.array([0, 1, 2, 0, 1, 0])}
    lengths = utterance_lengths(arrays)
    assert lengths.tolist() == [0, 2, 0, 0, 3, 0]
    delta = np.full((18, 5), 16, np.int16)
    assert features(delta, lengths)[:, 18].tolist() == [0, 1, 0, 1, 1]


def test_every_label_is_its_word():
    assert grid_landmarks.WORDS[30 - 4 :] == list("abcdefghijklmnopqrstuvxyz") and len(grid_landmarks.WORDS) == 51
    assert grid_landmarks.WORDS[16 - 4] == "zero" and grid_landmarks.WORDS[25 - 4] == "nine"


def test_one_split_of_all(tmp_path):
    archive(tmp_path / "landmarks.npz", UTTERANCES)
    assert list(run(tmp_path, tmp_path, "--split", "mine")) == ["mine"]
    assert len(read_manifest(tmp_path / "mine.jsonl")) == 5


def test_broken_archives(tmp_path):
    with pytest.raises(InputError, match=r"must hold landmarks.npz or landmarks.npz.xz, in it or below, got neither"):
        run(tmp_path, tmp_path)
    path = tmp_path / "landmarks.npz.xz"
    archive(path, UTTERANCES)
    whole = path.read_bytes()
    part = lzma.compress(lzma.decompress(whole)[:500])
    for content in (whole[:-200], b"nothing", lzma.compress(b"nothing"), b"", part):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"landmarks.npz.xz: must be a whole NumPy archive, got damage \(.*fetch"):
            run(tmp_path, tmp_path)
    for key, value in (
        ("ids", np.array(["s1/bbaf2n"])),
        ("word_len", np.zeros(3, np.uint16)),
        ("delta16_T", np.zeros((17, 90), np.int16)),
        ("word_label", np.zeros(3, np.uint8)),
    ):
        archive(path, UTTERANCES, **{key: value})
        with pytest.raises(InputError, match=r"must hold as many words and frames as it counts, \d+ and \d+, got"):
            run(tmp_path, tmp_path)
    archive(path, UTTERANCES, word_label=None)
    with pytest.raises(InputError, match=r"must hold the arrays ids, n_words, word_len, .*word_label"):
        run(tmp_path, tmp_path)
    assert not (tmp_path / "features.npy").exists()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the shared lip points are not at {SHARED}")
def test_the_shared_points(tmp_path):
    found = run(SHARED, tmp_path)
    assert {name: counts["items"] for name, counts in found.items()} == {"train": 27_842, "val": 1000, "test": 3995}
    assert {name: counts["dropped"] for name, counts in found.items()} == {
        "train": {"words_missing": 35, "no_frames": 103},
        "val": {},
        "test": {"words_missing": 5},
    }
    assert np.load(tmp_path / "features.npy", mmap_mode="r").shape == (1_490_121, 36)


def test_utterances_that_come_twice_are_an_error_with_both_places(tmp_path):
    ids = np.array([*UTTERANCES][:-1] + ["s1/bbaf2n"])
    archive(tmp_path / "landmarks.npz", UTTERANCES, ids=ids)
    with pytest.raises(
        InputError, match=r"landmarks.npz, ids\[7\]: `ids` must be unique, got 's1/bbaf2n', .*ids\[0\] has"
    ):
        run(tmp_path, tmp_path / "out")


def test_two_archives_must_hold_the_same(tmp_path):
    archive(tmp_path / "landmarks.npz", UTTERANCES)
    content = (tmp_path / "landmarks.npz").read_bytes()
    (tmp_path / "landmarks.npz.xz").write_bytes(lzma.compress(content))
    run(tmp_path, tmp_path / "out")
    (tmp_path / "landmarks.npz.xz").write_bytes(lzma.compress(content + b"x"))
    with pytest.raises(
        InputError, match=r"landmarks.npz.xz: must be .*landmarks.npz, packed, got other content; keep one"
    ):
        run(tmp_path, tmp_path / "out")
