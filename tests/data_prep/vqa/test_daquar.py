"""DAQUAR to manifests: golden manifests from corpora made here, every question kept or counted."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.common import image_check
from seqkit.data_prep.common.image_check import DecodeCheck
from seqkit.data_prep.vqa import daquar
from seqkit.errors import InputError
from tests.raw_files import run, stats, write_lines


def picture(path: Path, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def ids(path: Path) -> list[str]:
    return [item.id for item in read_manifest(path)]


TRAIN = [
    "what is on the desk in the image3 ?",
    "book, scissor,  papers",
    "what is the largest object in this image12 ?",
    "table",
    "what is in the left of the image12 ?",
    " bed ",
    "what colour is the lamp in the image4 ?",
    "red",
    "how many chairs are there ?",
    "2",
    "what is behind the door in the image3 ?",
    " , ",
    "what is on the wall in the image5 ?",
    "photo",
]
TEST = ["what is on the table image7 ?", "printer, tray", "how many cups are in image7 ?", "3"]


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    write_lines(folder / "qa" / "qa.894.raw.train.txt", *TRAIN)
    write_lines(folder / "deep" / "er" / "qa.894.raw.test.txt", *TEST)
    picture(folder / "nyu" / "image3.png")
    picture(folder / "nyu" / "image12.jpg", "L")
    picture(folder / "elsewhere" / "image7.jpg")
    (folder / "nyu" / "image4.jpg").write_bytes(b"")
    return folder


def test_daquar_golden(raw, tmp_path, capsys):
    run(daquar, raw, tmp_path, "--val_size", "0")
    assert sorted(os.listdir(tmp_path)) == ["raw", "stats.json", "test.jsonl", "train.jsonl"]
    assert (tmp_path / "train.jsonl").read_text().split("\n") == [
        '{"id": "train-00001", "image": "raw/nyu/image3.png", "question": "what is on the desk ?", '
        '"references": ["book, scissor, papers"]}',
        '{"id": "train-00002", "image": "raw/nyu/image12.jpg", "question": "what is the largest object ?", '
        '"references": ["table"]}',
        '{"id": "train-00003", "image": "raw/nyu/image12.jpg", "question": "what is in the left of the image ?", '
        '"references": ["bed"]}',
        "",
    ]
    assert (tmp_path / "test.jsonl").read_text().split("\n") == [
        '{"id": "test-00001", "image": "raw/elsewhere/image7.jpg", "question": "what is on the table image ?", '
        '"references": ["printer, tray"]}',
        '{"id": "test-00002", "image": "raw/elsewhere/image7.jpg", "question": "how many cups are ?", '
        '"references": ["3"]}',
        "",
    ]
    found = stats(tmp_path)
    assert found["train"] == {
        "images": 4,
        "items": 3,
        "references": 3,
        "dropped": {"no_image": 1, "no_answer": 1, "empty": 1, "missing": 1},
        "not_rgb": {"L": 1},
        "named": {
            "no_image": ["qa.894.raw.train.txt, line 9"],
            "no_answer": ["qa.894.raw.train.txt, line 11"],
            "empty": ["image4.jpg"],
            "missing": ["image5.png"],
            "L": ["image12.jpg"],
        },
        "reasons": {},
        "files": ["qa.894.raw.train.txt", "qa.894.raw.test.txt"],
    }
    assert found["test"]["items"] == 2 and found["test"]["dropped"] == {}
    assert "train images=4 items=3 references=3 dropped={" in capsys.readouterr().out
    assert not any(finding.problem for finding in check(tmp_path)[1])


@pytest.mark.parametrize(
    ("published_as", "kept"),
    [
        ("what is on the desk in the image3 ?", "what is on the desk ?"),
        ("what is the largest brown objects in this image3 ?", "what is the largest brown objects ?"),
        ("what is found below the cap on the image1203 ?", "what is found below the cap ?"),
        ("what is above the shirts in image119 ?", "what is above the shirts ?"),
        ("what is to the left of the image497 ?", "what is to the left of the image ?"),
        (
            "what is the object in the image912 close to the wall in the image912 ?",
            "what is the object in the image close to the wall ?",
        ),
        ("what is at the corner of the image929 in the image929 ?", "what is at the corner of the image ?"),
        ("what is on the desk in the image 3?", "what is on the desk?"),
        ("What is on the desk in the Image3", "What is on the desk"),
        ("what is within the image3 ?", "what is within the image ?"),
    ],
)
def test_the_number_of_the_picture_leaves_the_question(published_as, kept):
    assert daquar.remove_image_number(published_as) == kept


def test_the_last_picture_that_a_question_names_counts(tmp_path):
    write_lines(tmp_path / "qa.37.raw.test.txt", "what is under the image2 in the image 003 ?", "x")
    for ending in ("png", "jpg"):
        picture(tmp_path / f"image3.{ending}")
    run(daquar, tmp_path, tmp_path / "out")
    [item] = read_manifest(tmp_path / "out" / "test.jsonl")
    assert item.image.name == "image3.png" and item.question == "what is under the image ?"


def many(folder: Path, images: int, order: int = 1) -> None:
    lines = [(f"what is {i} in the image{n} ?", f"a{i}") for n in range(1, images + 1)[::order] for i in range(3)]
    write_lines(folder / "qa.894.raw.train.txt", *(line for pair in lines for line in pair))
    for n in range(1, images + 1):
        picture(folder / f"image{n}.png")


def images_of(path: Path) -> set[str]:
    return {item.image.name for item in read_manifest(path)}


@pytest.mark.parametrize(
    ("val_size", "number"),
    [
        ((), 2),
        (("--val_size", "0.25"), 5),
        (("--val_size", "3"), 3),
        (("--val_size", "0.999"), 19),
        (("--val_size", "1"), 1),
    ],
)
def test_val_is_held_out_by_image_the_same_way_for_everybody(tmp_path, val_size, number):
    chosen = []
    for order in (1, -1):
        many(tmp_path, 20, order)
        run(daquar, tmp_path, tmp_path / "out", *val_size)
        train, val = (images_of(tmp_path / "out" / f"{split}.jsonl") for split in ("train", "val"))
        assert len(val) == number and len(train) == 20 - number and not train & val
        assert len(ids(tmp_path / "out" / "val.jsonl")) == 3 * number
        chosen.append(val)
    assert chosen[0] == chosen[1]


def test_the_held_out_images_are_those_of_every_machine_in_either_format(tmp_path):
    many(tmp_path, 20)
    for number in range(1, 20, 2):
        (tmp_path / f"image{number}.png").rename(tmp_path / f"image{number}.jpg")
    run(daquar, tmp_path, tmp_path / "out", "--val_size", "5")
    assert {name.split(".")[0] for name in images_of(tmp_path / "out" / "val.jsonl")} == {
        "image8",
        "image15",
        "image17",
        "image18",
        "image20",
    }


def test_a_picture_that_is_not_there_changes_no_other_ones_split(tmp_path):
    many(tmp_path, 20)
    run(daquar, tmp_path, tmp_path / "out", "--val_size", "5")
    before = images_of(tmp_path / "out" / "val.jsonl")
    gone = min(before)
    (tmp_path / gone).unlink()
    run(daquar, tmp_path, tmp_path / "out", "--val_size", "5")
    assert images_of(tmp_path / "out" / "val.jsonl") == before - {gone}
    assert stats(tmp_path / "out")["val"]["dropped"] == {"missing": 3}


@pytest.mark.parametrize("val_size", ["-0.1", "20", "1.5", "nan", "inf", "-1"])
def test_holding_out_must_leave_something(tmp_path, val_size):
    many(tmp_path, 20)
    with pytest.raises(InputError, match="--val_size must be a share below 1 or a whole .* images, 20, got"):
        run(daquar, tmp_path, tmp_path / "out", f"--val_size={val_size}")


def test_one_split_of_what_is_there_alone(raw, tmp_path):
    (raw / "qa" / "qa.894.raw.train.txt").unlink()
    run(daquar, raw, tmp_path / "out", "--split", "test")
    assert sorted(os.listdir(tmp_path / "out")) == ["stats.json", "test.jsonl"]
    assert ids(tmp_path / "out" / "test.jsonl") == ["test-00001", "test-00002"]
    assert stats(tmp_path / "out")["test"]["files"] == ["qa.894.raw.test.txt"]
    run(daquar, raw, tmp_path / "again")
    assert (tmp_path / "again" / "test.jsonl").read_bytes() == (tmp_path / "out" / "test.jsonl").read_bytes()


def test_one_split_of_everything(raw, tmp_path):
    run(daquar, raw, tmp_path / "out", "--split", "all")
    assert ids(tmp_path / "out" / "all.jsonl") == [
        "train-00001",
        "train-00002",
        "train-00003",
        "test-00001",
        "test-00002",
    ]
    assert stats(tmp_path / "out")["all"]["dropped"]["no_image"] == 1


def test_of_two_sets_of_classes_one_is_chosen(raw, tmp_path):
    write_lines(raw / "qa.37.raw.train.txt", *TRAIN[:2])
    with pytest.raises(InputError, match="--classes must be one of 37, 894, which are under .*, got none"):
        run(daquar, raw, tmp_path / "out")
    run(daquar, raw, tmp_path / "out", "--classes", "37", "--val_size", "0")
    assert sorted(os.listdir(tmp_path / "out")) == ["stats.json", "train.jsonl"]
    (raw / "qa.37.raw.train.txt").unlink()
    with pytest.raises(InputError, match="--classes must be one of 894, which are under .*, got 37"):
        run(daquar, raw, tmp_path / "out", "--classes", "37")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["what is it in the image3 ?", "a", "what is there in the image3 ?"],
            r"test.txt, line 3: must be a question with an answer below it, got the end of file",
        ),
        (
            ["what is it in the image3 ?", "a", "b", "what is there in the image3 ?"],
            r"test.txt, line 3: must be a question, with `imageN` in it, got 'b' and a question in line 4; a line is",
        ),
    ],
)
def test_lines_that_are_no_pairs_are_named(tmp_path, lines, message):
    write_lines(tmp_path / "qa.894.raw.test.txt", *lines)
    with pytest.raises(InputError, match=message):
        run(daquar, tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("end", "answers", "counted"),
    [
        ((), ["a"], {}),
        (("",), ["a"], {}),
        (("", ""), ["a"], {}),
        (("what is it in the image3 ?", ""), ["a"], {"no_answer"}),
        (("what is it in the image3 ?", "", ""), ["a"], {"no_answer"}),
        (("what is it in the image3 ?", "b", "", "", ""), ["a", "b"], {}),
    ],
)
def test_empty_lines_at_the_end_are_nothing_but_after_a_question(tmp_path, end, answers, counted):
    write_lines(tmp_path / "qa.894.raw.test.txt", "what is it in the image3 ?", "a", *end)
    picture(tmp_path / "image3.png")
    run(daquar, tmp_path, tmp_path / "out")
    assert [item.references[0] for item in read_manifest(tmp_path / "out" / "test.jsonl")] == answers
    assert set(stats(tmp_path / "out")["test"]["dropped"]) == set(counted)


def test_faulty_daquar_is_named(raw, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="--val_size must be given without --split, which makes one split of all"):
        run(daquar, raw, out, "--val_size", "0", "--split", "x")
    with pytest.raises(InputError, match="--workers must be at least 1, got 0"):
        daquar.main(["--raw", str(raw), "--out", str(out), "--workers", "0"])
    write_lines(raw / "deep" / "er" / "qa.894.raw.test.txt", *TEST, *TRAIN[:2])
    with pytest.raises(InputError, match=r"image3.png: must be in one split, got .* it in train and in test; take"):
        run(daquar, raw, out, "--val_size", "0")
    for path in raw.rglob("qa.*"):
        path.unlink()
    with pytest.raises(InputError, match=r"raw: must hold qa.894.raw.train.txt, the test file or those of 37 classes"):
        run(daquar, raw, out)
    assert not out.exists()


def test_daquar_as_published(real_data, tmp_path, monkeypatch):
    """Every question and answer, but for what names the picture; pictures are not decoded here."""
    monkeypatch.setattr(image_check, "check_decode", lambda path: DecodeCheck())
    run(daquar, real_data / "daquar", tmp_path)
    items = {item.id: item for split in ("train", "val", "test") for item in read_manifest(tmp_path / f"{split}.jsonl")}
    assert {split: (s["images"], s["items"], s["dropped"]) for split, s in stats(tmp_path).items()} == {
        "train": (715, 6179, {}),
        "val": (79, 616, {}),
        "test": (326, 2735, {}),
    }
    for part in ("train", "test"):
        lines = (real_data / "daquar" / f"qa.894.raw.{part}.txt").read_text().splitlines()
        for number, (question, answer) in enumerate(zip(lines[::2], lines[1::2], strict=True), 1):
            item = items.pop(f"{part}-{number:05d}")
            clause = r" (in|on) (the |this )?image\d+(?= \?$)|(?<=image)\d+"
            assert item.question == re.sub(clause, "", question) and not re.search(r"image\d", item.question)
            assert f"{item.image.stem} ?" in question and item.references == (answer,)
    assert not items
