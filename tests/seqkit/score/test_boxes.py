"""Boxes: intersection over union against counted pixels, its laws, and accuracy at one half."""

import re

import numpy as np
import pytest

from seqkit.data.box_text import read_box
from seqkit.errors import InputError
from seqkit.score.boxes import iou
from seqkit.score.evaluate import corpus_scores, scores_with_intervals, statistics
from seqkit.score.metric import Array, TextOptions


def drawn(seed: int, number: int) -> Array:
    """Boxes on a small grid; some are empty, every fourth may be inside out."""
    boxes = np.random.default_rng(seed).integers(-3, 9, size=(number, 4)).astype(np.float64)
    ordered = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
    return np.where(np.arange(number)[:, None] % 4 == 0, boxes, ordered)


def pixels(box: Array) -> set[tuple[int, int]]:
    left, top, right, bottom = map(int, box)
    return {(x, y) for x in range(left, right) for y in range(top, bottom)}


def test_iou_is_that_of_counted_pixels() -> None:
    first, second = drawn(0, 60), drawn(1, 40)
    found = iou(first, second)
    assert found.shape == (60, 40) and found.dtype == np.float64
    for row, one in zip(found, first, strict=True):
        for value, other in zip(row, second, strict=True):
            shared, covered = pixels(one) & pixels(other), pixels(one) | pixels(other)
            assert value == (len(shared) / len(covered) if covered else 0)
    assert (found > 0).sum() > 100 and (found == 0).sum() > 100


def test_iou_has_its_laws() -> None:
    generator = np.random.default_rng(2)
    corner, side = generator.normal(size=(20, 2)), generator.uniform(0.5, 3, size=(20, 2))
    boxes = np.concatenate([corner, corner + side], axis=1)
    found = iou(boxes, boxes)
    assert np.allclose(np.diag(found), 1) and np.array_equal(found, found.T) and found.max() <= 1 + 1e-12
    assert np.allclose(iou(boxes * 7 + 3, boxes * 7 + 3), found)
    assert iou(boxes, np.zeros((0, 4))).shape == (20, 0)


def test_whole_numbers_do_not_overflow() -> None:
    apart = np.array([[0, 0, 9, 9], [200, 0, 255, 255]], dtype=np.uint8)
    assert np.array_equal(iou(apart, apart), np.eye(2))
    wide = np.array([[-100, 0, 100, 1], [0, 0, 100, 1]], dtype=np.int8)
    assert np.array_equal(iou(wide, wide), [[1, 0.5], [0.5, 1]])
    assert np.array_equal(iou(wide, wide.astype(np.float64)), iou(wide.astype(np.float64), wide))


@pytest.mark.parametrize("shape", [(4,), (2, 3), (1, 2, 4)])
def test_boxes_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    for place, name in enumerate(("first_N4", "second_M4")):
        arrays = [np.zeros((1, 4)), np.zeros((1, 4))]
        arrays[place] = np.zeros(shape)
        with pytest.raises(ValueError, match=rf"`{name}` must have shape \(boxes, 4\), got {re.escape(str(shape))}"):
            iou(*arrays)


def test_one_half_is_enough() -> None:
    references = [["0 0 10 10"]] * 4
    hypotheses = ["0 0 10 5", "0 0 10 4.999", "0 0 20 10", " 0\t0 1e1 10.0 "]
    found = statistics(["iou_0.5"], references, hypotheses)["iou_0.5"]
    assert list(found.metric.value(found.statistics_NK)) == [100, 0, 100, 100]
    score = scores_with_intervals({"iou_0.5": found})["iou_0.5"]
    assert score.value == 75 and score.counts == {"items": 4, "correct": 3, "valid": 4, "boxes": 4}
    assert score.signature.startswith("iou_0.5|nrefs:1|refs:any|least:0.5|library:seqkit|text:nfc+space|seqkit:")


def test_any_of_several_boxes_will_do() -> None:
    assert corpus_scores(statistics(["iou_0.5"], [["0 0 1 1", "5 5 9 9"], ["0 0 1 1"]], ["5 5 9 8", "0 0 1 1"])) == {
        "iou_0.5": 100
    }


@pytest.mark.parametrize("text", ["", "1 2 3", "0 0 1 1 1", "a b c d", "0 0 nan 1", "0 0 inf 1", "1e999 0 1 1"])
def test_a_text_that_is_no_box_is_wrong_as_a_hypothesis_and_refused_as_a_reference(text: str) -> None:
    found = scores_with_intervals(statistics(["iou_0.5"], [["0 0 1 1"]] * 2, [text, "0 0 1 1"]))["iou_0.5"]
    assert found.value == 50 and found.counts["valid"] == 1
    box = "boxes, four numbers `left top right bottom` with left < right and top < bottom"
    with pytest.raises(InputError, match=re.escape(f"references of `iou_0.5` must be {box}, got {text!r} as item 2")):
        statistics(["iou_0.5"], [["0 0 1 1"], ["0 0 1 1", text]], ["0 0 1 1"] * 2)


@pytest.mark.parametrize("text", ["5 0 5 9", "0 5 9 5", "9 0 0 9", "0 9 9 0"])
def test_a_box_without_area_is_none(text: str) -> None:
    assert read_box(text) is None


def test_numbers_are_read() -> None:
    assert read_box("-1.5 0 2e1 +3") == (-1.5, 0, 20, 3)


def test_punctuation_cannot_be_removed_from_numbers() -> None:
    with pytest.raises(InputError, match=r"`iou_0.5` must be taken with punctuation kept: the points of numbers"):
        statistics(["iou_0.5"], [["0 0 1.5 1"]], ["0 0 1 1"], TextOptions(punctuation=False))
