"""Tables to manifests of any task: CSV, TSV, JSON, JSON Lines, Parquet, or a Hugging Face data set on disk.

    seqkit prepare table --raw sentences.csv --out DIR --source English --references German
    seqkit prepare table --raw photos.parquet --out DIR --image picture --references caption
    seqkit prepare table --raw SAVED --out DIR --image image --question question --references answers.answer

Reads a table, or every table in a folder and below. A flag for each key of a manifest names its column; without any
flag, columns that have a key's name are read. `a.b` is the member b of the column a, in lists too. Several columns of
references, or a list in one, are several references. Pictures and sound that the table holds are written to `images/`
and `sounds/`; paths are relative to the table's folder. Rows of one picture without question or phrase are one item
with all their references. Writes manifests and `stats.json`, where every row that is dropped is counted with its reason
and columns that are not used are named.

Files named after a split (train.csv, validation-00000-of-00002.parquet, test/) stay in it. All others, and what no file
gives of val and test, are split by a hash of the speaker, the picture or the document, whichever is first known of
every row, else of the text: never by line.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seqkit.config import nearest
from seqkit.data.files import shown
from seqkit.data.manifest import MEDIA, Item, parse_item
from seqkit.data.manifest_keys import KEYS
from seqkit.data.text import is_blank, normalize_whitespace
from seqkit.data_prep.common.image_check import check_decode
from seqkit.data_prep.common.outputs import Stats, print_stats
from seqkit.data_prep.own.shares import Dropped, Shares, add_arguments, shares_of, write_own
from seqkit.data_prep.own.stored_media import Places, Unusable, stored
from seqkit.data_prep.own.table_rows import SPLITS, Row, find_tables, read_rows
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

LISTS = ("references", "answers")
NUMBERS = ("start", "end", "seconds")
PEEK = 100  # rows whose keys are the columns of a table: those of JSON may differ
NESTED = ("boxes", "words", "rows", "extent")
DOCUMENT = "document"  # names no key of a manifest: what a row belongs to, for the split
SPLIT = "split_column"  # likewise: the split that a row is in
PLACE = "place_of_row"  # likewise: where it stands
Columns = Mapping[str, Sequence[str]]  # of every key that is mapped


def pick(row: Any, column: str) -> Any:
    """The value of a column, or of a member of it; of lists, that of every member. None where it is not there."""
    if isinstance(row, Mapping):
        if column in row:
            return row[column]
        first, dot, rest = column.partition(".")
        return pick(row.get(first), rest) if dot else None
    if isinstance(row, list):
        found = [pick(member, column) for member in row]
        return [value for value in found if value is not None] or None
    return None


def is_missing(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, float) and math.isnan(value)) or is_blank(str(value))


def texts_of(value: Any) -> list[str]:
    """The texts of a cell: one, or those of a list; a list of four numbers is a box."""
    if isinstance(value, list) and len(value) == 4 and all(isinstance(one, int | float) for one in value):
        return [" ".join(f"{number:.10g}" for number in value)]
    if isinstance(value, list):
        return [text for one in value for text in texts_of(one)]
    return [] if is_missing(value) else [as_text(value)]


def as_text(value: Any) -> str:
    """A text, a number or a date as text; bytes, which some writers of Parquet make of texts, as UTF-8. Raises Unusable
    for what is none: a truth value, a list, an object, other bytes."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Unusable("invalid: must be a text, got bytes that are not UTF-8") from None
    if isinstance(value, bool | list | dict):
        raise Unusable(f"invalid: must be a text, got {shown(value)}")
    return str(value)


def json_value(key: str, value: Any, places: Places) -> Any:
    """A cell as the manifest has it under `key`. Raises Unusable."""
    if key in MEDIA:
        return str(stored(value, key, places))
    if key in LISTS:
        return texts_of(value)
    if isinstance(value, str) and key in (*NUMBERS, *NESTED):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise Unusable(f"invalid: `{key}` must be a number or JSON, got {value[:60]!r}") from None
    if key in NUMBERS or key in NESTED:
        return value
    return as_text(value)


def item_of(row: Row, columns: Columns, name: str, places: Places, place: str) -> Item:
    """The item of a row. Raises Unusable where a mapped column is empty, or its value none for its key."""
    values: dict[str, Any] = {"id": name}
    for key, names in columns.items():
        cells = [value for column in names if not is_missing(value := pick(row, column))]
        if not cells:
            if key in ("source", "question", "references", *MEDIA):
                raise Unusable(f"no_{key}")
            continue
        values[key] = json_value(key, cells if key in LISTS else cells[0], places)
    try:
        item = parse_item({key: value for key, value in values.items() if key != DOCUMENT}, Path(), place)
    except InputError as error:
        raise Unusable(f"invalid: {error}") from None
    return replace(item, extra={**item.extra, **({DOCUMENT: values[DOCUMENT]} if DOCUMENT in values else {})})


def chosen_columns(given: Columns, names: Sequence[str], place: str) -> dict[str, Sequence[str]]:
    """The columns of every key: those given, or else those that have a key's name. Raises InputError for one that the
    table has not, and where nothing would be read."""
    for key, columns in given.items():
        for column in columns:
            if column not in names and column.partition(".")[0] not in names:
                raise InputError(
                    f"--{key} must be a column of {place}: {', '.join(names)}; got {column!r}{nearest(column, names)}"
                )
    own = {key: [key] for key in (*KEYS, DOCUMENT) if key in names}
    chosen: dict[str, Sequence[str]] = {key: given[key] for key in (*KEYS, DOCUMENT) if key in given} or {**own}
    if not names:
        raise InputError(f"{place}: must have at least one row below the names of its columns, got none")
    if not {"source", "references", *MEDIA} & set(chosen):
        raise InputError(
            f"columns of {place} must be mapped to keys, such as --source COLUMN --references COLUMN; it has "
            f"{', '.join(names)}"
        )
    return chosen


def check_images(items: Sequence[Item], dropped: Dropped) -> list[Item]:
    """The items whose pictures can be decoded; each is decoded once."""
    paths = dict.fromkeys(item.image for item in items if item.image)
    checks = {path: check_decode(path) for path in tqdm(paths, desc="pictures", unit=" pictures", disable=None)}
    kept = []
    for item in items:
        if item.image and checks[item.image].fault:
            dropped.add(f"image_{checks[item.image].fault}", item.id, checks[item.image].reason)
        else:
            kept.append(item)
    return kept


def text_of(item: Item) -> str:
    """What is not in two splits where nothing else is known."""
    texts = (item.source, item.question, *item.references, item.id)
    return normalize_whitespace(next(text for text in texts if text))


def merged(items: Sequence[Item]) -> list[Item]:
    """Items of one picture and split, without question or phrase, as one with all their references.

    Raises InputError for two items of one id.
    """
    found: dict[object, Item] = {}
    for number, item in enumerate(items):
        alone = item.image is None or item.source is not None or item.question is not None
        key = number if alone else (item.image, item.extra[SPLIT])
        first = found.get(key)
        every = item.references if first is None else (*first.references, *item.references)
        found[key] = replace(first or item, references=every if alone else tuple(dict.fromkeys(every)))
    places: dict[str, str] = {}
    for item in found.values():
        if (first_place := places.setdefault(item.id, item.extra[PLACE])) != item.extra[PLACE]:
            twice = f"got {item.id!r} twice, in {first_place} and {item.extra[PLACE]}"
            raise InputError(f"--id must be a column whose values are unique, {twice}; leave --id out")
    return list(found.values())


@dataclass
class Reader:
    """Rows of tables to items."""

    raw: Path
    out: Path
    given: Columns
    header: Sequence[str] = ()
    dropped: Dropped = field(default_factory=Dropped)
    about: dict[str, Any] = field(default_factory=lambda: {"rows": 0, "files": [], "columns": {}})
    unused: dict[str, None] = field(default_factory=dict)

    def items(self) -> Iterator[Item]:
        """Every usable row of every table as an item, its split under `extra`."""
        for table in find_tables(self.raw, self.out):
            within = table.path.relative_to(self.raw) if self.raw.is_dir() else Path(table.path.name)
            self.about["files"].append(str(within))
            rows = read_rows(table.path, self.header)
            first = list(itertools.islice(rows, PEEK))
            there = list(dict.fromkeys(name for _, row in first for name in row))
            columns = chosen_columns(self.given, there, str(within))
            self.about["columns"] = {key: list(names) for key, names in columns.items()}
            used = {n for names in (*columns.values(), *self.given.values()) for n in names}
            used |= {name.partition(".")[0] for name in used}
            stem = within.with_suffix("").as_posix().replace("/", "-")
            for number, (place, row) in enumerate(itertools.chain(first, rows), 1):
                self.about["rows"] += 1
                self.unused |= dict.fromkeys(column for column in row if column not in used)
                try:
                    name = pick(row, columns["id"][0]) if "id" in columns else None
                    name = f"{stem}-{number:06d}" if is_missing(name) else str(name)
                    mapped = {key: names for key, names in columns.items() if key != "id"}
                    item = item_of(row, mapped, name, Places(table.path, self.raw, self.out), place)
                except Unusable as error:
                    reason, _, more = str(error).partition(": ")
                    self.dropped.add(reason, place, more)
                    continue
                told = str(pick(row, self.given[SPLIT][0])).strip().lower() if SPLIT in self.given else ""
                yield replace(item, extra={**item.extra, SPLIT: SPLITS.get(told) or table.split, PLACE: place})


def prepare(raw: Path, out: Path, given: Columns, shares: Shares, header: Sequence[str] = ()) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for tables that cannot be read, and unknown
    columns."""
    reader = Reader(raw, out, given, header)
    items = merged(check_images(list(reader.items()), reader.dropped))
    units: dict[str, list[str | None]] = {
        "speaker": [item.speaker for item in items],
        "picture": [item.image.name if item.image else None for item in items],
        "document": [item.extra.get(DOCUMENT) for item in items],
        "text": [text_of(item) for item in items],
    }
    named = [item.extra[SPLIT] for item in items]
    plain = [
        replace(item, extra={key: value for key, value in item.extra.items() if key not in (DOCUMENT, SPLIT, PLACE)})
        for item in items
    ]
    about = {**reader.about, "columns_not_used": list(reader.unused)}
    return write_own(out, plain, units, shares, about, reader.dropped, named)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare table", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="a table, or a folder of tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for manifests, media and stats.json")
    parser.add_argument("--header", nargs="+", default=(), metavar="NAME", help="names of columns that a CSV lacks")
    for key, (kind, about) in KEYS.items():
        several = key in LISTS
        parser.add_argument(
            f"--{key}", nargs="+" if several else 1, metavar="COLUMN", help=f"{about}: {kind}".replace("%", "%%")
        )
    parser.add_argument(f"--{DOCUMENT}", nargs=1, metavar="COLUMN", help="what must not be in two splits")
    parser.add_argument(f"--{SPLIT}", nargs=1, metavar="COLUMN", help="train, val or test of each row, as published")
    add_arguments(parser, ("speaker", "picture", "document", "text"))
    args = parse(parser, argv)
    given = {key: value for key in (*KEYS, DOCUMENT, SPLIT) if (value := getattr(args, key))}
    print_stats(prepare(args.raw, args.out, given, shares_of(args), args.header))
