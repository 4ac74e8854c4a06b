"""Tables as people have them, to rows: CSV, TSV, JSON, JSON Lines, Parquet, Arrow, and data sets of Hugging Face on
disk.

A row is a dict of plain values. Columns that the `datasets` library calls class labels come as their names.
"""

import csv
import decimal
import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seqkit.data.files import parse_json, read_lines, shown
from seqkit.data_prep.own.library import library
from seqkit.errors import InputError

ENDINGS = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow")
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
PACKED = (".gz", ".bz2", ".xz")
QUOTING: tuple[Literal[0], Literal[3]] = (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)
BATCH = 64  # rows of Parquet or Arrow that are held at once: they may hold pictures
NO_ROWS = ("dataset_dict.json", "dataset_info.json", "state.json", "stats.json")

EXCEL = re.compile(r'"?sep=(.)"?[,;\t]*')  # a first line that tells Excel the separator

Row = dict[str, Any]


class Table(NamedTuple):
    """A file of rows."""

    path: Path
    split: str | None = None  # where its name or its data set says so


def find_tables(raw: Path, out: Path | None = None) -> list[Table]:
    """The tables of a file or of a folder, at any depth but not in `out`. Raises InputError where there is none."""
    if raw.is_file():
        return [Table(raw)]
    if not raw.is_dir():
        raise InputError(f"{raw}: must be a table or a folder of tables, got neither")
    paths = sorted(path for path in raw.rglob("*") if ending_of(path) in ENDINGS and path.name not in NO_ROWS)
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(raw).parts)]
    paths = [path for path in paths if not (path.name.startswith("cache-") and (path.parent / "state.json").is_file())]
    paths = [path for path in paths if out is None or out.resolve() not in path.resolve().parents]
    if not paths:
        raise InputError(f"{raw}: must hold a table ({', '.join(ENDINGS)}), got none in it or below")
    return [Table(path, split_of(path.relative_to(raw))) for path in paths]


def ending_of(path: Path) -> str:
    """The ending of a table's name in lower case; that of a packed text is the one before."""
    ending = path.suffix.lower()
    return Path(path.stem).suffix.lower() if ending in PACKED else ending


def split_of(path: Path) -> str | None:
    """The split that a path is named after: `train.csv`, `data/validation-00000-of-00002.parquet`, `test/a.jsonl`."""
    for part in (path.name, *reversed(path.parts[:-1])):
        first = part.lower().replace("_", "-").replace(".", "-").split("-")[0]
        if first in SPLITS:
            return SPLITS[first]
    return None


def read_rows(path: Path, header: Sequence[str] = ()) -> Iterator[tuple[str, Row]]:
    """Yields (place, row) of a table; `header` names the columns of a CSV or TSV that has no first line of names.

    Raises InputError with the place of the first fault.
    """
    ending = ending_of(path)
    if ending in (".csv", ".tsv", ".tab", ".txt"):
        yield from _read_separated(path, header)
    elif ending in (".jsonl", ".ndjson"):
        for number, line in read_lines(path):
            if line.strip():
                yield _object(parse_json(line, f"{path}, line {number}"), f"{path.name}, line {number}")
    elif ending == ".json":
        yield from _read_json(path)
    elif ending in (".parquet", ".arrow"):
        for number, row in enumerate(_read_arrow(path), 1):
            yield f"{path.name}, row {number}", row
    else:
        raise InputError(f"{path}: must be a table ({', '.join(ENDINGS)}), got another ending")


def _object(value: Any, place: str) -> tuple[str, Row]:
    if not isinstance(value, dict):
        raise InputError(f"{place}: must be a JSON object, got {shown(value)}")
    return place, value


def _read_json(path: Path) -> Iterator[tuple[str, Row]]:
    """A list of objects; or an object with one list of objects, or with columns of one length."""
    value = parse_json("\n".join(line for _, line in read_lines(path)), str(path))
    if isinstance(value, dict):
        lists = {key: rows for key, rows in value.items() if isinstance(rows, list)}
        objects = [rows for rows in lists.values() if rows and all(isinstance(row, dict) for row in rows)]
        if len(objects) == 1:
            value = objects[0]
        elif lists and len(lists) == len(value) and len({len(rows) for rows in lists.values()}) == 1:
            value = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    if not isinstance(value, list):
        raise InputError(
            f"{path}: must be a list of objects, or an object with one such list, got {type(value).__name__}"
        )
    for number, row in enumerate(value, 1):
        yield _object(row, f"{path.name}, entry {number}")


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text, as UTF-8, or UTF-16, in which spreadsheets save "Unicode text"."""
    with open(path, "rb") as file:
        utf16 = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    if utf16:
        with open(path, encoding="utf-16", errors="replace", newline="") as text:
            yield from text
    else:
        yield from (f"{line}\n" for _, line in read_lines(path))


def _read_separated(path: Path, header: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """CSV or TSV. Quotes are those of a spreadsheet where all rows then have as many cells as the header has, else
    letters like any other, as in many TSV files. Rows stream through, after a pass that finds out."""
    lines = _lines(path)
    first = next(lines, "")
    separator = "\t" if ending_of(path) in (".tsv", ".tab") else max("\t,;", key=first.count)
    told = EXCEL.fullmatch(first.strip("\r\n"))
    separator = told[1] if told else separator
    csv.field_size_limit(1 << 30)

    def cells_of(quoting: Literal[0, 3]) -> Iterator[tuple[int, list[str]]]:
        rows = itertools.islice(_lines(path), int(told is not None), None)
        reader = csv.reader(rows, delimiter=separator, quoting=quoting, strict=True)
        return ((reader.line_num + int(told is not None), cells) for cells in reader if any(map(str.strip, cells)))

    faults = []
    for quoting in QUOTING:
        if not (fault := _uneven(cells_of(quoting), header)):
            break
        faults.append(fault)
    else:
        raise InputError(f"{path}, {faults[0]}; correct it, or save the table as JSON Lines")
    rows = cells_of(quoting)
    names = [name.strip() for name in header or next(rows, (0, []))[1]]
    if len(set(names)) < len(names) or not all(names):
        raise InputError(f"{path}: must have a name for each column, each once, got {', '.join(names)!r:.80}")
    for number, cells in rows:
        yield f"{path.name}, line {number}", dict(zip(names, cells, strict=True))


def _uneven(rows: Iterator[tuple[int, list[str]]], header: Sequence[str]) -> str:
    """What is wrong with the first row that has another number of cells than the header, or cannot be parsed."""
    wanted, number = len(header), 0
    try:
        for number, cells in rows:
            wanted = wanted or len(cells)
            if len(cells) != wanted:
                return f"line {number}: must have {wanted} cells, as the header, got {len(cells)}"
    except csv.Error as error:
        return f"after line {number}: {error}"
    return ""


def _read_arrow(path: Path) -> Iterator[Row]:
    arrow, parquet = (library(name, path, "tables") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        if path.suffix.lower() == ".parquet":
            file = parquet.ParquetFile(path)
            schema, batches = file.schema_arrow, file.iter_batches(batch_size=BATCH)
        else:
            batches = _open_arrow(arrow, path)
            schema = batches.schema
        labels = class_labels(schema.metadata or {})
        for batch in batches:
            batch.validate(full=True)
            for first in range(0, batch.num_rows, BATCH):
                for row in batch.slice(first, BATCH).to_pylist():
                    yield {key: _label(labels.get(key), value) for key, value in row.items()}
    except (arrow.ArrowException, OSError, ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: must be whole {path.suffix[1:]}, got a fault: {reason:.120}; fetch it again"
        ) from None


def _open_arrow(arrow: Any, path: Path) -> Any:
    """Batches of an Arrow stream, as `datasets` writes it, or of an Arrow file."""
    source = arrow.BufferReader(path.read_bytes())  # of a map, damage would be read beyond its end
    try:
        return arrow.ipc.open_stream(source)
    except arrow.ArrowInvalid:
        file = arrow.ipc.open_file(source)
        return arrow.RecordBatchReader.from_batches(file.schema, map(file.get_batch, range(file.num_record_batches)))


def class_labels(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """The names of the classes by column, as the `datasets` library keeps them in a file's metadata."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        found = {key: _class_label(value) for key, value in features.items()}
        return {key: names for key, names in found.items() if names is not None}
    except (ValueError, AttributeError, LookupError, TypeError, RecursionError):
        return {}


def _label(names: Sequence[str] | None, value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):  # how pandas writes what is not there
        return None
    if names and isinstance(value, list):
        return [_label(names, own) for own in value]
    if names and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None  # -1 is how a test set without labels is written
    return value


def _class_label(feature: Any) -> list[str] | None:
    """The names of a class label, or of a list of them; None for another feature."""
    if isinstance(feature, list):
        return _class_label(feature[0]) if len(feature) == 1 else None
    if feature.get("_type") == "ClassLabel":
        return list(feature["names"])
    return _class_label(feature["feature"]) if isinstance(feature.get("feature"), dict) else None
