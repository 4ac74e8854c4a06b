"""Flickr8k (Hodosh et al. 2013, JAIR 47) in its official layout: 8,000 photographs with five captions each.

    seqkit prepare flickr8k --raw DIR --out DIR [--val_size SHARE|N] [--split NAME]

Reads `Flickr8k.token.txt` (`image.jpg#number`, a tab, a caption) and whichever of the lists
`Flickr_8k.{train,dev,test}Images.txt` are there; images lie anywhere under --raw. Writes `train.jsonl`, `val.jsonl`
(the development list), `test.jsonl` and `stats.json`: `image`, `references`. With --val_size, so many training images
become `val.jsonl` and the development list `dev.jsonl`, to choose a model on the one and report the other.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from seqkit.data.files import read_lines
from seqkit.data_prep.captioning.captions import CaptionedImage, write_splits
from seqkit.data_prep.common.holdout import add_val_size, chosen_val_size, held_out, holdout_size
from seqkit.data_prep.common.image_check import add_arguments
from seqkit.data_prep.common.outputs import Stats, print_stats
from seqkit.data_prep.common.raw_files import Files, UniqueKeys, find_files, published_file
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

TOKENS = "Flickr8k.token.txt"
LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}
Lists = dict[str, list[tuple[str, str]]]  # name and place of every image, by split
# One image is published as `name.jpg.1`, although its file is, or was, `name.jpg`.
LINE = re.compile(r"(?P<name>[^\t]+?)((?<=\.jpg)\.\d+)?#(?P<number>\d+)\t(?P<caption>.*)", re.DOTALL)


def read_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Captions by file name of the image, in the order of their numbers. Raises InputError for a malformed line."""
    numbered: dict[str, dict[int, str]] = defaultdict(dict)
    lines = UniqueKeys("image.jpg#number")
    for line, text in read_lines(path):
        match = LINE.fullmatch(text)
        if match:
            lines.add(f"{match['name']}#{int(match['number'])}", f"{path}, line {line}")
            numbered[match["name"]][int(match["number"])] = match["caption"]
        elif text.strip():
            raise InputError(f"{path}, line {line}: must be image.jpg#number, a tab and a caption, got {text[:60]!r}")
    return {name: tuple(texts[number] for number in sorted(texts)) for name, texts in numbered.items()}


def read_lists(files: Files) -> Lists:
    """Names of images and their places by split, of the lists that are there."""
    paths = {split: published_file(files, name) for split, name in LISTS.items()}
    return {
        split: [(text.strip(), f"{path}, line {line}") for line, text in read_lines(path) if text.strip()]
        for split, path in paths.items()
        if path
    }


def hold_out(lists: Lists, val_size: float) -> Lists:
    """Some training images as `val`, and as `dev` what was `val`: always the same ones, whatever their order."""
    train = lists.get("train", [])
    chosen = held_out((name for name, _ in train), max(1, holdout_size(val_size, len(train), "training images")))
    others = {"dev" if split == "val" else split: names for split, names in lists.items() if split != "train"}
    splits = {"train": [n for n in train if n[0] not in chosen], "val": [n for n in train if n[0] in chosen]}
    return splits | others


def prepare(
    raw: Path, out: Path, *, split: str | None = None, val_size: float | None = None, workers: int = 1
) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    share = chosen_val_size(val_size, split, 0)
    files = find_files(raw)
    tokens = published_file(files, TOKENS)
    if tokens is None:
        other = files.get("captions.txt", [])
        then = f"`seqkit prepare pictures --texts {other[0]}` reads that one" if other else "unpack Flickr8k_text.zip"
        raise InputError(f"{raw}: must hold {TOKENS}, the captions, in it or below, got none; {then}")
    captions = read_captions(tokens)
    lists = {split: [(name, str(tokens)) for name in captions]} if split else read_lists(files)
    if not lists:
        raise InputError(f"{raw}: must hold one of {', '.join(LISTS.values())}, got none; or give --split NAME")
    read = [TOKENS, *(LISTS[name] for name in lists if not split)]
    lists = hold_out(lists, share) if share else lists
    splits = {
        title: [CaptionedImage(name, captions.get(name, ()), place) for name, place in listed]
        for title, listed in lists.items()
    }
    listed = {name for names in lists.values() for name, _ in names}
    unlisted = [name for name in captions if name not in listed]
    return write_splits(out, files, splits, read=read, workers=workers, unlisted=unlisted)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare flickr8k", __doc__ or "")
    add_arguments(parser)
    add_val_size(parser, "training images", 0, ", the development list then being dev")
    given = parse(parser, argv)
    print_stats(prepare(given.raw, given.out, split=given.split, val_size=given.val_size, workers=given.workers))
