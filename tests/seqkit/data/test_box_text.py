"""Boxes in the notations of people, programs and models that write them."""

import pytest

from seqkit.data.box_text import read_box, read_numbers

SAME = [
    "0 0 9 9", "[0, 0, 9, 9]", "(0,0),(9,9)", "<box>(0,0),(9,9)</box>", "0;0;9;9", "[[0,0],[9,9]]", "0,0,9,9\u200b",
    "<|box_start|>(0,0),(9,9)<|box_end|>", '"[0, 0, 9, 9]"', "'0 0 9 9'", "```json\n[0,0,9,9]\n```",
    "array([0., 0., 9., 9.], dtype=float32)", "np.array([0,0,9,9])", "tensor([0., 0., 9., 9.], device='cuda:0')",
    "Box(0, 0, 9, 9)", "[{'bbox_2d': [0, 0, 9, 9], 'label': 'x'}]", '{"bbox_2d": [0, 0, 9, 9]}',
    "[x1=0, y1=0, x2=9, y2=9]", '{"xmin": 0, "ymin": 0, "xmax": 9, "ymax": 9, "score": 0.9, "label": "dog"}',
    '{"x": 0, "y": 0, "w": 9, "h": 9, "confidence": 0.5}', '{"X": 0, "Y": 0, "Width": 9, "Height": 9}',
    '{"x_center": 4.5, "y_center": 4.5, "width": 9, "height": 9}', '{"cx": 4.5, "cy": 4.5, "w": 9, "h": 9}',
    '{"ymin": 0, "xmin": 0, "ymax": 9, "xmax": 9}',
]  # fmt: skip


@pytest.mark.parametrize("text", SAME)
def test_a_box_in_any_usual_notation_is_read(text: str) -> None:
    assert read_box(text) == (0, 0, 9, 9)


@pytest.mark.parametrize(
    "text",
    [
        '{"bbox": [0, 0, 9, 9]}',  # left, top, width, height in COCO
        "0 0 9 9 0.98",
        "0 0 9,5 9,5",
        "0 0 9 nan",
        '{"x": 0, "y": 0, "w": 1e999, "h": 9}',
        "9 9 0 0",
        '{"x": 0, "y": 0, "w": 9, "h": 9, "z": 1}',
        "a dog",
    ],
)
def test_what_may_mean_two_things_or_none_is_no_box(text: str) -> None:
    assert read_box(text) is None


def test_a_minus_sign_is_one_and_boxes_inside_out_have_numbers() -> None:
    assert read_box("\u22121 0 9 9") == (-1, 0, 9, 9) and read_numbers("9 9 0 0") == (9, 9, 0, 0)
