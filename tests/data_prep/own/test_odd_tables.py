"""Tables as Excel, pandas and Spark write them; cells that are no texts; texts of which nothing can be seen."""

import bz2
import decimal
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.captioning import flickr8k
from seqkit.data_prep.own import pairs, pictures
from seqkit.data_prep.own.shares import Shares
from seqkit.data_prep.own.table import prepare
from seqkit.data_prep.own.table_rows import read_rows
from seqkit.errors import InputError
from tests.raw_files import stats

NONE = Shares(0.0, 0.0)
ROWS = [{"source": "a", "references": "A"}, {"source": "b", "references": "B"}]


def texts(out: Path) -> list[tuple[str | None, tuple[str, ...]]]:
    return [(item.source, item.references) for item in read_manifest(out / "train.jsonl")]


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "sep=;;"])
def test_excels_line_of_the_separator_is_no_row(first: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{first}\r\nsource;references\r\na,x;A\r\nb\r\n")
    with pytest.raises(InputError, match=r"t.csv, line 4: must have 2 cells, as the header, got 1"):
        list(read_rows(path))
    path.write_text(f"{first}\r\nsource;references\r\na,x;A\r\n")
    assert list(read_rows(path)) == [("t.csv, line 3", {"source": "a,x", "references": "A"})]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("name", ["train.csv", "train.jsonl", "train.json"])
def test_packed_tables_are_found_and_read(name: str, pack, tmp_path: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    content = {"csv": "source,references\na,A\nb,B\n", "jsonl": lines, "json": json.dumps(ROWS)}[name.split(".")[1]]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / f"{name}.{'gz' if pack is gzip.compress else 'bz2'}").write_bytes(pack(content.encode()))
    prepare(tmp_path / "raw", tmp_path / "out", {}, NONE)
    assert texts(tmp_path / "out") == [("a", ("A",)), ("b", ("B",))]


def test_cells_that_are_no_texts_are_dropped_and_bytes_are_read(tmp_path: Path) -> None:
    cells = ["a", 5, True, {"a": 1}, [["x"]], None, 1.5]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"source": c, "references": "A"}) + "\n" for c in cells))
    prepare(tmp_path / "t.jsonl", tmp_path / "out", {}, NONE)
    assert [source for source, _ in texts(tmp_path / "out")] == ["a", "5", "1.5"]
    assert stats(tmp_path / "out")["all"]["dropped"] == {"invalid": 3, "no_source": 1}
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "source": ["é".encode(), b"\xe9", b"c"],
        "references": ["A", "B", "C"],
        "seconds": pa.array([decimal.Decimal("1.25")] * 3, pa.decimal128(5, 2)),
        "odd": [float("nan"), float("inf"), 1.0],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert [row["odd"] for _, row in read_rows(tmp_path / "t.parquet")] == [None, None, 1.0]
    prepare(tmp_path / "t.parquet", tmp_path / "two", {}, NONE)
    assert texts(tmp_path / "two") == [("é", ("A",)), ("c", ("C",))]
    assert read_manifest(tmp_path / "two" / "train.jsonl")[0].seconds == 1.25


def test_deep_cells_rows_of_none_and_ids_that_come_twice_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"source,references,boxes\na,A,{'[' * 20_000}\nb,B,\n")
    prepare(path, tmp_path / "out", {}, NONE)
    assert stats(tmp_path / "out")["all"]["dropped"] == {"invalid": 1}
    path.write_text("source,references\n")
    with pytest.raises(InputError, match=r"t.csv: must have at least one row below the names of its columns, got none"):
        prepare(path, tmp_path / "out", {}, NONE)
    path.write_text("id,source,references\n1,a,A\n2,b,B\n1,c,C\n")
    with pytest.raises(InputError, match=r"unique, got '1' twice, in t.csv, line 2 and t.csv, line 4; leave --id out"):
        prepare(path, tmp_path / "out", {}, NONE)


def test_texts_of_which_nothing_can_be_seen_are_empty(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("\u200b\nx\n\ufeff \n", encoding="utf-8")
    (tmp_path / "b").write_text("A\nB\nC\n")
    pairs.prepare(tmp_path / "a", tmp_path / "b", tmp_path / "pairs", NONE)
    assert stats(tmp_path / "pairs")["all"]["dropped"] == {"empty_source": 2}
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, text in (("one", "\u200b\n"), ("two", "\u00ad\na dog\n")):
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(raw / f"{name}.png")
        (raw / f"{name}.txt").write_text(text, encoding="utf-8")
    pictures.prepare(raw, tmp_path / "pictures", NONE)
    [item] = read_manifest(tmp_path / "pictures" / "train.jsonl")
    assert item.references == ("a dog",)
    (tmp_path / "val.jsonl").write_text('{"id": "a", "source": "x", "references": ["\\u200b"]}\n')
    assert 'val.jsonl, line 1, id "a", `references`: is empty' in str(check(tmp_path))


def test_class_labels_in_lists_and_those_of_none(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    label = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    features = {"one": label, "many": {"feature": label, "_type": "Sequence"}, "older": [label]}
    columns = {"one": [0, -1, 7], "many": [[0, 1], [-1], []], "older": [[1], [0], [0]]}
    told = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.table(columns).replace_schema_metadata(told), tmp_path / "t.parquet")
    rows = [row for _, row in read_rows(tmp_path / "t.parquet")]
    assert [row["one"] for row in rows] == ["cat", None, None]
    assert [row["many"] for row in rows] == [["cat", "dog"], [None], []]
    assert [row["older"] for row in rows] == [["dog"], ["cat"], ["cat"]]
    pq.write_table(pa.table({"source": ["a", "b"], "references": [[1, 2], [0, 1, 2, 3]]}), tmp_path / "t.parquet")
    prepare(tmp_path / "t.parquet", tmp_path / "out", {}, NONE)
    assert texts(tmp_path / "out") == [("a", ("1", "2")), ("b", ("0 1 2 3",))]  # the second is a box


def test_what_datasets_keeps_beside_a_saved_data_set_is_no_second_copy(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    folder = tmp_path / "raw" / "train"
    folder.mkdir(parents=True)
    table = pa.table({"source": ["a", "b"], "references": ["A", "B"]})
    for name in ("data-00000-of-00001.arrow", "cache-1a2b.arrow"):
        with pa.ipc.new_stream(str(folder / name), table.schema) as writer:
            writer.write_table(table)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    prepare(tmp_path / "raw", tmp_path / "out", {}, NONE)
    assert texts(tmp_path / "out") == [("a", ("A",)), ("b", ("B",))]


def test_flickr8k_with_its_captions_in_a_table_is_read_as_own_pictures(tmp_path: Path) -> None:
    """As it is found on the web: `captions.txt`, with commas, and none of the published lists."""
    raw = tmp_path / "raw"
    (raw / "Images").mkdir(parents=True)
    (raw / "captions.txt").write_text('image,caption\na.jpg,A dog .\na.jpg,"A dog, running ."\n')
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(raw / "Images" / "a.jpg")
    with pytest.raises(InputError, match=r"`seqkit prepare pictures --texts .*captions.txt` reads that one"):
        flickr8k.prepare(raw, tmp_path / "no")
    pictures.prepare(raw, tmp_path / "out", NONE, texts=raw / "captions.txt")
    [item] = read_manifest(tmp_path / "out" / "train.jsonl")
    assert item.references == ("A dog .", "A dog, running .")
