"""`seqkit check` of boxes: every wrong one is named, and sound ones are not."""

import json

import pytest
from PIL import Image

from seqkit.data.box_text import read_box
from seqkit.data.check import check

RIGHT = [2, 3, 12, 20]
EXIF_ORIENTATION = 0x0112


def found(folder, boxes, reference="2 3 12 20", **more):
    Image.new("RGB", (40, 30)).save(folder / "a.png")
    line = {"id": "1", "image": "a.png", "source": "the dog", "boxes": boxes, "references": [reference], **more}
    (folder / "train.jsonl").write_text(json.dumps(line) + "\n")
    return [(f.problem, f.kind, f.text) for f in check(folder)[1] if "split" not in f.kind]


def test_sound_boxes_have_no_findings(tmp_path):
    assert found(tmp_path, [RIGHT, [0, 0, 40, 30], [-0.5, 0, 40.6, 30], [0, 0, 1, 1]], extent=[30, 40]) == []
    assert found(tmp_path, [RIGHT], "[2, 3, 12, 20]") == []


@pytest.mark.parametrize(
    ("box", "problem", "kind", "text"),
    [
        (
            [12, 3, 2, 20],
            True,
            "box inside out",
            "right and bottom must be beyond left and top; if it is left, top, width",
        ),
        ([20, 20, 10, 5], True, "box inside out", "`boxes` [20, 20, 10, 5]: right and bottom"),
        ([5, 5, 5, 9], True, "box inside out", "right and bottom must be beyond"),
        ([50, 3, 60, 20], True, "box outside", "lies outside the 40 x 30 picture; correct it"),
        (
            [30, 3, 60, 20],
            False,
            "box beyond the edge",
            "reaches out of the 40 x 30 picture; if it is left, top, width",
        ),
        ([0.1, 0.2, 0.5, 1.0], True, "shares for pixels", "multiply them by its width 40 and height 30"),
    ],
)
def test_a_wrong_box_is_named_as_a_candidate_and_as_a_reference(tmp_path, box, problem, kind, text):
    [(*seen, said)] = found(tmp_path, [RIGHT, box])
    assert seen == [problem, kind] and text in said and said.startswith('train.jsonl, line 1, id "1", `boxes` [')
    [(*seen, said)] = found(tmp_path, [RIGHT], " ".join(map(str, box)))
    assert seen == [problem, kind] and said.startswith('train.jsonl, line 1, id "1", `references` \'')


def test_a_reference_that_is_no_box_and_another_extent_are_named(tmp_path):
    [(*seen, said)] = found(tmp_path, [RIGHT], "2 3 12")
    assert seen == [True, "no box"] and "must be left, top, right, bottom, got '2 3 12'" in said
    [(*seen, said)] = found(tmp_path, [RIGHT], extent=[40, 30])
    assert seen == [True, "other extent"] and "is [40, 30], but the upright picture has [30, 40]; correct it" in said


@pytest.mark.parametrize("text", ["(2,3),(12,20)", '{"x": 2, "y": 3, "w": 10, "h": 17}', "2;3;12;20"])
def test_references_are_read_as_training_reads_them(tmp_path, text):
    assert found(tmp_path, [RIGHT], text) == []
    assert read_box(text) == (2, 3, 12, 20)


def test_the_picture_is_taken_upright(tmp_path):
    assert found(tmp_path, [RIGHT]) == []
    image, exif = Image.new("RGB", (40, 30)), Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    image.save(tmp_path / "b.jpg", exif=exif)
    text = (tmp_path / "train.jsonl").read_text().replace("a.png", "b.jpg").replace("2, 3, 12, 20", "2, 3, 12, 39")
    (tmp_path / "train.jsonl").write_text(text)
    assert not [f for f in check(tmp_path)[1] if "split" not in f.kind]
