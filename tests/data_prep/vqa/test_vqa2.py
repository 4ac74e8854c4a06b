"""VQA to manifests: golden manifests from corpora made here, every question kept or counted."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.vqa import vqa2
from seqkit.errors import InputError
from tests.raw_files import run, stats, write_json


def picture(path: Path, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def ids(path: Path) -> list[str]:
    return [item.id for item in read_manifest(path)]


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
    names = ["raw", "stats.json", "test-dev2015.jsonl", "test2015.jsonl", "train.jsonl", "val.jsonl"]
    assert sorted(os.listdir(tmp_path)) == names
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
    assert [(item.id, item.references) for item in read_manifest(tmp_path / "test2015.jsonl")] == [
        ("1000", ()),
        ("1001", ()),
    ]
    assert ids(tmp_path / "test-dev2015.jsonl") == ["1001"] and found["test2015"]["references"] == 0
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
