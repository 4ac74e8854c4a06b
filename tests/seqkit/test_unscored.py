"""What evaluation servers take, and which splits have nothing to score."""

import json
from pathlib import Path

import pytest

from seqkit.data.manifest import Item, write_manifest
from seqkit.score.read_texts import read_corpus
from seqkit.score.report import ScoredItem
from seqkit.score.result_files import coco_result, vqa_result
from seqkit.unscored import is_unanswered, line_result, write_answers


@pytest.mark.parametrize(
    ("entry", "name", "expected"),
    [
        (coco_result, "COCO_test2014_000000000001", {"image_id": 1, "caption": "a dog"}),
        (coco_result, "000000581929", {"image_id": 581929, "caption": "a dog"}),
        (coco_result, "1000092795_93b57c065f", {"image_id": "1000092795_93b57c065f", "caption": "a dog"}),
        (vqa_result, "4195880", {"question_id": 4195880, "answer": "a dog"}),
        (vqa_result, "007", {"question_id": "007", "answer": "a dog"}),
        (line_result, "x", "a dog"),
    ],
)
def test_entries_are_those_that_the_servers_take(entry, name, expected):
    assert entry(name, "a dog") == expected


def test_a_split_is_unanswered_where_no_item_has_a_reference(tmp_path):
    write_manifest(tmp_path / "none.jsonl", [Item(id="1", source="a")])
    write_manifest(tmp_path / "some.jsonl", [Item(id="1", source="a"), Item(id="2", references=("b",))])
    assert is_unanswered(tmp_path, "none")
    assert not is_unanswered(tmp_path, "some") and not is_unanswered(tmp_path / "none.jsonl", "x")


def test_results_are_read_by_our_own_scorer(tmp_path: Path):
    items = [ScoredItem("000000000001", (), "a dog"), ScoredItem("000000000002", (), "\u2028 a  cat\n")]
    assert str(tmp_path / "results.json") in write_answers(tmp_path, items, coco_result)
    images = [{"id": n, "file_name": f"{n:012}.jpg"} for n in (1, 2)]
    annotations = [{"id": n, "image_id": n, "caption": "a dog"} for n in (1, 2)]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    read = read_corpus([tmp_path / "captions.json"], [tmp_path / "results.json"])
    assert read.ids == ["1", "2"] and read.matched == "by id"
    write_answers(tmp_path, items, line_result)
    assert (tmp_path / "results.txt").read_text() == "a dog\na cat\n"
    assert len(write_answers(tmp_path, items, None).splitlines()) == 2
