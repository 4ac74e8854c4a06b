"""Published corpora through their preparation: counts are those that their README tells.

Pictures and videos are decoded in the slow tests alone; each corpus has tests of its own beside its script.
"""

import gzip
import json
from pathlib import Path

import pytest

from seqkit.cli import main
from seqkit.data.manifest import read_manifest
from seqkit.data.video_file import read_frames
from seqkit.data_prep.captioning import coco
from seqkit.data_prep.common import image_check
from seqkit.data_prep.common.image_check import DecodeCheck
from seqkit.data_prep.grounding import referit
from seqkit.data_prep.lipreading import an4, grid, grid_landmarks
from seqkit.data_prep.lipreading.grid_corpus import read_corpus, sentence_of
from seqkit.data_prep.translation import multi30k, wmt
from seqkit.data_prep.vqa import vqa2
from seqkit.errors import InputError
from tests.raw_files import run, stats

FEW_CLIPS = {"s2": 20, "s3": 20, "s4": 20, "s5": 20, "s31": 20, "s26": 10, "s30": 10, "s32": 10, "s33": 10, "s34": 10}


def folder(real_data: Path, name: str) -> Path:
    if not (real_data / name).is_dir():
        pytest.skip(f"needs {real_data / name}")
    return real_data / name


@pytest.mark.parametrize(
    "decoded", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["by name", "every picture decoded"]
)
def test_coco_2017(real_data, tmp_path, monkeypatch, decoded):
    if not decoded:
        monkeypatch.setattr(image_check, "check_decode", lambda path: DecodeCheck())
    run(coco, folder(real_data, "coco2017"), tmp_path)
    found = {split: (s["images"], s["items"], s["references"], s["dropped"]) for split, s in stats(tmp_path).items()}
    assert found == {"train": (80, 80, 400, {}), "val": (40, 40, 200, {})}
    assert all(len(item.references) == 5 and item.image.is_file() for item in read_manifest(tmp_path / "train.jsonl"))


def test_multi30k(real_data, tmp_path):
    multi30k.main(["--raw", str(folder(real_data, "multi30k")), "--out", str(tmp_path)])
    counts = {split: (s["pairs"], s["items"], s["dropped"]) for split, s in stats(tmp_path).items()}
    assert counts == {"train": (29000, 29000, {}), "val": (1014, 1014, {}), "test_2016_flickr": (1000, 1000, {})}


def test_japanese_as_it_is_written_keeps_all_but_a_few_pairs(real_data, tmp_path):
    raw = folder(real_data, "enja")
    for path in (*raw.glob("*.en"), *raw.glob("*.ja")):
        text = path.read_text(encoding="utf-8")
        (tmp_path / path.name).write_text(text.replace(" ", "") if path.suffix == ".ja" else text, encoding="utf-8")
    argv = ["--source", "en", "--target", "ja", "--train", "train", "--val", "dev", "--test", "test"]
    wmt.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out"), *argv])
    found = stats(tmp_path / "out")
    assert (found["train"]["pairs"], found["train"]["items"]) == (50000, 49996)
    assert found["train"]["lengths"] == "in characters: hardly any spaces in train.ja"
    assert [found[split]["items"] for split in ("val", "test")] == [500, 500]


def test_an4(real_data, tmp_path):
    an4.main(["--raw", str(folder(real_data, "an4")), "--out", str(tmp_path)])
    found = {split: (s["items"], s["dropped"]) for split, s in stats(tmp_path).items()}
    assert found == {"train": (858, {}), "val": (90, {}), "test": (130, {})}
    speakers = [{item.speaker for item in read_manifest(tmp_path / f"{split}.jsonl")} for split in found]
    assert [len(names) for names in speakers] == [67, 7, 10] and not set.intersection(*speakers)


@pytest.mark.slow  # 1,490,121 rows
def test_grid_as_landmarks(real_data, tmp_path):
    grid_landmarks.main(["--raw", str(folder(real_data, "grid_landmarks")), "--out", str(tmp_path)])
    found = stats(tmp_path)
    assert sum(s["items"] + sum(s["dropped"].values()) for s in found.values()) == 32_980
    assert {split: (s["items"], s["dropped"]) for split, s in found.items()} == {
        "train": (27842, {"words_missing": 35, "no_frames": 103}),
        "val": (1000, {}),
        "test": (3995, {"words_missing": 5}),
    }


def test_grid_by_name_and_alignment(real_data):
    corpus = read_corpus(folder(real_data, "grid"))
    clips = {speaker: sum(clip.speaker == speaker for clip in corpus.clips) for speaker in (*FEW_CLIPS, "s1")}
    assert clips == {**FEW_CLIPS, "s1": 900} and len(corpus.clips) == 1050
    assert not corpus.unrecognized and not corpus.alignment_copies
    for clip in corpus.clips:  # a clip's name spells its sentence
        assert clip.alignment and " ".join(word for word, _, _ in clip.alignment.words) == sentence_of(clip.name)


@pytest.mark.slow
def test_grid_as_first_published(real_data, tmp_path):
    grid.main(["--raw", str(folder(real_data, "grid") / "original_mpg"), "--out", str(tmp_path), "--workers", "1"])
    found = stats(tmp_path)["corpus"]
    assert (found["items"], found["frames"], found["dropped"]) == (12, 900, {})


def test_expressions_without_their_pictures_are_refused_in_one_line(real_data, tmp_path):
    for name, items in (("refcoco/unc", 23), ("refcoco+/unc", 25), ("refcocog/umd", 12)):
        with pytest.raises(
            InputError, match=f"{name}: must name readable images.*'missing': ".replace("+", r"\+")
        ) as e:
            run(referit, folder(real_data, "refcoco"), tmp_path / "out", "--corpus", name)
        assert sum(int(part.split("}")[0]) for part in str(e.value).split("'missing': ")[1:]) == items
    assert not (tmp_path / "out").exists()


def test_vqa_v2_texts_are_references_of_score(real_data, tmp_path, capsys):
    raw = folder(real_data, "vqa2_text")
    with pytest.raises(InputError, match="must hold v2_OpenEnded_mscoco_train2014_questions.json or the like"):
        run(vqa2, raw, tmp_path / "out")
    annotations = raw / "vqa_annotatons_valid.gzip"
    entries = json.loads(gzip.decompress(annotations.read_bytes()))["annotations"]
    assert len(entries) == 8977 and {len(entry["answers"]) for entry in entries} == {10}
    results = [{"question_id": entry["question_id"], "answer": "yes"} for entry in entries]
    (tmp_path / "results.json").write_text(json.dumps(results))
    command = ["score", "--metric", "vqa_accuracy", str(annotations), str(tmp_path / "results.json"), "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)["systems"][0]["metrics"]["vqa_accuracy"]
    assert found["value"] == pytest.approx(20.85, abs=0.01) and found["counts"]["items"] == 8977


@pytest.mark.slow
def test_every_clip_of_other_libraries_is_read(real_data):
    paths = sorted(path for path in folder(real_data, "media").iterdir() if path.suffix in (".mov", ".mp4", ".mkv"))
    assert len(paths) == 10
    for path in paths:
        frame = next(read_frames(path, layout="rgb24"))
        assert frame.ndim == 3 and frame.shape[2] == 3 and frame.std() > 5
