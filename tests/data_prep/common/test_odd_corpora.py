"""Published files as people have them: packed, of another byte order, with entries that fit nothing."""

import gzip
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data.manifest import read_manifest
from seqkit.data_prep.captioning import coco
from seqkit.data_prep.common.raw_files import value_of
from seqkit.data_prep.grounding import referit
from seqkit.data_prep.lipreading import an4
from seqkit.data_prep.lipreading.grid_corpus import speaker_order
from seqkit.data_prep.vqa import daquar, vqa2
from seqkit.errors import InputError
from tests.raw_files import run, stats, write_json, write_lines


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 20, 3), 90, np.uint8)).save(path)


def annotation(number, image):
    kinds = {"question_type": "what", "answer_type": "other", "multiple_choice_answer": "x"}
    return {"question_id": number, "image_id": image, "answers": [{"answer": "x", "answer_id": 1}], **kinds}


def test_packed_json_is_read_and_its_damage_named(tmp_path):
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "caption": "A dog."}]}
    packed = gzip.compress(json.dumps(content).encode())
    picture(tmp_path / "raw/a.png")
    (tmp_path / "raw/captions_val2017.json").write_bytes(packed)
    run(coco, tmp_path / "raw", tmp_path / "out")
    assert stats(tmp_path / "out")["val"]["items"] == 1
    (tmp_path / "raw/captions_val2017.json").write_bytes(packed[:-9])
    with pytest.raises(
        InputError, match="captions_val2017.json: must be whole JSON, got a fault: Compressed file ended"
    ):
        run(coco, tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize(("key", "where"), [("cocoid", r"images\[1\]"), ("sentid", r"images\[1\], sentences\[0\]")])
def test_images_and_captions_of_karpathys_files_come_once(tmp_path, key, where):
    images = [
        {"split": "train", "filename": f"{n}.png", "cocoid": n, "sentences": [{"raw": "A dog.", "sentid": n}]}
        for n in (1, 2)
    ]
    (images[1] if key == "cocoid" else images[1]["sentences"][0])[key] = 1
    write_json(tmp_path / "raw/dataset_x.json", {"images": images})
    with pytest.raises(
        InputError, match=rf"dataset_x.json, {where}: `{key}` must be unique, got 1, which .*images\[0\]"
    ):
        run(coco, tmp_path / "raw", tmp_path / "out")


def test_questions_without_words_and_answers_to_another_image_are_named(tmp_path):
    picture(tmp_path / "raw/COCO_val2014_000000000001.jpg")
    asked = [{"question_id": n, "image_id": 1, "question": text} for n, text in ((1, "What?"), (2, " ? "), (3, "Who?"))]
    write_json(tmp_path / "raw/v2_OpenEnded_mscoco_val2014_questions.json", {"questions": asked})
    answers = [annotation(1, 1), annotation(2, 1), annotation(3, 7)]
    write_json(tmp_path / "raw/v2_mscoco_val2014_annotations.json", {"annotations": answers})
    run(vqa2, tmp_path / "raw", tmp_path / "out")
    assert [item.id for item in read_manifest(tmp_path / "out/val.jsonl")] == ["1"]
    named = {"empty_question": ["2"], "answers_of_another_image": ["3"]}
    assert stats(tmp_path / "out")["val"]["named"] == named


def test_a_question_that_is_its_image_alone_is_named(tmp_path):
    picture(tmp_path / "raw/image1.png")
    lines = ("what is in the image1 ?", "lamp", "a in the image1 ?", "lamp", "? in this image1 ?", "lamp")
    write_lines(tmp_path / "raw/qa.894.raw.train.txt", *lines)
    run(daquar, tmp_path / "raw", tmp_path / "out", "--val_size", "0")
    assert stats(tmp_path / "out")["train"]["named"] == {"empty_question": ["qa.894.raw.train.txt, line 5"]}


def test_an_image_in_two_formats_is_named(tmp_path):
    for name in ("image1.png", "image1.jpg", "image2.jpg"):
        picture(tmp_path / "raw" / name)
    write_lines(tmp_path / "raw/qa.894.raw.train.txt", "a lamp in image1 ?", "1", "a bed in image2 ?", "2")
    run(daquar, tmp_path / "raw", tmp_path / "out", "--val_size", "0")
    assert [item.image.name for item in read_manifest(tmp_path / "out/train.jsonl")] == ["image1.png", "image2.jpg"]
    found = stats(tmp_path / "out")["train"]
    assert found["other_formats"] == 1 and found["named"]["other_formats"] == ["image1.png was taken, not image1.jpg"]


@pytest.mark.parametrize("split", ["", "../evil", "a/b", ".hidden"])
def test_a_split_that_is_no_name_writes_nothing_elsewhere(tmp_path, split):
    picture(tmp_path / "raw/a.jpg")
    refs = [{"ref_id": 1, "ann_id": 5, "split": split, "sentences": [{"sent_id": 1, "sent": "dog"}]}]
    write_json(
        tmp_path / "raw/refcoco/instances.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg", "height": 16, "width": 20}],
            "annotations": [{"id": 5, "image_id": 1, "bbox": [1, 1, 5, 5]}],
        },
    )
    (tmp_path / "raw/refcoco/refs(unc).p").write_bytes(pickle.dumps(refs))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=rf"refs\[0\]: `split` must be a name such as testA, got '{split}'"):
        run(referit, tmp_path / "raw", tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_features_of_either_byte_order_are_read(tmp_path):
    values = np.arange(26, dtype=np.float32).reshape(2, 13)
    for order in "<>":
        (tmp_path / "a.mfc").write_bytes(struct.pack(f"{order}i", 26) + values.astype(f"{order}f4").tobytes())
        assert (an4.read_mfc(tmp_path / "a.mfc") == values).all()


def test_lists_of_which_no_features_are_there_say_why(tmp_path):
    write_lines(tmp_path / "raw/an4_train.fileids", "a")
    write_lines(tmp_path / "raw/an4_train.transcription", "YES (a)")
    argv = ["--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]
    with pytest.raises(InputError, match="got none that can be read: they are not there"):
        an4.main(argv)
    (tmp_path / "raw/a.mfc").write_bytes(b"none")
    with pytest.raises(
        InputError, match="got none that can be read: .*a.mfc: must be a number of values and that many"
    ):
        an4.main(argv)


def test_numbers_of_too_many_digits_are_shown_as_such():
    """A pickle can hold them; Python writes no more than 4,300 digits."""
    with pytest.raises(InputError, match="x: `id` must be of type str, got a number of too many digits"):
        value_of({"id": 10**5000}, "id", str, "x")


def test_speakers_are_sorted_by_number_and_others_are_no_traceback():
    assert sorted(["s10", "s2", "s\u00b2", "", "s2x"], key=speaker_order)[-2:] == ["s2", "s10"]
