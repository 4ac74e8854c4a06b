"""Own tables of any kind to manifests: the same items from every format, media written out, drops with reasons."""

import io
import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from seqkit.cli import main
from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.own.shares import Shares
from seqkit.data_prep.own.table import prepare
from seqkit.data_prep.own.table_rows import find_tables, read_rows, split_of
from seqkit.errors import InputError
from seqkit.tasks import find_recipe
from tests.raw_files import stats, write_lines

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
PAIRS = {"source": ["en"], "references": ["de"]}


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 12, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1600), 16_000, format="WAV")
    return file.getvalue()


def rows(count=30):
    quoted = {3: 'He said "no", twice', 4: "two\nlines", 5: "a; b\tc"}
    return [{"en": quoted.get(n, f"sentence {n}"), "de": f"Satz {n}", "n": n} for n in range(count)]


def everything(out):
    return {item.id: item for path in out.glob("*.jsonl") for item in read_manifest(path)}


def write_table(folder, kind, data):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"all.{kind}"
    if kind in ("csv", "tsv", "semicolon.csv"):
        import csv

        with open(path, "w", newline="", encoding="utf-8-sig") as file:
            mark = {"csv": ",", "tsv": "\t"}.get(kind, ";")
            writer = csv.DictWriter(file, list(data[0]), delimiter=mark)
            writer.writeheader()
            writer.writerows(data)
    elif kind == "json":
        path.write_text(json.dumps({"version": 1, "data": data}))
    elif kind == "columns.json":
        path.write_text(json.dumps({key: [row[key] for row in data] for key in data[0]}))
    elif kind == "jsonl":
        write_lines(path, *map(json.dumps, data))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(data), path, row_group_size=7)
    else:
        table = pa.Table.from_pylist(data)
        with (pa.ipc.new_stream if kind == "arrow" else pa.ipc.new_file)(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=11)
    return path


KINDS = ["csv", "semicolon.csv", "tsv", "json", "columns.json", "jsonl", "parquet", "arrow", "file.arrow"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_gives_the_same_items(tmp_path, kind):
    path = write_table(tmp_path, kind, rows())
    found = prepare(path, tmp_path / "out", PAIRS, Shares())
    texts = sorted((item.source, item.references) for item in everything(tmp_path / "out").values())
    assert texts == sorted((row["en"], (row["de"],)) for row in rows())
    assert found["all"]["columns_not_used"] == ["n"] and found["all"]["rows"] == 30
    assert not [finding for finding in check(tmp_path / "out", find_recipe("translation").reads)[1] if finding.problem]


def test_flags_and_a_second_run(tmp_path, capsys):
    path = write_table(tmp_path, "csv", rows())
    flags = [
        "prepare",
        "table",
        "--raw",
        str(path),
        "--out",
        str(tmp_path / "out"),
        "--source",
        "en",
        "--references",
        "de",
    ]
    assert main(flags) == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert main(flags) == 0 and before == {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert "columns_not_used=['n']" in capsys.readouterr().out
    assert main([*flags[:-3], "english", *flags[-2:]]) == 2
    assert "--source must be a column of all.csv: en, de, n; got 'english'" in capsys.readouterr().err
    assert main(flags[:-4]) == 2
    assert "columns of all.csv must be mapped to keys, such as --source COLUMN" in capsys.readouterr().err


def test_manifests_of_an_earlier_run_are_no_tables(tmp_path):
    write_table(tmp_path, "csv", rows())
    for _ in range(2):
        assert prepare(tmp_path, tmp_path / "out", PAIRS, Shares())["all"]["rows"] == 30


def test_columns_named_as_keys_need_no_flags(tmp_path):
    write_lines(
        tmp_path / "a.jsonl", *(json.dumps({"source": f"a {n}", "references": [f"b {n}", "c"]}) for n in range(9))
    )
    prepare(tmp_path / "a.jsonl", tmp_path / "out", {}, Shares())
    assert {item.references for item in everything(tmp_path / "out").values()} == {(f"b {n}", "c") for n in range(9)}


def test_quotes_that_are_letters_are_kept(tmp_path):
    write_lines(tmp_path / "a.tsv", "en\tde", '"open\tauf', 'He said "no\ter', *(f"a {n}\tb {n}" for n in range(6)))
    prepare(tmp_path / "a.tsv", tmp_path / "out", PAIRS, Shares())
    assert {'"open', 'He said "no'} <= {item.source for item in everything(tmp_path / "out").values()}


def test_a_table_without_a_header(tmp_path):
    write_lines(tmp_path / "a.tsv", *(f"a {n}\tb {n}" for n in range(6)))
    prepare(tmp_path / "a.tsv", tmp_path / "out", PAIRS, Shares(), ["en", "de"])
    assert len(everything(tmp_path / "out")) == 6


def test_unicode_text_of_a_spreadsheet(tmp_path):
    (tmp_path / "a.tsv").write_text("en\tde\r\n" + "".join(f"a {n}\tä {n}\r\n" for n in range(5)), encoding="utf-16")
    prepare(tmp_path / "a.tsv", tmp_path / "out", PAIRS, Shares())
    assert ("ä 2",) in {item.references for item in everything(tmp_path / "out").values()}


@pytest.mark.parametrize("key", ["image", "audio"])
@pytest.mark.parametrize("form", ["bytes", "struct", "path"])
def test_media_in_a_table_are_written_out_once(tmp_path, key, form):
    content = [png(n % 6) if key == "image" else wav() for n in range(12)]
    cells = {"bytes": content, "struct": [{"bytes": one, "path": "x/a.png"} for one in content]}
    if form == "path":
        (tmp_path / "media").mkdir()
        for n, one in enumerate(content):
            (tmp_path / "media" / f"{n}.bin").write_bytes(one)
        cells["path"] = [f"media/{n}.bin" for n in range(12)]
    data = [{key: cell, "references": [f"text {n}"]} for n, cell in enumerate(cells[form])]
    path = write_table(tmp_path, "parquet", data)
    for _ in range(2):
        prepare(path, tmp_path / "out", {}, Shares())
    items = everything(tmp_path / "out")
    files = {getattr(item, key) for item in items.values()}
    assert {file.read_bytes() for file in files} == set(content)
    if form != "path":
        ending = ".png" if key == "image" else ".wav"
        folder = tmp_path / "out" / ("images" if key == "image" else "sounds")
        assert sorted(folder.iterdir()) == sorted(files) and {file.suffix for file in files} == {ending}
        assert len(items) == (6 if key == "image" else 12)  # rows of one picture are one item
    assert not [finding for finding in check(tmp_path / "out")[1] if finding.problem and "seconds" not in finding.text]


def test_sound_as_numbers_is_16_bit_and_not_stretched(tmp_path):
    samples = [0.0, 0.25, -0.5]
    data = [{"audio": {"array": samples, "sampling_rate": 8000}, "references": f"t {n}"} for n in range(5)]
    data.append({"audio": {"array": [0.0, 3.5], "sampling_rate": 8000}, "references": "loud"})
    write_lines(tmp_path / "a.jsonl", *map(json.dumps, data))
    prepare(tmp_path / "a.jsonl", tmp_path / "out", {}, Shares())
    (file,) = (tmp_path / "out" / "sounds").iterdir()
    values, rate = soundfile.read(file)
    assert rate == 8000 and np.allclose(values, samples, atol=1e-4) and soundfile.info(file).subtype == "PCM_16"
    assert stats(tmp_path / "out")["all"]["dropped"] == {"no_sound": 1}


def test_questions_of_a_picture_share_its_split_and_nested_answers_are_references(tmp_path):
    data = [
        {
            "picture": {"bytes": png(n // 3), "path": None},
            "q": f"what {n}?",
            "answers": [{"answer": "a", "id": 1}, {"answer": f"b {n}", "id": 2}],
        }
        for n in range(30)
    ]
    path = write_table(tmp_path, "parquet", data)
    given = {"image": ["picture"], "question": ["q"], "references": ["answers.answer"]}
    found = prepare(path, tmp_path / "out", given, Shares())
    assert found["all"]["split"] == "by picture, of which there are 10"
    items = {split: read_manifest(tmp_path / "out" / f"{split}.jsonl") for split in ("train", "val", "test")}
    assert sum(map(len, items.values())) == 30 and items["train"][0].references[0] == "a"
    sets = [{item.image for item in some} for some in items.values()]
    assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]


def test_boxes_and_times_come_from_json_or_lists(tmp_path):
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    data = [
        {"image": "a.png", "phrase": f"the dog {n}", "cand": "[[0, 0, 9, 9], [1, 1, 20, 20]]", "box": "0 0 9 9"}
        for n in range(4)
    ] + [{"image": "a.png", "phrase": "x", "cand": "none", "box": "0 0 9 9"}]
    path = write_table(tmp_path, "csv", data)
    prepare(
        path,
        tmp_path / "out",
        {"image": ["image"], "source": ["phrase"], "boxes": ["cand"], "references": ["box"]},
        Shares(),
    )
    items = everything(tmp_path / "out").values()
    assert {item.boxes for item in items} == {((0, 0, 9, 9), (1, 1, 20, 20))}
    assert stats(tmp_path / "out")["all"]["dropped"] == {"invalid": 1}
    one = {"source": "a", "image": "a.png", "references": [1, 2.5, 3, 4], "boxes": [[1, 2, 3, 4]]}
    write_lines(tmp_path / "b.jsonl", json.dumps(one))
    prepare(tmp_path / "b.jsonl", tmp_path / "b", {}, Shares())
    assert [item.references for item in everything(tmp_path / "b").values()] == [("1 2.5 3 4",)]


def test_every_drop_has_a_reason_and_a_place(tmp_path):
    (tmp_path / "bad.png").write_bytes(png(1)[:40])
    Image.new("RGB", (5, 5)).save(tmp_path / "a.png")
    data = [
        {"image": name, "references": text}
        for name, text in [("a.png", "fine"), ("", "no picture"), ("gone.png", "x"), ("bad.png", "y"), ("a.png", "  ")]
    ]
    path = write_table(tmp_path, "csv", data)
    prepare(path, tmp_path / "out", {}, Shares(split="all"))
    told = stats(tmp_path / "out")["all"]
    assert told["dropped"] == {"no_image": 1, "missing": 1, "no_references": 1, "image_unreadable": 1}
    assert told["named"]["missing"] == ["all.csv, line 4"] and told["reasons"]["all.csv, line 4"] == "gone.png"


def test_splits_by_the_names_of_files_and_by_a_column(tmp_path):
    for name, count in (("train-00000-of-00002", 8), ("train-00001-of-00002", 8), ("validation-00000-of-00001", 4)):
        write_table(tmp_path / "raw", "parquet", rows(count)).rename(tmp_path / "raw" / f"{name}.parquet")
    found = prepare(tmp_path / "raw", tmp_path / "out", PAIRS, Shares(test=0.0))
    assert {name: found[name]["items"] for name in ("train", "val", "test")} == {"train": 16, "val": 4, "test": 0}
    data = [row | {"part": "dev" if n % 3 == 0 else "train"} for n, row in enumerate(rows())]
    path = write_table(tmp_path, "csv", data)
    found = prepare(path, tmp_path / "column", {**PAIRS, "split_column": ["part"]}, Shares(test=0.0))
    assert found["val"]["items"] == 10 and found["all"]["columns_not_used"] == ["n"]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train.csv", "train"),
        ("data/validation-00000-of-00002.parquet", "val"),
        ("dev/a.jsonl", "val"),
        ("test_2016.csv", "test"),
        ("trainer.csv", None),
        ("a/b.csv", None),
    ],
)
def test_names_of_splits(tmp_path, path, split):
    assert split_of(tmp_path.__class__(path)) == split


def test_class_labels_come_by_name_and_data_sets_on_disk_are_read(tmp_path):
    info = {"info": {"features": {"kind": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "en": {"_type": "Value"}}}}
    schema = pa.schema([("en", pa.string()), ("kind", pa.int64())], metadata={"huggingface": json.dumps(info)})
    table = pa.Table.from_pylist([{"en": f"a {n}", "kind": n % 2} for n in range(6)], schema=schema)
    for split in ("train", "validation"):
        folder = tmp_path / "saved" / split
        folder.mkdir(parents=True)
        with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), schema) as writer:
            writer.write_table(table)
        (folder / "state.json").write_text("{}")
        (folder / "dataset_info.json").write_text("{}")
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    assert [found.split for found in find_tables(tmp_path / "saved")] == ["train", "val"]
    prepare(tmp_path / "saved", tmp_path / "out", {"source": ["en"], "references": ["kind"]}, Shares(test=0.0))
    assert {item.references[0] for item in everything(tmp_path / "out").values()} == {"cat", "dog"}


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.csv", "en,de\na,b,c\n", "line 2: must have 2 cells, as the header, got 3; correct it, or save"),
        ("a.csv", "en,en\na,b\n", "must have a name for each column, each once, got 'en, en'"),
        ("a.json", "3", "must be a list of objects, or an object with one such list, got int"),
        ("a.jsonl", "[1]\n", "line 1: must be a JSON object, got "),
        ("a.parquet", "no parquet", "must be whole parquet, got a fault"),
        ("a.xlsx", "x", r"must be a table \(.csv"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(tmp_path, name, content, fault):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=fault):
        list(read_rows(tmp_path / name))


def test_what_is_no_table_and_what_is_not_utf8_is_refused(tmp_path):
    with pytest.raises(InputError, match="must be a table or a folder of tables, got neither"):
        find_tables(tmp_path / "none")
    with pytest.raises(InputError, match="must hold a table .* got none in it or below"):
        find_tables(tmp_path)
    (tmp_path / "a.csv").write_bytes("en,de\nä,b\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.csv, line 2: byte 0 is not UTF-8; convert the file to UTF-8"):
        list(read_rows(tmp_path / "a.csv"))


def test_without_pyarrow_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r'pyarrow must be installed to read it: pip install "seqkit\[tables\]"'):
        list(read_rows(tmp_path / "a.parquet"))


def test_a_pyarrow_that_does_not_load_says_why(tmp_path, monkeypatch):
    """From 26 on it needs NumPy 2, of which pip knows nothing."""
    (tmp_path / "pyarrow.py").write_text("raise ImportError('pyarrow requires NumPy 2.0 or newer')\n")
    monkeypatch.delitem(__import__("sys").modules, "pyarrow")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"a\.parquet: pyarrow must load to read it, got: pyarrow requires NumPy 2"):
        list(read_rows(tmp_path / "a.parquet"))


def test_ids_must_be_unique(tmp_path):
    path = write_table(tmp_path, "csv", [row | {"key": row["n"] // 2} for row in rows()])
    with pytest.raises(InputError, match="--id must be a column whose values are unique, got '0' twice"):
        prepare(path, tmp_path / "out", {**PAIRS, "id": ["key"]}, Shares())
    prepare(path, tmp_path / "out", {**PAIRS, "id": ["n"]}, Shares())
    assert set(everything(tmp_path / "out")) == {str(n) for n in range(30)}
