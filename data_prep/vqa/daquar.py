"""DAQUAR (Malinowski and Fritz 2014, arXiv:1410.0210) in its official layout to manifests: questions about rooms.

    python data_prep/daquar.py --raw DIR --out DIR [--classes 37|894] [--carve FRACTION|N] [--split NAME]

Reads `qa.894.raw.{train,test}.txt`, or those of the 37 classes: a line with a question, a line with its answer, a
comma list where it has several parts. Image lists are not needed: a question says which picture it is about, and
`imageN.png` or `imageN.jpg` is found anywhere under --raw. No validation set was published: `val` is carved out of
the training set by picture, always the same ones; without a training file there is none.

The question stays as published but for the picture's name. `in the imageN`, `in this imageN`, `in imageN` and
`on the imageN` at its end go (`what is on the desk in the image3 ?` becomes `what is on the desk ?`); anywhere else
the number goes and the word stays (`what is in the left of the image ?`). An answer is one reference, `a, b, c` when
it is a list. What can be no item is counted in `stats.json` with file and line: a question that names no picture
(`no_image`; of several, the last counts) and an answer that is empty (`no_answer`).
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from seqkit.cli import Parser, parse
from seqkit.data.files import read_lines
from seqkit.data.manifest import Item
from seqkit.data_prep.common.questions import Part, disjoint, keep, merged
from seqkit.data_prep.common.raw_files import Files, add_arguments, carved, files_below, one_file, show, write_splits
from seqkit.errors import InputError

FILE = re.compile(r"qa\.(?P<classes>\d+)\.raw\.(?P<part>train|test)\.txt")
IMAGE = re.compile(r"image ?(\d+)", re.IGNORECASE)
CLAUSE = re.compile(r"\s+(in|on) ((the|this) )?image ?\d+(?=\W*$)", re.IGNORECASE)
ENDINGS = (".png", ".jpg", ".jpeg")  # first as published
CARVE = 0.1  # of the training pictures


def asked(question: str) -> str:
    """The question without the number of its picture."""
    return IMAGE.sub(lambda match: match[0][:5], CLAUSE.sub("", question))


def pairs(path: Path) -> list[tuple[int, str, str]]:
    """(line number of the question, question, answer). Raises InputError for lines that do not come in pairs."""
    lines = [text.strip() for _, text in read_lines(path)]
    while len(lines) % 2 and not lines[-1]:  # an empty line at the end is nothing; after a question, an empty answer
        lines.pop()
    found = [(i + 1, lines[i], lines[i + 1]) for i in range(0, len(lines) - 1, 2)]
    for line, question, answer in found:
        if IMAGE.search(answer) and not IMAGE.search(question):
            raise InputError(
                f"{path}, line {line}: must be a question, with `imageN` in it, got {question[:60]!r} and a question "
                f"in line {line + 1}; a line is missing or too many above"
            )
    if len(lines) % 2:
        raise InputError(f"{path}, line {len(lines)}: must be a question with an answer below it, got the end of file")
    return found


def read_part(files: Files, path: Path, part: str) -> Part:
    """The questions of a file as items, `image` being the picture's file name. Raises InputError as `pairs` does."""
    read = Part.empty()
    for number, (line, question, answer) in enumerate(pairs(path), 1):
        numbers = IMAGE.findall(question)
        answers = ", ".join(text for text in map(str.strip, answer.split(",")) if text)
        if numbers and answers:
            image = picture(files, numbers[-1])
            name = f"{part}-{number:05d}"
            read.items.append(Item(id=name, image=image, question=asked(question), references=(answers,)))
        elif question or answer:
            read.dropped["no_answer" if numbers else "no_image"].append(f"{path.name}, line {line}")
    return read


def picture(files: Files, number: str) -> Path:
    """The name of a picture's file, as published where there is none."""
    names = [f"image{int(number)}{ending}" for ending in ENDINGS]
    return Path(next((name for name in names if name in files), names[0]))


def choose(files: Files, classes: str | None, raw: Path) -> dict[str, Path]:
    """The question files of one publication by part. Raises InputError for none, or for both and no word which."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for name in sorted(files):
        match = FILE.fullmatch(name)
        path = one_file(files, name) if match else None
        if match and path:
            found[match["classes"]][match["part"]] = path
    if not found:
        raise InputError(f"{raw}: must hold qa.894.raw.train.txt, the test file or those of 37 classes, got none")
    if classes not in found and (classes or len(found) > 1):
        raise InputError(f"--classes must be one of {', '.join(found)}, which are under {raw}, got {classes or 'none'}")
    return dict(reversed(found[classes or next(iter(found))].items()))  # train before test


def carve_out(train: Part, carve: float) -> dict[str, Part]:
    """Train and val of a training part: `carve` of its pictures, as a share below 1 or a number. Raises InputError."""
    keys = [Path(str(item.image)).with_suffix(".jpg").name for item in train.items]  # alike for PNG and JPEG
    images = len(set(keys))
    if not 0 <= carve < max(1, images) or (carve > 1 and carve % 1):
        raise InputError(
            f"--carve must be a share below 1 or a whole number below that of the training pictures, {images}, "
            f"got {carve:g}"
        )
    number = int(carve * images if carve < 1 else carve)
    chosen = carved(set(keys), number)
    parts = {"train": Part([], train.dropped), "val": Part([], {})}
    for key, item in zip(keys, train.items, strict=True):
        parts["val" if key in chosen else "train"].items.append(item)
    return parts if number else {"train": train}


def prepare(
    raw: Path,
    out: Path,
    *,
    classes: str | None = None,
    carve: float | None = None,
    split: str | None = None,
    workers: int = 1,
) -> dict[str, dict[str, object]]:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    if split and carve is not None:
        raise InputError("--carve must be given without --split, which makes one split of all, got both")
    files = files_below(raw)
    paths = choose(files, classes, raw)
    parts = {name: read_part(files, path, name) for name, path in paths.items()}
    if split:
        parts = {split: merged(parts.values())}
    elif "train" in parts:
        parts = carve_out(parts.pop("train"), CARVE if carve is None else carve) | parts
    disjoint(parts)
    kept = ((name, keep(files, part, workers=workers, title=name)) for name, part in parts.items())
    return write_splits(out, kept, [path.name for path in paths.values()], {})


def main(argv: Sequence[str]) -> None:
    parser = Parser("daquar", "DAQUAR's pictures and questions to manifests.")
    add_arguments(parser)
    parser.add_argument("--classes", choices=("37", "894"), help="which questions, where both sets are found")
    parser.add_argument(
        "--carve", type=float, metavar="FRACTION|N", help=f"training pictures that become val (default: {CARVE})"
    )
    given = parse(parser, argv)
    show(
        prepare(
            given.raw, given.out, classes=given.classes, carve=given.carve, split=given.split, workers=given.workers
        )
    )
