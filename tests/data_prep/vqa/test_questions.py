"""DAQUAR and VQA to manifests: golden manifests from corpora made here, every question kept or counted."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data_prep.common.image_check import DecodeCheck
from seqkit.data_prep.common.image_items import Split, check_disjoint, keep_readable, merge
from seqkit.data.check import check
from seqkit.data.manifest import Item, read_manifest
from seqkit.data_prep.common import raw_files as published
from seqkit.data_prep.vqa import daquar, vqa2
from seqkit.errors import InputError
from tests.raw_files import run, stats, write_json, write_lines


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
    run(daquar, raw, tmp_path, "--carve", "0")
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
    ("carve", "number"),
    [((), 2), (("--carve", "0.25"), 5), (("--carve", "3"), 3), (("--carve", "0.999"), 19), (("--carve", "1"), 1)],
)
def test_val_is_carved_by_picture_the_same_way_for_everybody(tmp_path, carve, number):
    chosen = []
    for order in (1, -1):
        many(tmp_path, 20, order)
        run(daquar, tmp_path, tmp_path / "out", *carve)
        train, val = (images_of(tmp_path / "out" / f"{split}.jsonl") for split in ("train", "val"))
        assert len(val) == number and len(train) == 20 - number and not train & val
        assert len(ids(tmp_path / "out" / "val.jsonl")) == 3 * number
        chosen.append(val)
    assert chosen[0] == chosen[1]


def test_the_carved_pictures_are_those_of_every_machine_in_either_format(tmp_path):
    many(tmp_path, 20)
    for number in range(1, 20, 2):
        (tmp_path / f"image{number}.png").rename(tmp_path / f"image{number}.jpg")
    run(daquar, tmp_path, tmp_path / "out", "--carve", "5")
    assert {name.split(".")[0] for name in images_of(tmp_path / "out" / "val.jsonl")} == {
        "image8",
        "image15",
        "image17",
        "image18",
        "image20",
    }


def test_a_picture_that_is_not_there_changes_no_other_ones_split(tmp_path):
    many(tmp_path, 20)
    run(daquar, tmp_path, tmp_path / "out", "--carve", "5")
    before = images_of(tmp_path / "out" / "val.jsonl")
    gone = min(before)
    (tmp_path / gone).unlink()
    run(daquar, tmp_path, tmp_path / "out", "--carve", "5")
    assert images_of(tmp_path / "out" / "val.jsonl") == before - {gone}
    assert stats(tmp_path / "out")["val"]["dropped"] == {"missing": 3}


@pytest.mark.parametrize("carve", ["-0.1", "20", "1.5", "nan", "inf", "-1"])
def test_carving_must_leave_something(tmp_path, carve):
    many(tmp_path, 20)
    with pytest.raises(InputError, match="--carve must be a share below 1 or a whole .* pictures, 20, got"):
        run(daquar, tmp_path, tmp_path / "out", f"--carve={carve}")


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
    run(daquar, raw, tmp_path / "out", "--classes", "37", "--carve", "0")
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
            r"test.txt, line 3: must be a question, with `imageN` in it, got 'b' and a question in line 4; a line is missing",
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
    with pytest.raises(InputError, match="--carve must be given without --split, which makes one split of all"):
        run(daquar, raw, out, "--carve", "0", "--split", "x")
    with pytest.raises(InputError, match="--workers must be at least 1, got 0"):
        daquar.main(["--raw", str(raw), "--out", str(out), "--workers", "0"])
    write_lines(raw / "deep" / "er" / "qa.894.raw.test.txt", *TEST, *TRAIN[:2])
    with pytest.raises(InputError, match=r"image3.png: must be in one split, got .* it in train and in test; take"):
        run(daquar, raw, out, "--carve", "0")
    for path in raw.rglob("qa.*"):
        path.unlink()
    with pytest.raises(InputError, match=r"raw: must hold qa.894.raw.train.txt, the test file or those of 37 classes"):
        run(daquar, raw, out)
    assert not out.exists()


def test_daquar_as_published(real_data, tmp_path, monkeypatch):
    """Every question and answer, but for what names the picture; pictures are not decoded here."""
    monkeypatch.setattr(published, "look", lambda path: DecodeCheck())
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


def test_pictures_are_decoded_once_and_all_of_their_items_go_with_them(tmp_path, monkeypatch):
    looked = []
    faults = {"a.png": "", "b.png": "x"}
    monkeypatch.setattr(published, "look", lambda path: looked.append(path.name) or DecodeCheck(faults[path.name]))
    part = Split.empty()
    for i, name in enumerate("abab"):
        picture(tmp_path / f"{name}.png")
        part.items.append(Item(id=str(i), image=Path(f"{name}.png"), question="?"))
    kept = keep_readable(published.find_files(tmp_path), part, workers=1, title="")
    assert looked == ["a.png", "b.png"] and [item.id for item in kept.items] == ["0", "2"]
    assert kept.counts["dropped"] == {"x": 2} and kept.counts["named"] == {"x": ["b.png"]}
    assert kept.counts["images"] == 2


def test_the_finish_of_an_item_may_change_or_drop_it(tmp_path):
    picture(tmp_path / "a.png")
    part = Split([Item(id=i, image=Path("a.png")) for i in "xyz"], {"odd": ["w"]})
    kept = keep_readable(
        published.find_files(tmp_path),
        part,
        workers=1,
        title="",
        finish=lambda item: "odd" if item.id == "y" else Item(id=item.id * 2, image=item.image),
    )
    assert [item.id for item in kept.items] == ["xx", "zz"] and kept.counts["dropped"] == {"odd": 2}
    assert kept.items[0].image == tmp_path / "a.png"


def test_at_most_a_hundred_of_a_fault_are_named():
    part = Split([], {"odd": [str(i) for i in range(250)]})
    counts = keep_readable({}, part, workers=1, title="").counts
    assert counts["dropped"] == {"odd": 250} and len(counts["named"]["odd"]) == 100


def test_several_test_sets_may_share_pictures():
    def part(name: str) -> Split:
        return Split([Item(id="x", image=Path(name))], {})

    check_disjoint({"testA": part("a"), "testB": part("a"), "train": part("b")})
    with pytest.raises(InputError, match="a: must be in one split, got questions or .* in test and in val"):
        check_disjoint({"testA": part("a"), "val": part("a")})
    assert len(merge([part("a"), part("b")]).items) == 2


ANSWERS = ["net", "net", "net", "racket", "ball", "net", "racket", "a net", "court", "racket"]


def annotation(question: int, image: int, answers: list[str], kind: str = "what is", **more: object) -> dict:
    return {
        "question_id": question,
        "image_id": image,
        "question_type": kind,
        "answer_type": "other",
        "multiple_choice_answer": max(answers, key=answers.count, default=""),
        **more,
        "answers": [{"answer": text, "answer_confidence": "yes", "answer_id": i} for i, text in enumerate(answers, 1)],
    }


def question(number: int, image: int, text: str) -> dict:
    return {"question_id": number, "image_id": image, "question": text}


def publish(folder: Path, prefix: str, part: str, questions: list, annotations: list | None) -> None:
    head = {"info": {"version": "2.0"}, "license": {"name": "x"}, "data_type": "mscoco", "data_subtype": part}
    write_json(folder / "q" / f"{prefix}OpenEnded_mscoco_{part}_questions.json", {**head, "questions": questions})
    if annotations is not None:
        write_json(folder / "a" / f"{prefix}mscoco_{part}_annotations.json", {**head, "annotations": annotations})


@pytest.fixture
def vqa(tmp_path):
    folder = tmp_path / "raw"
    publish(
        folder,
        "v2_",
        "train2014",
        [
            question(9000, 9, "What is this?"),
            question(9001, 9, "Is it?"),
            question(25000, 25, "How many?"),
            question(9002, 9, "Why?"),
        ],
        [
            annotation(9000, 9, ANSWERS),
            annotation(9001, 9, ["yes"] * 10, "is it", answer_type="yes/no"),
            annotation(25000, 25, ["2"] * 10),
            annotation(9002, 9, [" "] * 10),
        ],
    )
    publish(folder, "v2_", "val2014", [question(42000, 42, "What?")], [annotation(42000, 42, ["a"] * 9 + ["b"])])
    publish(folder, "v2_", "test2015", [question(1000, 1, "Where?"), question(1001, 1, "Who?")], None)
    publish(folder, "v2_", "test-dev2015", [question(1001, 1, "Who?")], None)
    write_json(folder / "q" / "MultipleChoice_mscoco_train2014_questions.json", {"questions": 3})
    picture(folder / "train2014" / "COCO_train2014_000000000009.jpg")
    picture(folder / "val2017" / "000000000042.jpg")
    picture(folder / "test2015" / "COCO_test2015_000000000001.jpg")
    return folder


def test_vqa_golden(vqa, tmp_path):
    run(vqa2, vqa, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["raw", "stats.json", "train.jsonl", "val.jsonl"]
    net = json.dumps(["net"] * 4 + ["racket"] * 3 + ["ball", "a net", "court"])
    assert (tmp_path / "train.jsonl").read_text().split("\n") == [
        '{"id": "9000", "image": "raw/train2014/COCO_train2014_000000000009.jpg", "question": "What is this?", '
        f'"references": {net}, "question_type": "what is", "answer_type": "other"}}',
        '{"id": "9001", "image": "raw/train2014/COCO_train2014_000000000009.jpg", "question": "Is it?", '
        f'"references": {json.dumps(["yes"] * 10)}, "question_type": "is it", "answer_type": "yes/no"}}',
        "",
    ]
    [item] = read_manifest(tmp_path / "val.jsonl")
    assert item.id == "42000" and item.image.name == "000000000042.jpg" and item.references == ("a",) * 9 + ("b",)
    found = stats(tmp_path)
    assert found["train"]["dropped"] == {"no_answer": 1, "missing": 1} and found["train"]["references"] == 20
    assert found["train"]["named"] == {"no_answer": ["9002"], "missing": ["train2014/COCO_train2014_000000000025.jpg"]}
    assert found["test2015"] == found["test-dev2015"] == {"left_out": "no answers were published"}
    assert not any(finding.problem for finding in check(tmp_path)[1])


def test_questions_without_answers_go_where_everything_goes_once(vqa, tmp_path):
    run(vqa2, vqa, tmp_path / "out", "--split", "all")
    items = read_manifest(tmp_path / "out" / "all.jsonl")
    assert [(item.id, len(item.references)) for item in items] == [
        ("9000", 10),
        ("9001", 10),
        ("42000", 10),
        ("1000", 0),
        ("1001", 0),
    ]
    for name in ("train2014", "val2014", "test2015"):
        (vqa / "q" / f"v2_OpenEnded_mscoco_{name}_questions.json").unlink()
    run(vqa2, vqa, tmp_path / "dev", "--split", "dev")
    assert ids(tmp_path / "dev" / "dev.jsonl") == ["1001"]


def test_the_first_reference_is_the_most_frequent_answer_and_all_stay():
    rng = np.random.default_rng(0)
    for _ in range(200):
        answers = [str(number) for number in rng.integers(0, 5, 10)]
        found = vqa2.by_frequency(answers, "4")
        counts = [answers.count(text) for text in found]
        assert sorted(found) == sorted(answers) and counts == sorted(counts, reverse=True)
        best = {text for text in answers if answers.count(text) == counts[0]}
        assert found[0] == ("4" if "4" in best else min(best, key=answers.index))
        assert len(list(dict.fromkeys(found))) == sum(a != b for a, b in zip(found, (None, *found), strict=False))


def test_of_two_releases_one_is_chosen(vqa, tmp_path):
    publish(vqa, "", "val2014", [question(420, 42, "Old?")], [annotation(420, 42, ["o"] * 10)])
    with pytest.raises(InputError, match="--release must be one of 1, 2, which are under .*, got none"):
        run(vqa2, vqa, tmp_path / "out")
    run(vqa2, vqa, tmp_path / "out", "--release", "1")
    assert ids(tmp_path / "out" / "val.jsonl") == ["420"] and set(stats(tmp_path / "out")) == {"val"}
    run(vqa2, vqa, tmp_path / "two", "--release", "2")
    assert ids(tmp_path / "two" / "val.jsonl") == ["42000"]
    for path in (*vqa.rglob("v2_*"), vqa / "q" / "OpenEnded_mscoco_val2014_questions.json"):
        path.unlink()
    with pytest.raises(InputError, match="raw: must hold v2_OpenEnded_mscoco_train2014_questions.json .*unpack"):
        run(vqa2, vqa, tmp_path / "out")


def test_answers_that_are_not_there_are_named(vqa, tmp_path):
    (vqa / "a" / "v2_mscoco_val2014_annotations.json").unlink()
    with pytest.raises(InputError, match="raw: must hold v2_mscoco_val2014_annotations.json, the answers to v2_.*none"):
        run(vqa2, vqa, tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a/v2_mscoco_val2014_annotations.json", "{", "annotations.json: must be whole JSON, got a fault"),
        (
            "a/v2_mscoco_val2014_annotations.json",
            '{"annotations": [{}]}',
            r"annotations\[0\]: `answers` must be of type list",
        ),
        (
            "a/v2_mscoco_val2014_annotations.json",
            '{"annotations": [{"answers": [{"answer": "a"}, {"answer": 1}]}]}',
            r'annotations\[0\], answers\[1\]: must have a text `answer`, got \{"answer": 1\}',
        ),
        (
            "a/v2_mscoco_val2014_annotations.json",
            '{"annotations": [{"answers": [{"answer": "a"}]}]}',
            r"annotations\[0\]: `question_type` must be of type str, got null",
        ),
        (
            "q/v2_OpenEnded_mscoco_val2014_questions.json",
            '{"questions": [{"question_id": "1"}]}',
            r'questions\[0\]: `question_id` must be of type int, got "1"',
        ),
        (
            "q/v2_OpenEnded_mscoco_val2014_questions.json",
            '{"questions": [{"question_id": 1, "image_id": 2}]}',
            r"questions\[0\]: `question` must be of type str, got null",
        ),
    ],
)
def test_faulty_json_is_named(vqa, tmp_path, file, content, message):
    (vqa / file).write_text(content)
    with pytest.raises(InputError, match=message):
        run(vqa2, vqa, tmp_path / "out")
