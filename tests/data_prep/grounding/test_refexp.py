"""RefCOCOg in the JSON of its makers, as published and as their toolbox aligns it with COCO; shared images."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data.manifest import Item, read_manifest
from seqkit.data_prep.common.image_items import Split
from seqkit.data_prep.common.raw_files import find_files
from seqkit.data_prep.grounding import referit
from seqkit.data_prep.grounding.proposals import windows
from seqkit.data_prep.grounding.refer import find_refs, read_refer
from seqkit.errors import InputError
from tests.raw_files import run, stats, write_json

WIDE, HIGH = 60, 40
NAMES = {i: f"COCO_train2014_{i:012d}.jpg" for i in (1, 2)}
CANDIDATES = [{"bounding_box": box, "predicted_object_name": "x"} for box in ([2, 2, 20, 10], [30, 5, 99, 9])]
EXPRESSIONS = {"train": [(11, "The left bowl."), (12, " "), (13, "nobody's")], "val": [(21, "a bowl")]}
OBJECTS = {"train": [(71, 1, [11, 12])], "val": [(72, 2, [21])]}


def published(split: str) -> dict:
    return {
        "annotations": [
            {"annotation_id": ident, "image_id": image, "refexp_ids": numbers, "region_candidates": CANDIDATES}
            for ident, image, numbers in OBJECTS[split]
        ],
        "refexps": [{"refexp_id": number, "raw": text, "tokens": text.split()} for number, text in EXPRESSIONS[split]],
    }


def aligned(split: str) -> dict:
    extent = {"height": HIGH, "width": WIDE}
    return {
        "images": {
            str(image): {"image_id": image, "file_name": NAMES[image], "region_candidates": CANDIDATES, **extent}
            for _, image, _ in OBJECTS[split]
        },
        "annotations": {
            str(ident): {"annotation_id": ident, "image_id": image, "refexp_ids": numbers, "bbox": [3, 2, 20, 10]}
            for ident, image, numbers in OBJECTS[split]
        },
        "refexps": {str(number): {"refexp_id": number, "raw": text} for number, text in EXPRESSIONS[split]},
    }


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((HIGH, WIDE, 3), np.uint8)).save(path)


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    for split in ("train", "val"):
        write_json(folder / "release" / f"google_refexp_{split}_201511.json", published(split))
    objects = [{"id": 70 + i, "image_id": i, "bbox": [3, 2, 20, 10], "segmentation": []} for i in (1, 2)]
    images = [{"id": i, "file_name": name, "height": HIGH, "width": WIDE} for i, name in NAMES.items()]
    write_json(folder / "annotations" / "instances_train2014.json", {"images": images, "annotations": objects})
    for name in NAMES.values():
        picture(folder / "train2014" / name)
    return folder


def align(raw: Path) -> None:
    for split in ("train", "val"):
        write_json(raw / "release" / f"google_refexp_{split}_201511_coco_aligned.json", aligned(split))


def test_both_forms_give_the_same(raw, tmp_path):
    run(referit, raw, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    assert lines == [
        {
            "id": "71-11",
            "source": "The left bowl.",
            "image": str(raw / "train2014" / NAMES[1]),
            "references": ["3 2 23 12"],
            "boxes": [[2, 2, 22, 12], [30, 5, 60, 14]],
            "truth": [[3, 2, 23, 12]],
            "extent": [HIGH, WIDE],
        }
    ]
    found = stats(tmp_path / "out")
    assert found["train"]["named"] == {"no_phrase": ["71-12"], "no_annotation": ["13"]} and found["val"]["items"] == 1
    assert found["train"]["files"] == ["google_refexp"] and found["train"]["recall"] == 100
    align(raw)
    (raw / "annotations" / "instances_train2014.json").unlink()
    run(referit, raw, tmp_path / "aligned")
    for name in ("train.jsonl", "val.jsonl"):
        assert (tmp_path / "aligned" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_without_candidates_there_are_windows(raw, tmp_path):
    content = published("val")
    del content["annotations"][0]["region_candidates"]
    write_json(raw / "release" / "google_refexp_val_201511.json", content)
    run(referit, raw, tmp_path / "out")
    assert read_manifest(tmp_path / "out" / "val.jsonl")[0].boxes == tuple(windows(HIGH, WIDE))


def test_boxes_must_come_from_somewhere(raw, tmp_path):
    (raw / "annotations" / "instances_train2014.json").unlink()
    with pytest.raises(
        InputError, match=r"train_201511.json: must have COCO's instances_train2014.json, .* got none; un"
    ):
        run(referit, raw, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"refexps": [{"refexp_id": 11, "raw": "a"}] * 2},
            r"refexps\[1\]: `refexp_id` must be unique, got 11, which .*0\]",
        ),
        (
            {"refexps": [{"refexp_id": 21, "raw": "a"}]},
            r"val_.*refexps\[0\]: `refexp_id` must be unique, got 21, which ",
        ),
        (
            {"annotations": [{"annotation_id": 9}]},
            r"annotations\[0\]: `annotation_id` must be the `id` .*2014.json, got 9",
        ),
        (
            {"annotations": [{"annotation_id": 71, "refexp_ids": ["1"]}]},
            r"annotations\[0\]: `refexp_ids` must be whole",
        ),
        (
            {"annotations": [{"annotation_id": 71, "refexp_ids": [11]}] * 2},
            r"annotations\[1\]: `refexp_ids` must be unique",
        ),
        ({"annotations": 3}, r"`annotations` must be of type list, got 3"),
    ],
)
def test_faulty_files_are_named(raw, tmp_path, change, message):
    write_json(raw / "release" / "google_refexp_train_201511.json", {**published("train"), **change})
    with pytest.raises(InputError, match=message):
        run(referit, raw, tmp_path / "out")


def test_images_that_splits_share_are_refused_or_taken_out_of_train(raw, tmp_path):
    content = published("val")
    content["annotations"][0] = {**content["annotations"][0], "annotation_id": 71, "image_id": 1}
    write_json(raw / "release" / "google_refexp_val_201511.json", content)
    with pytest.raises(
        InputError, match=r"000000000001.jpg: must be in one split, got .* train and in val; .* --shared_images drop"
    ):
        run(referit, raw, tmp_path / "out")
    run(referit, raw, tmp_path / "out", "--shared_images", "drop")
    found = stats(tmp_path / "out")
    assert found["train"]["items"] == 0 and found["train"]["named"]["image_in_val"] == ["71-11"]
    assert [item.id for item in read_manifest(tmp_path / "out" / "val.jsonl")] == ["71-21"]


def test_what_val_shares_with_test_is_taken_out_of_val():
    def split(*images: int) -> Split:
        return Split([Item(id=str(i), image=Path(NAMES[i])) for i in images], defaultdict(list))

    splits = {"train": split(1, 2), "val": split(2), "testA": split(2), "testB": split(2)}
    referit.drop_shared(splits)
    assert {name: [item.id for item in one.items] for name, one in splits.items()} == {
        "train": ["1"],
        "val": [],
        "testA": ["2"],
        "testB": ["2"],
    }


def test_expressions_as_published(real_data):
    """Counts of the sample at hand; without its images, nothing is prepared and one line says so."""
    found = {name: read_refer(path, None) for name, path in find_refs(find_files(real_data / "refcoco")).items()}
    sizes = {name: sum(len(split.items) for split in splits.values()) for name, splits in found.items()}
    assert (sizes["refcoco/unc"], sizes["refcoco+/unc"], sizes["refcocog/umd"]) == (23, 25, 12)
    for splits in found.values():
        for item in (item for split in splits.values() for item in split.items):
            [(left, top, right, bottom)] = item.extra["truth"]
            height, width = item.extra["extent"]
            assert 0 <= left < right <= width + 0.01 and 0 <= top < bottom <= height + 0.01


def test_expressions_without_images_are_refused_in_one_line(real_data, tmp_path):
    with pytest.raises(
        InputError, match=r"^refcocog/umd: must name readable images under --raw, got none; dropped: .*$"
    ):
        run(referit, real_data / "refcoco", tmp_path / "out", "--corpus", "refcocog/umd")
