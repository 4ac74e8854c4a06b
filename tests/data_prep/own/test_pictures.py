"""Own pictures with captions: texts beside them, or one table; all captions of a picture are in one item."""

import json

import numpy as np
import pytest
from PIL import Image

from seqkit.cli import main
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.own.pictures import prepare
from seqkit.data_prep.own.shares import Shares
from seqkit.errors import InputError
from tests.raw_files import stats, write_lines


def pictures(folder, count=12):
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        Image.fromarray(np.full((20, 30, 3), 10 * n, np.uint8)).save(folder / f"photo {n}.png")
    return folder


def everything(out):
    return {item.image.name: item for path in out.glob("*.jsonl") for item in read_manifest(path)}


def test_texts_beside_pictures(tmp_path):
    raw = pictures(tmp_path / "raw" / "holiday")
    for n in range(11):
        write_lines(raw / f"photo {n}.txt", f"a picture {n}", "", f"number {n}")
    (raw / "photo 3.png").write_bytes(b"no picture")
    assert (
        main(["prepare", "pictures", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out"), "--workers", "1"])
        == 0
    )
    found = everything(tmp_path / "out")
    assert set(found) == {f"photo {n}.png" for n in range(11) if n != 3}
    assert (
        found["photo 5.png"].references == ("a picture 5", "number 5") and found["photo 5.png"].id == "holiday-photo 5"
    )
    assert all((tmp_path / "out" / f"{name}.jsonl").is_file() for name in ("train", "val", "test"))
    told = stats(tmp_path / "out")["all"]
    assert told["dropped"] == {"no_caption": 1, "unreadable": 1} and told["named"]["no_caption"] == [
        "holiday/photo 11.png"
    ]
    assert told["split"] == "by picture, of which there are 10"


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json"])
def test_one_table_with_a_row_a_caption(tmp_path, kind):
    raw = pictures(tmp_path / "raw")
    rows = [{"file_name": f"photo {n}.png", "text": f"caption {k} of {n}"} for n in range(13) for k in range(2)]
    if kind in ("csv", "tsv"):
        mark = {"csv": ",", "tsv": "\t"}[kind]
        write_lines(raw / f"metadata.{kind}", mark.join(rows[0]), *(mark.join(row.values()) for row in rows))
    elif kind == "json":
        (raw / "captions.json").write_text(json.dumps(rows))
    else:
        write_lines(raw / "metadata.jsonl", *map(json.dumps, rows))
    prepare(raw, tmp_path / "out", Shares())
    found = everything(tmp_path / "out")
    assert len(found) == 12 and found["photo 2.png"].references == ("caption 0 of 2", "caption 1 of 2")
    assert stats(tmp_path / "out")["all"]["dropped"] == {"missing": 1}


def test_several_columns_of_captions_and_names_of_ones_own(tmp_path):
    raw = pictures(tmp_path / "raw", 4)
    write_lines(raw / "a.csv", "photo,caption_1,caption_2", *(f"photo {n}.png,a {n},b {n}" for n in range(4)), ",x,y")
    with pytest.raises(InputError, match="line 2: --image and --caption must be columns of it, which has photo, cap"):
        prepare(raw, tmp_path / "out", Shares())
    prepare(raw, tmp_path / "out", Shares(), image="photo")
    assert everything(tmp_path / "out")["photo 1.png"].references == ("a 1", "b 1")
    assert stats(tmp_path / "out")["all"]["named"]["no_picture"] == ["a.csv, line 6"]
    prepare(raw, tmp_path / "out", Shares(), image="photo", captions=["caption_2"])
    assert everything(tmp_path / "out")["photo 1.png"].references == ("b 1",)


def test_of_several_tables_one_must_be_named(tmp_path):
    raw = pictures(tmp_path / "raw", 4)
    for name in "ab":
        write_lines(raw / f"{name}.csv", "image,caption", *(f"photo {n}.png,{name} {n}" for n in range(4)))
    with pytest.raises(InputError, match=r"--texts must name one of the tables in .*: a\.csv, b\.csv"):
        prepare(raw, tmp_path / "out", Shares())
    prepare(raw, tmp_path / "out", Shares(), texts=raw / "b.csv")
    assert everything(tmp_path / "out")["photo 1.png"].references == ("b 1",)
