"""Flickr8k (Hodosh et al. 2013, JAIR 47) in its official layout to manifests: photographs, five captions each.

    python data_prep/flickr8k.py --raw DIR --out DIR [--carve N] [--split NAME]

Reads `Flickr8k.token.txt` (`image.jpg#number`, a tab, a caption) and whichever of the lists
`Flickr_8k.{train,dev,test}Images.txt` are there; pictures lie anywhere under --raw. The development list becomes
`val.jsonl`. With --carve N, N training pictures become `val.jsonl` and the development list `dev.jsonl`, for who
chooses a model on the one and reports the other.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqkit.cli import Parser, parse
from seqkit.data.files import read_lines
from seqkit.data_prep.captioning.captions import Captioned, write_splits
from seqkit.data_prep.common.raw_files import Files, add_arguments, carved, files_below, one_file, show
from seqkit.errors import InputError

TOKENS = "Flickr8k.token.txt"
LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}
# One picture is published as `name.jpg.1`, although its file is, or was, `name.jpg`.
LINE = re.compile(r"(?P<name>[^\t]+?)((?<=\.jpg)\.\d+)?#(?P<number>\d+)\t(?P<caption>.*)", re.DOTALL)


def read_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Captions by file name of the picture, in the order of their numbers. Raises InputError for a malformed line."""
    numbered: dict[str, dict[int, str]] = defaultdict(dict)
    for line, text in read_lines(path):
        match = LINE.fullmatch(text)
        if match:
            numbered[match["name"]][int(match["number"])] = match["caption"]
        elif text.strip():
            raise InputError(f"{path}, line {line}: must be image.jpg#number, a tab and a caption, got {text[:60]!r}")
    return {name: tuple(texts[number] for number in sorted(texts)) for name, texts in numbered.items()}


def read_lists(files: Files) -> dict[str, list[str]]:
    """Names of pictures by split, of the lists that are there."""
    paths = {split: one_file(files, name) for split, name in LISTS.items()}
    return {
        split: [text.strip() for _, text in read_lines(path) if text.strip()] for split, path in paths.items() if path
    }


def carve_lists(lists: Mapping[str, list[str]], number: int) -> dict[str, list[str]]:
    """`number` training pictures as `val`, and as `dev` what was `val`: always the same ones, whatever their order."""
    train = lists.get("train", [])
    if not 0 < number < len(train):
        raise InputError(f"--carve must be from 1 to {len(train) - 1}, one less than the training list, got {number}")
    chosen = carved(train, number)
    others = {"dev" if split == "val" else split: names for split, names in lists.items() if split != "train"}
    parts = {"train": [n for n in train if n not in chosen], "val": [n for n in train if n in chosen]}
    return parts | others


def prepare(
    raw: Path, out: Path, *, split: str | None = None, carve: int = 0, workers: int = 1
) -> dict[str, dict[str, object]]:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    files = files_below(raw)
    tokens = one_file(files, TOKENS)
    if tokens is None:
        raise InputError(f"{raw}: must hold {TOKENS}, the captions, in it or below, got none; unpack Flickr8k_text.zip")
    captions = read_captions(tokens)
    lists = {split: list(captions)} if split else read_lists(files)
    if not lists:
        raise InputError(f"{raw}: must hold one of {', '.join(LISTS.values())}, got none; or give --split NAME")
    if split and carve:
        raise InputError("--carve must be given without --split, which makes one split of all, got both")
    read = [TOKENS, *(LISTS[name] for name in lists if not split)]
    lists = carve_lists(lists, carve) if carve else lists
    splits = {name: [Captioned(p, captions.get(p, ())) for p in listed] for name, listed in lists.items()}
    unlisted = len(captions.keys() - {picture for listed in lists.values() for picture in listed})
    return write_splits(out, files, splits, read=read, workers=workers, unlisted=unlisted)


def main(argv: Sequence[str]) -> None:
    parser = Parser("flickr8k", "Flickr8k's pictures and captions to manifests.")
    add_arguments(parser)
    parser.add_argument(
        "--carve",
        type=int,
        default=0,
        metavar="N",
        help="make val of N training pictures, and dev of the development list (default: 0, val is that list)",
    )
    given = parse(parser, argv)
    show(prepare(given.raw, given.out, split=given.split, carve=given.carve, workers=given.workers))
