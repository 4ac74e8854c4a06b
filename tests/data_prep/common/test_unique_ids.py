"""What comes twice, in every corpus of images: an error with both places; copies that differ are named."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data_prep.captioning import coco, flickr8k
from seqkit.data_prep.common.raw_files import UniqueKeys, differing_copies, find_files, find_image, read_json
from seqkit.data_prep.grounding import referit
from seqkit.data_prep.grounding.proposals import read_proposals
from seqkit.data_prep.vqa import vqa2
from seqkit.errors import InputError
from tests.raw_files import run, stats, write_json, write_lines


def picture(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30, 3), shade, np.uint8)).save(path)
    return path


def captions(images: list[tuple[int, str]], texts: list[tuple[int, int]]) -> dict:
    return {
        "images": [{"id": number, "file_name": name} for number, name in images],
        "annotations": [{"id": number, "image_id": image, "caption": "A dog."} for number, image in texts],
    }


def instances(images: list[int], objects: list[int]) -> dict:
    box = {"image_id": 1, "bbox": [1, 2, 3, 4]}
    return {
        "images": [{"id": i, "file_name": "a.jpg", "height": 20, "width": 30} for i in images],
        "annotations": [{"id": i, **box} for i in objects],
    }


def refer(raw: Path, numbers: list[int], images: list[int], objects: list[int]) -> None:
    write_json(raw / "refcoco" / "instances.json", instances(images, objects))
    refs = [{"ref_id": 1, "ann_id": 5, "split": "train", "sentences": [{"sent_id": n, "sent": "x"} for n in numbers]}]
    (raw / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(refs))


def refer_twice(raw: Path) -> None:
    """Two entries of one `ref_id`, with sentences of their own."""
    refer(raw, [1], [1], [5])
    path = raw / "refcoco" / "refs(unc).p"
    [first] = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps([first, {**first, "sentences": [{"sent_id": 2, "sent": "\u200b"}]}]))


def questions(raw: Path, asked: list[int], answered: list[int]) -> None:
    answers = {"question_type": "a", "answer_type": "b", "multiple_choice_answer": "c", "answers": [{"answer": "c"}]}
    write_json(
        raw / "OpenEnded_mscoco_val2014_questions.json",
        {"questions": [{"question_id": n, "image_id": 1, "question": "Why?"} for n in asked]},
    )
    write_json(
        raw / "mscoco_val2014_annotations.json", {"annotations": [{"question_id": n, **answers} for n in answered]}
    )


FAULTS: list[tuple[object, Callable[[Path], None], str]] = [
    (
        coco,
        lambda raw: write_json(raw / "captions_val2017.json", captions([(1, "a.jpg"), (1, "b.jpg")], [(1, 1)])),
        r"images\[1\]: `id` must be unique, got 1, which .*captions_val2017.json, images\[0\] has; take out one",
    ),
    (
        coco,
        lambda raw: write_json(raw / "captions_val2017.json", captions([(1, "a.jpg")], [(7, 1), (7, 1)])),
        r"annotations\[1\]: `id` must be unique, got 7, which .*annotations\[0\] has",
    ),
    (
        coco,
        lambda raw: write_json(raw / "captions_val2017.json", captions([(1, "x/a.jpg"), (2, "y/a.jpg")], [])),
        r"got x/a.jpg \(.*images\[0\]\) and y/a.jpg \(.*images\[1\]\); rename one of the two",
    ),
    (
        flickr8k,
        lambda raw: write_lines(raw / "Flickr8k.token.txt", "a.jpg#0\tA dog.", "b.jpg#0\tA cat.", "a.jpg#0\tA cow."),
        r"token.txt, line 3: `image.jpg#number` must be unique, got 'a.jpg#0', which .*token.txt, line 1 has",
    ),
    (
        vqa2,
        lambda raw: questions(raw, [4, 4], [4]),
        r"questions\[1\]: `question_id` must be unique, got 4, which .*\[0\]",
    ),
    (
        vqa2,
        lambda raw: questions(raw, [4], [4, 4]),
        r"annotations\[1\]: `question_id` must be unique, got 4, which .*\[0\]",
    ),
    (
        referit,
        lambda raw: refer(raw, [1, 1], [1], [5]),
        r"sentences\[1\]: `ref_id and sent_id` must be .* got '1-1', wh",
    ),
    (
        referit,
        lambda raw: refer(raw, [1], [1, 1], [5]),
        r"instances.json, images\[1\]: `id` must be unique, got 1, which",
    ),
    (
        referit,
        lambda raw: refer(raw, [1], [1], [5, 5]),
        r"instances.json, annotations\[1\]: `id` must be unique, got 5, ",
    ),
    (referit, refer_twice, r"refs\[1\]: `ref_id` must be unique, got 1, which .*refs\[0\] has"),
]


@pytest.mark.parametrize(("script", "write", "message"), FAULTS)
def test_ids_that_come_twice_are_errors_with_both_places(script, write, message, tmp_path):
    raw = tmp_path / "raw"
    picture(raw / "a.jpg")
    write(raw)
    with pytest.raises(InputError, match=message):
        run(script, raw, tmp_path / "out", *(("--split", "x") if script is flickr8k else ()))
    assert not (tmp_path / "out").exists()


def test_proposals_of_an_image_come_once(tmp_path):
    write_lines(tmp_path / "p", '{"image": "a.jpg", "boxes": []}', '{"image": "x/a.jpg", "boxes": []}')
    with pytest.raises(InputError, match=r"p, line 2: `image` must be unique, got 'a.jpg', which .*p, line 1 has"):
        read_proposals(tmp_path / "p")


def test_a_key_of_an_object_comes_once(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [{"id": 1, "id": 2}]}')
    with pytest.raises(InputError, match=r"a.json: must have each key of an object once, got 'id' twice, with .*1.*2"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="a.json: must be whole JSON, got a fault"):
        read_json(tmp_path / "a.json")


def test_both_places_are_told():
    unique = UniqueKeys("id")
    unique.add(1, "here")
    with pytest.raises(InputError, match=re.escape("there: `id` must be unique, got 1, which here has; take out one")):
        unique.add(1, "there")


def test_images_of_which_copies_differ_are_named(tmp_path):
    raw = tmp_path / "raw"
    for folder, name, shade in (("v1", "a", 1), ("v2", "a", 2), ("v1", "b", 1), ("v2", "b", 1), ("v2", "c", 1)):
        picture(raw / folder / f"{name}.jpg", shade)
    listed = captions([(1, "a.jpg"), (2, "b.jpg"), (3, "v2/c.jpg")], [(n, n) for n in (1, 2, 3)])
    picture(raw / "v1" / "c.jpg", 9)
    write_json(raw / "captions_train2017.json", listed)
    run(coco, raw, tmp_path / "out")
    found = stats(tmp_path / "out")["train"]
    assert found["items"] == 3 and found["copies_differ"] == 1
    assert found["named"] == {"copies_differ": [f"{raw}/v1/a.jpg was taken, not {raw}/v2/a.jpg"]}


def test_copies_in_other_folders_than_the_published_one_do_not_matter(tmp_path):
    for folder, shade in (("a", 1), ("b", 2), ("c", 3)):
        picture(tmp_path / folder / "x.jpg", shade)
    files = find_files(tmp_path)
    assert find_image(files, "b/x.jpg") == tmp_path / "b" / "x.jpg" and differing_copies(files, "b/x.jpg") == []
    assert differing_copies(files, "x.jpg") == [tmp_path / "b" / "x.jpg", tmp_path / "c" / "x.jpg"]
    assert differing_copies(files, "none.jpg") == []


def test_files_of_expressions_of_one_name_must_be_the_same(tmp_path):
    for root, text in (("v1", [1]), ("v2", [2])):
        refer(tmp_path / root, text, [1], [5])
    with pytest.raises(
        InputError, match=r"v2/refcoco/refs\(unc\).p: must be as .*v1/refcoco/refs\(unc\).p, its namesake"
    ):
        run(referit, tmp_path, tmp_path / "out")


def test_answers_to_no_question_are_named(tmp_path):
    raw = tmp_path / "raw"
    questions(raw, [4], [4, 9])
    picture(raw / "COCO_val2014_000000000001.jpg")
    run(vqa2, raw, tmp_path / "out")
    assert stats(tmp_path / "out")["val"]["named"] == {"no_question": ["9"]}


def test_images_of_a_test_set_are_items_without_captions(tmp_path):
    raw = tmp_path / "raw"
    for name in ("a.jpg", "b.jpg"):
        picture(raw / name)
    write_json(raw / "image_info_test2017.json", {"images": [{"id": 1, "file_name": "a.jpg"}]})
    write_json(raw / "captions_val2017.json", captions([(1, "b.jpg")], [(1, 1)]))
    run(coco, raw, tmp_path / "out")
    lines = (tmp_path / "out" / "test2017.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"id": "a", "image": str(raw / "a.jpg")}]
    run(coco, raw, tmp_path / "one", "--split", "mine")
    assert [path.name for path in (tmp_path / "one").glob("*.jsonl")] == ["mine.jsonl"]
    assert stats(tmp_path / "one")["mine"]["items"] == 1
