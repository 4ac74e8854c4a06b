"""Own files of one name, and texts of one name: every item has an id and files of its own, or both places are told."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from seqkit.data.manifest import read_manifest
from seqkit.data_prep.own import pictures, sounds, videos
from seqkit.data_prep.own.recordings import unique_names
from seqkit.data_prep.own.shares import Shares, unique_stems
from seqkit.errors import InputError
from tests.drawn_faces import clicks, talking, write_video

CUE = "1\n00:00:00,100 --> 00:00:00,900\n{}\n"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((64, 64, 3), len(path.name), np.uint8)).save(path)


def noise(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)


def read(out: Path) -> dict[str, dict[str, str]]:
    """The references of items by id, by split."""
    return {
        path.stem: {item.id: item.references[0] for item in read_manifest(path)} for path in sorted(out.glob("*.jsonl"))
    }


def about(out: Path) -> dict:
    return json.loads((out / "stats.json").read_text())["all"]


@pytest.mark.parametrize("kind", ["pictures", "sounds"])
def test_two_formats_of_one_name_have_ids_of_their_own_in_one_split_and_are_named(kind, tmp_path):
    raw, make = tmp_path / "raw", picture if kind == "pictures" else noise
    endings = ("jpg", "png") if kind == "pictures" else ("flac", "wav")
    for name in "abcdefgh":
        for ending in endings:
            make(raw / f"{name}.{ending}")
        (raw / f"{name}.txt").write_text(f"text {name}\n")
    (pictures if kind == "pictures" else sounds).prepare(raw, tmp_path / "out", Shares(0.3, 0.3))
    found = read(tmp_path / "out")
    assert sorted(found) == ["test", "train", "val"]
    assert sorted(i for ids in found.values() for i in ids) == [
        f"{name}.{end}" for name in "abcdefgh" for end in endings
    ]
    for ids in found.values():
        assert len({text for text in ids.values()}) == len(ids) / 2
    assert about(tmp_path / "out")["shared_texts"]["a.txt"] == [f"a.{end}" for end in endings]


@pytest.mark.parametrize("kind", ["pictures", "sounds", "videos"])
def test_names_that_give_one_id_are_errors_with_both_places(kind, tmp_path):
    make, end, prepare = {
        "pictures": (picture, "jpg", pictures.prepare),
        "sounds": (noise, "wav", sounds.prepare),
        "videos": (lambda path: write_video(path, talking(3)), "mp4", videos.prepare),
    }[kind]
    (tmp_path / "raw" / "x").mkdir(parents=True)
    for name in ("x/a", "x-a", "b"):
        make(tmp_path / "raw" / f"{name}.{end}")
        (tmp_path / "raw" / f"{name}.txt").write_text("a text\n")
    with pytest.raises(InputError) as error:
        prepare(tmp_path / "raw", tmp_path / "out", Shares(0.0, 0.0))
    assert f"x/a.{end}" in str(error.value) and f"x-a.{end}" in str(error.value)


def test_a_piece_and_a_recording_of_one_name_are_an_error(tmp_path):
    raw = tmp_path / "raw"
    noise(raw / "a.wav")
    noise(raw / "a-0001.wav")
    (raw / "a.srt").write_text(CUE.format("hello"))
    (raw / "a-0001.txt").write_text("hello\n")
    with pytest.raises(InputError, match=r"a-0001.wav and \S+/a.wav must have ids of their own, got 'a-0001' for both"):
        sounds.prepare(raw, tmp_path / "out", Shares(0.0, 0.0))


def test_a_name_with_an_ending_in_it_has_a_file_of_its_own():
    assert unique_stems(["a.mp4", "a.mkv", "a.mkv.mp4"]) == ["a.mp4", "a.mkv", "a.mkv.mp4"]
    paths = [Path("raw", name) for name in ("b.mp4", "c/b.mp4")]
    assert list(unique_names(Path("raw"), paths).values()) == ["b", "c/b"]


def test_texts_that_are_not_read_are_named(tmp_path):
    raw = tmp_path / "raw"
    for name in "abc":
        noise(raw / f"{name}.wav")
    for name in ("a.de.srt", "a.srt", "b.de.srt", "b.en.srt"):
        (raw / name).write_text(CUE.format(f"cue of {name}"))
    (raw / "a.txt").write_text("a text\n")
    (raw / "c.txt").write_text("c text\n")
    sounds.prepare(raw, tmp_path / "out", Shares(0.0, 0.0))
    assert read(tmp_path / "out") == {"train": {"a-0001": "cue of a.srt", "c": "c text"}}
    told = about(tmp_path / "out")
    assert told["unread_texts"] == {"a.wav": ["a.srt", "a.de.srt", "a.txt"]}
    assert told["named"]["several_texts"] == ["b.wav"]
    assert "got b.de.srt and b.en.srt; take out one" in told["reasons"]["b.wav"]


def test_two_videos_of_one_name_do_not_share_a_clip(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for name in ("a.mp4", "a.mkv"):
        write_video(raw / name, talking(8), clicks(0.3, [0.1]))
    (raw / "a.txt").write_text("a text\n")
    videos.prepare(raw, tmp_path / "out", Shares(0.0, 0.0))
    clips = [item.video for item in read_manifest(tmp_path / "out" / "train.jsonl")]
    assert sorted(path.name for path in clips) == ["a.mkv.mp4", "a.mp4.mp4"] and all(map(Path.is_file, clips))
    assert about(tmp_path / "out")["shared_texts"] == {"a.txt": ["a.mkv", "a.mp4"]}
