"""Boxes on images that EXIF turns: they lie on the same pixels after as before."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data.image import read_image, read_orientation
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.grounding import referit
from seqkit.data_prep.grounding.proposals import turn_boxes
from seqkit.errors import InputError
from tests.data_prep.grounding.test_referit import ref, write_refs
from tests.raw_files import run, stats, write_json, write_lines

WIDE, HIGH = 60, 40  # as stored
LEFT, TOP, RIGHT, BOTTOM = 6, 3, 26, 13


def marked(path: Path, orientation: int) -> Path:
    """White where the box is, turned by EXIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((HIGH, WIDE, 3), np.uint8)
    pixels[TOP:BOTTOM, LEFT:RIGHT] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **({"lossless": True} if path.suffix == ".webp" else {}))
    return path


def white(path: Path) -> tuple[int, ...]:
    """The box of what is white in the image as training reads it."""
    rows, columns = np.nonzero(read_image(path)[..., 0] > 128)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize("ending", ["png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_with_its_pixels(orientation, ending, tmp_path):
    path = marked(tmp_path / f"a.{ending}", orientation)
    height, width = read_image(path).shape[:2]
    assert (height, width) == ((WIDE, HIGH) if orientation >= 5 else (HIGH, WIDE))
    assert read_orientation(path) == orientation
    assert turn_boxes([(LEFT, TOP, RIGHT, BOTTOM)], orientation, height, width) == [white(path)]


def test_the_orientation_of_what_is_no_image(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="a.png: must be a picture, got an empty file"):
        read_orientation(tmp_path / "a.png")


def corpus(raw: Path, orientation: int, height: int, width: int) -> Path:
    path = marked(raw / "a.png", orientation)
    box = {"id": 71, "image_id": 1, "bbox": [LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP]}
    images = [{"id": 1, "file_name": "a.png", "height": height, "width": width}]
    write_json(raw / "refcoco" / "instances.json", {"images": images, "annotations": [box]})
    write_refs(raw / "refcoco" / "refs(unc).p", ref(1, 71, "train", "the white box"))
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_and_proposals_of_a_corpus_turn_with_the_image(orientation, tmp_path):
    path = corpus(tmp_path / "raw", orientation, HIGH, WIDE)
    write_lines(tmp_path / "p", json.dumps({"image": "a.png", "boxes": [[LEFT, TOP, RIGHT, BOTTOM]]}))
    run(referit, tmp_path / "raw", tmp_path / "out", "--proposals", str(tmp_path / "p"))
    [item] = read_manifest(tmp_path / "out" / "train.jsonl")
    assert tuple(item.extra["truth"][0]) == item.boxes[0] == white(path)
    assert item.extra["extent"] == list(read_image(path).shape[:2])


def test_boxes_that_were_drawn_on_the_upright_image_stay(tmp_path):
    corpus(tmp_path / "raw", 6, WIDE, HIGH)  # height and width as EXIF turns it
    run(referit, tmp_path / "raw", tmp_path / "out")
    [item] = read_manifest(tmp_path / "out" / "train.jsonl")
    assert item.extra["truth"] == [[LEFT, TOP, RIGHT, BOTTOM]]
    corpus(tmp_path / "raw", 6, HIGH + 1, WIDE)
    with pytest.raises(InputError, match=r"got none; dropped: train {'other_size': 1}"):
        run(referit, tmp_path / "raw", tmp_path / "other")
    assert stats(tmp_path / "out")["train"]["items"] == 1
