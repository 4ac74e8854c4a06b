"""Pictures are files that a viewer opens, of the size that their tokens need, whatever the tokens are."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from seqkit import draw
from seqkit.errors import InputError


def weights(rows: int, columns: int) -> np.ndarray:
    return np.full((rows, columns), 1 / columns)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (["▁Two", "▁men", "</s>"], ["Zwei", "Männer", ".", "</s>"]),
        (["$x$", "a_b^c", "$\\frac$", "%"], ["$_$", "{", "#"]),
        (["中文", "\U0001f600", "\u0000"], [" ", "", "\t"]),
        (list("a b c"), ["x" * 300]),
        (["a"], ["b"]),
    ],
)
def test_any_tokens_can_be_drawn(tmp_path: Path, source: list[str], target: list[str]) -> None:
    path = tmp_path / "new" / "a.png"
    draw.alignment(weights(len(target), len(source)), source, target, path, title="$ " + target[0][:9])
    image = imread(path)
    assert image[..., :3].min() < 0.3 and image[0, 0, :3].min() == 1.0


def test_darker_means_more_weight_and_rows_are_target_tokens(tmp_path: Path) -> None:
    heavy = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    draw.alignment(heavy, ["", "", ""], ["", ""], tmp_path / "a.png")
    blue = imread(tmp_path / "a.png")[..., 0] < 0.1
    rows, columns = (np.flatnonzero(blue.any(axis)) for axis in (1, 0))
    height, width = blue.shape
    assert len(columns) > 20 and rows.mean() < height * 0.6 and columns.mean() > width * 0.7


def test_the_picture_grows_with_the_tokens(tmp_path: Path) -> None:
    sizes = []
    for count in (5, 20, 80):
        draw.alignment(weights(count, 10), ["w"] * 10, ["w"] * count, tmp_path / "a.png")
        sizes.append(imread(tmp_path / "a.png").shape)
    assert sizes[0][0] < sizes[1][0] < sizes[2][0] < 4000


@pytest.mark.parametrize("shape", [(3, 2), (2,), (2, 3, 1)])
def test_weights_must_count_the_tokens(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"`weights_TS` must be \(2, 3\), a weight for every pair of tokens, got"):
        draw.alignment(np.zeros(shape), ["a"] * 3, ["b"] * 2, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"must be \(0, 3\)"):
        draw.alignment(np.zeros((0, 3)), ["a"] * 3, [], tmp_path / "a.png")


def log(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_curves_are_one_panel_a_number(tmp_path: Path) -> None:
    rows: list[object] = [{"step": n, "epoch": 0.1, "loss": 5 / n, "best": True} for n in range(1, 60)]
    rows += [{"step": n, "validation": {"bleu": n}, "seconds": 1.0} for n in (20, 40)]
    heights = []
    for names in (["loss"], ["validation/bleu", "absent"], []):
        draw.curves(log(tmp_path / "log.jsonl", rows), tmp_path / "c.png", names)
        heights.append(imread(tmp_path / "c.png").shape[0])
    assert abs(heights[0] - heights[1]) < 10 and 1.7 * heights[0] < heights[2] < 2.3 * heights[0]


def test_logs_without_what_is_asked_for(tmp_path: Path) -> None:
    path = log(tmp_path / "log.jsonl", [{"step": 1, "loss": 2.0}, {"loss": 3.0, "lr": 1.0}])
    with pytest.raises(InputError, match=r"log.jsonl: must have lr, x beside `step` in some line, got none"):
        draw.curves(path, tmp_path / "c.png", ["lr", "x"])
    path.write_text('{"step": 1}\n')
    with pytest.raises(InputError, match="must have a number beside `step`"):
        draw.curves(path, tmp_path / "c.png")
    for line in ('{"step": 1, "lo', "[1]"):
        path.write_text('{"step": 1, "loss": 1}\n' + line)
        with pytest.raises(InputError, match=r"log.jsonl, line 2: must be a JSON object, got"):
            draw.curves(path, tmp_path / "c.png")


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_a_heat_map_is_clear_where_the_weight_is(tmp_path: Path, kind: type[np.generic]) -> None:
    white = np.full((90, 120, 3), 255 if kind is np.uint8 else 1, dtype=kind)
    grid = np.zeros((3, 4))
    grid[0, 3] = 0.25
    draw.heat_maps(white, [("a $ word", grid)], tmp_path / "h.png", title="all of it")
    gray = imread(tmp_path / "h.png")[..., 0]
    veiled = gray[:, gray.shape[1] // 2 :]  # the second panel: its top right is clear, its bottom left is not
    dark = np.argwhere(veiled < 0.3)
    (_, left), (bottom, right) = dark.min(0), dark.max(0)
    panel = veiled[bottom + 1 - (right - left) * 3 // 4 : bottom + 1, left : right + 1]  # without the label above it
    assert panel[-5, 5] < 0.3 and panel[: len(panel) // 4, -len(panel) // 4 :].max() > 0.9
    assert (gray[:, : gray.shape[1] // 2] < 0.3).mean() < 0.1  # the first panel has no veil


def test_every_step_is_a_panel_and_rows_are_full(tmp_path: Path) -> None:
    shapes = []
    for steps in (2, 5, 6):
        draw.heat_maps(np.zeros((50, 50, 3), np.uint8), [("x", np.eye(3))] * steps, tmp_path / "h.png")
        shapes.append(imread(tmp_path / "h.png").shape)
    assert shapes[0][1] < shapes[1][1] and shapes[2][0] > 1.6 * shapes[1][0]
    draw.heat_maps(np.zeros((50, 50, 3), np.uint8), [("nothing", np.zeros((3, 4)))], tmp_path / "h.png")


def test_heat_maps_need_a_picture_and_grids(tmp_path: Path) -> None:
    for image, grid in ((np.zeros((4, 4)), np.zeros((2, 2))), (np.zeros((4, 4, 3)), np.zeros(4))):
        with pytest.raises(ValueError, match=r"`image_HW3` must be \(H, W, 3\) and each `weights_hw` \(h, w\), got"):
            draw.heat_maps(image, [("a", grid)], tmp_path / "h.png")


def test_boxes_are_drawn_where_they_are_the_first_on_top(tmp_path: Path) -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    boxes = [("a $ b", (20, 20, 60, 60)), ("c", (20, 20, 60, 60)), ("d", (70, 70, 90, 95))]
    draw.boxes(white, boxes, tmp_path / "b.png")
    image = imread(tmp_path / "b.png")[..., :3]
    colored = np.argwhere(np.ptp(image, axis=-1) > 0.3)
    (top, left), (bottom, right) = colored.min(0), colored.max(0)
    assert (bottom - top) / (right - left) == pytest.approx(75 / 70, abs=0.15)  # with the first label above its box

    def drawn(color: str) -> int:
        wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return int((np.abs(image - wanted).max(-1) < 0.05).sum())

    first, covered, third = map(drawn, draw.LINES[:3])
    assert first > 100 and third > 100 and 100 < covered < 0.5 * first  # of the covered box the label alone is seen


def test_no_label_of_a_box_hides_another() -> None:
    drawn = [(label, (left, 20, 90, 90)) for label, left in (("a dog", 20), ("a cat", 20), ("a man", 24), ("far", 70))]
    width, height = (10 * inches for inches in draw.BAND)
    assert draw.label_places(drawn, 10) == pytest.approx([20, 20 + height, 20 + 2 * height, 20])
    assert width * len(" a dog ") < 50


def test_a_long_title_takes_more_lines_not_more_width(tmp_path: Path) -> None:
    shapes = []
    for title in ("two men", "two men stand at a grill " * 8):
        draw.alignment(weights(5, 12), ["w"] * 12, ["w"] * 5, tmp_path / "a.png", title=title)
        shapes.append(imread(tmp_path / "a.png").shape)
    assert shapes[1][0] > shapes[0][0] and shapes[1][1] < 1.5 * shapes[0][1]


def test_boxes_need_a_picture_and_four_numbers_each(tmp_path: Path) -> None:
    for image, box in ((np.zeros((4, 4)), (0, 0, 1, 1)), (np.zeros((4, 4, 3)), (0, 0, 1))):
        with pytest.raises(ValueError, match=r"`image_HW3` must be \(H, W, 3\) and each box have 4 numbers, got"):
            draw.boxes(image, [("a", box)], tmp_path / "b.png")
