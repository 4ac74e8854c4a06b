"""A folder of pictures with captions to manifests for captioning.

    seqkit prepare pictures --raw DIR --out DIR [--texts FILE] [--image COLUMN] [--caption COLUMN …]

Reads captions from a text file beside each picture (`dog.jpg`, `dog.txt`: a caption a line), or from one table with a
row for each caption or picture: CSV, TSV, JSON, JSON Lines or Parquet, named by `--texts`, or the only one in the
folder. Its columns are found by name (`file_name`, `image`, `file`; `caption`, `text`, `references`, `caption_1`, …) or
named by flags. Pictures lie anywhere under --raw and stay there. Writes `train.jsonl`, `val.jsonl`, `test.jsonl` and
`stats.json`: `image`, `references`. A picture that is missing, cannot be decoded or has no caption is dropped, counted
and named. Which split a picture is in is decided by a hash of its name, so that all its captions are in one.
"""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from seqkit.data.files import read_lines
from seqkit.data.manifest import Item
from seqkit.data.text import is_blank
from seqkit.data_prep.common.image_check import check_images
from seqkit.data_prep.common.outputs import Stats, print_stats
from seqkit.data_prep.common.raw_files import Files, find_files
from seqkit.data_prep.own.shares import Dropped, Shares, add_arguments, id_of, shares_of, unique_stems, write_own
from seqkit.data_prep.own.table import is_missing, pick, texts_of
from seqkit.data_prep.own.table_rows import ENDINGS, NO_ROWS, read_rows
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".avif")
IMAGE_NAMES = ("file_name", "filename", "image", "file", "picture", "path", "img", "image_path")
CAPTION_NAMES = re.compile(r"(caption|text|reference|description|sentence|label)s?[_ ]?\d*", re.IGNORECASE)


def find_table(raw: Path, given: Path | None) -> Path | None:
    """The table of captions: the one given, else the only one in the folder. Raises InputError for several."""
    if given or not raw.is_dir():
        return given
    found = sorted(path for path in raw.iterdir() if path.suffix.lower() in ENDINGS and path.name not in NO_ROWS)
    if len(found) > 1:
        raise InputError(f"--texts must name one of the tables in {raw}: {', '.join(path.name for path in found)}")
    return found[0] if found else None


def table_captions(path: Path, image: str | None, captions: Sequence[str], dropped: Dropped) -> dict[str, list[str]]:
    """Captions by the name of their picture, as the table has it. Raises InputError where it has no such columns."""
    found: dict[str, list[str]] = defaultdict(list)
    for place, row in read_rows(path):
        names = {name.lower(): name for name in row}
        column = image or next((names[name] for name in IMAGE_NAMES if name in names), "")
        texts = captions or [name for name in row if name != column and CAPTION_NAMES.fullmatch(name)]
        if is_missing(pick(row, column)) and column not in row or not texts:
            raise InputError(f"{place}: --image and --caption must be columns of it, which has {', '.join(row)}")
        if is_missing(pick(row, column)):
            dropped.add("no_picture", place)
            continue
        found[str(pick(row, column)).strip()] += [text for name in texts for text in texts_of(pick(row, name))]
    return found


def text_captions(raw: Path, files: Files) -> dict[str, list[str]]:
    """Captions of every picture below `raw`, from the text file of its name beside it."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for paths in files.values() for path in paths):
        if path.suffix.lower() in PICTURES and not path.name.startswith("."):
            text = path.with_suffix(".txt")
            lines = [line.strip() for _, line in read_lines(text)] if text.is_file() else []
            found[path.relative_to(raw).as_posix()] = [line for line in lines if not is_blank(line)]
    return found


def prepare(
    raw: Path,
    out: Path,
    shares: Shares,
    *,
    texts: Path | None = None,
    image: str | None = None,
    captions: Sequence[str] = (),
    workers: int = 1,
) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for a table that cannot be read, or no captions."""
    dropped, files = Dropped(), find_files(raw)
    table = find_table(raw, texts)
    found = table_captions(table, image, captions, dropped) if table else text_captions(raw, files)
    for name in (name for name, lines in found.items() if not lines):
        dropped.add("no_caption", name, f"no {Path(name).stem}.txt beside it" if not table else "")
    found = {name: list(dict.fromkeys(lines)) for name, lines in found.items() if lines}
    report = check_images(files, found, workers, "pictures")
    for fault, names in report.dropped.items():
        for name in names:
            dropped.add(fault, name, report.reasons.get(name, ""))
    firsts: dict[str, str] = {}  # of each stem: a picture in two formats is in one split
    stems = unique_stems(list(report.paths))
    items = [
        Item(id=id_of(stem), image=path, references=tuple(found[name]))
        for stem, (name, path) in zip(stems, report.paths.items(), strict=True)
    ]
    units = {
        "picture": [firsts.setdefault(path.stem, path.name) for path in report.paths.values()],
        "text": [item.references[0] for item in items],
    }
    shared: dict[str, list[str]] = defaultdict(list)
    for name in report.paths if table is None else ():
        shared[f"{os.path.splitext(name)[0]}.txt"].append(name)
    about = {"pictures": len(report.paths), "files": [table.name] if table else ["texts beside the pictures"]}
    about["shared_texts"] = {text: names for text, names in shared.items() if len(names) > 1}
    return write_own(out, items, units, shares, {**about, **report.more()}, dropped)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare pictures", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with the pictures at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    parser.add_argument(
        "--texts", type=Path, metavar="FILE", help="the table of captions (default: the only one there)"
    )
    parser.add_argument("--image", metavar="COLUMN", help="its column with the pictures' names")
    parser.add_argument("--caption", nargs="+", default=(), metavar="COLUMN", help="its columns with captions")
    add_arguments(parser, ("picture", "text"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    given = parse(parser, argv)
    shares, columns = shares_of(given), {"image": given.image, "captions": given.caption}
    print_stats(prepare(given.raw, given.out, shares, texts=given.texts, workers=given.workers, **columns))
