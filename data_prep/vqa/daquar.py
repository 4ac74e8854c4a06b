"""DAQUAR (Malinowski and Fritz 2014, arXiv:1410.0210) in its official layout: questions about photographs of rooms.

    seqkit prepare daquar --raw DIR --out DIR [--classes 37|894] [--val_size SHARE|N] [--split NAME]

Reads `qa.894.raw.{train,test}.txt`, or those of the 37 classes: a line with a question, a line with its answer, a
comma list where it has several parts. Image lists are not needed: a question says which image it is about, and
`imageN.png` or `imageN.jpg` is found anywhere under --raw. Writes `train.jsonl`, `val.jsonl`, `test.jsonl` and
`stats.json`: `image`, `question`, `references`. No validation set was published: `val` is held out of the training
set by image, always the same ones; without a training file there is none.

The question stays as published but for the image's name. `in the imageN`, `in this imageN`, `in imageN` and
`on the imageN` at its end go (`what is on the desk in the image3 ?` becomes `what is on the desk ?`); anywhere else
the number goes and the word stays (`what is in the left of the image ?`). An answer is one reference, `a, b, c` when
it is a list. What can be no item is counted in `stats.json` with file and line: a question that names no image
(`no_image`; of several, the last counts), nothing but that (`empty_question`), and an answer that is empty
(`no_answer`).
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from seqkit.data.files import read_lines
from seqkit.data.manifest import Item
from seqkit.data_prep.common.holdout import add_val_size, chosen_val_size, held_out, holdout_size
from seqkit.data_prep.common.image_check import add_arguments
from seqkit.data_prep.common.image_items import Split, check_disjoint, keep_readable, merge
from seqkit.data_prep.common.outputs import MAX_NAMED, PreparedSplit, Stats, print_stats, write_splits
from seqkit.data_prep.common.raw_files import Files, find_files, published_file
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

FILE = re.compile(r"qa\.(?P<classes>\d+)\.raw\.(?P<split>train|test)\.txt")
IMAGE = re.compile(r"image ?(\d+)", re.IGNORECASE)
IMAGE_CLAUSE = re.compile(r"\s+(in|on) ((the|this) )?image ?\d+(?=\W*$)", re.IGNORECASE)
ENDINGS = (".png", ".jpg", ".jpeg")  # first as published
VAL_SIZE = 0.1  # of the training images


def remove_image_number(question: str) -> str:
    """The question without the number of its image."""
    return IMAGE.sub(lambda match: match[0][:5], IMAGE_CLAUSE.sub("", question))


def read_pairs(path: Path) -> list[tuple[int, str, str]]:
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


def read_split(files: Files, path: Path, title: str) -> Split:
    """The questions of a file as items, `image` being the image's name. Raises InputError as `read_pairs` does."""
    read = Split.empty()
    for number, (line, question, answer) in enumerate(read_pairs(path), 1):
        numbers = IMAGE.findall(question)
        answers = ", ".join(text for text in map(str.strip, answer.split(",")) if text)
        asked = remove_image_number(question)
        if numbers and answers and asked.strip(" ?"):
            image = image_name(files, numbers[-1])
            read.items.append(Item(id=f"{title}-{number:05d}", image=image, question=asked, references=(answers,)))
        elif question or answer:
            reason = "no_image" if not numbers else "empty_question" if answers else "no_answer"
            read.dropped[reason].append(f"{path.name}, line {line}")
    return read


def image_name(files: Files, number: str) -> Path:
    """The name of an image file, as published where there is none."""
    first = f"image{int(number)}{ENDINGS[0]}"
    return Path(next(iter(image_names(files, first)), first))


def with_twins(split: PreparedSplit, files: Files) -> PreparedSplit:
    """With the images that are there in several formats, of which the first was taken, in its statistics."""
    taken = sorted({item.image.name for item in split.items if item.image})
    twins = [f"{name} was taken, not {other}" for name in taken for other in image_names(files, name) if other != name]
    if not twins:
        return split
    counts = {**split.counts, "other_formats": len(twins)}
    return PreparedSplit(split.items, {**counts, "named": {**counts["named"], "other_formats": twins[:MAX_NAMED]}})


def image_names(files: Files, name: str) -> list[str]:
    """The names under which an image is there, as one of them without its ending."""
    stem = Path(name).stem
    return [stem + ending for ending in ENDINGS if stem + ending in files]


def choose_files(files: Files, classes: str | None, raw: Path) -> dict[str, Path]:
    """The question files of one publication by split. Raises InputError for none, or for both without --classes."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for name in sorted(files):
        match = FILE.fullmatch(name)
        path = published_file(files, name) if match else None
        if match and path:
            found[match["classes"]][match["split"]] = path
    if not found:
        raise InputError(f"{raw}: must hold qa.894.raw.train.txt, the test file or those of 37 classes, got none")
    if classes not in found and (classes or len(found) > 1):
        raise InputError(f"--classes must be one of {', '.join(found)}, which are under {raw}, got {classes or 'none'}")
    return dict(reversed(found[classes or next(iter(found))].items()))  # train before test


def hold_out(train: Split, val_size: float) -> dict[str, Split]:
    """Train and val of a training split: `val_size` of its images, a share below 1 or a number. Raises InputError."""
    keys = [Path(str(item.image)).with_suffix(".jpg").name for item in train.items]  # alike for PNG and JPEG
    number = holdout_size(val_size, len(set(keys)), "training images")
    chosen = held_out(set(keys), number)
    splits = {"train": Split([], train.dropped), "val": Split([], {})}
    for key, item in zip(keys, train.items, strict=True):
        splits["val" if key in chosen else "train"].items.append(item)
    return splits if number else {"train": train}


def prepare(
    raw: Path,
    out: Path,
    *,
    classes: str | None = None,
    val_size: float | None = None,
    split: str | None = None,
    workers: int = 1,
) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    share = chosen_val_size(val_size, split, VAL_SIZE)
    files = find_files(raw)
    paths = choose_files(files, classes, raw)
    splits = {name: read_split(files, path, name) for name, path in paths.items()}
    if split:
        splits = {split: merge(splits.values())}
    elif "train" in splits:
        splits = hold_out(splits.pop("train"), share) | splits
    check_disjoint(splits)
    prepared = (
        (name, with_twins(keep_readable(files, one, workers=workers, title=name), files))
        for name, one in splits.items()
    )
    return write_splits(out, prepared, [path.name for path in paths.values()], {})


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare daquar", __doc__ or "")
    add_arguments(parser)
    parser.add_argument("--classes", choices=("37", "894"), help="which questions, where both sets are found")
    add_val_size(parser, "training images", VAL_SIZE)
    given = parse(parser, argv)
    flags = {"classes": given.classes, "val_size": given.val_size, "split": given.split, "workers": given.workers}
    print_stats(prepare(given.raw, given.out, **flags))
