"""Phrases and their boxes: Flickr30k Entities, or the corpora of referring expressions (ReferIt, RefCOCO, RefCOCOg).

    seqkit prepare referit --raw DIR --out DIR [--corpus NAME] [--proposals FILE] [--candidates N] [--union]

Reads three forms, wherever under --raw they and the images lie:
- Flickr30k Entities (Plummer et al. 2015, arXiv:1505.04870), `--corpus flickr30k`: `Sentences/*.txt`, in which phrases
  are marked `[/EN#1/people A man]`, `Annotations/*.xml` with boxes, and the lists `train.txt`, `val.txt`, `test.txt`.
- The folders of the refer API (Yu et al. 2016, arXiv:1608.00272), `--corpus refclef/berkeley`, `refcoco/unc`, ...:
  `refs(unc).p` beside `instances.json`, under the folder's name. `refclef` is ReferIt (Kazemzadeh et al. 2014) with
  its images from SAIAPR TC-12; the game's own `RealGames.txt` has no boxes and is not read. A pickle may hold plain
  values alone.
- `google_refexp_{train,val}_201511.json` (RefCOCOg; Mao et al. 2016, arXiv:1511.02283) with COCO's
  `instances_train2014.json`, or `..._coco_aligned.json`, `--corpus google_refexp`: their `region_candidates` are the
  candidates.
Splits by Google share images between train and the others: refused, or with --shared_images drop taken out of train,
and what val shares with test out of val.

Writes a manifest a split and `stats.json`: `image`, `source` (the phrase), `references` (its boxes), `boxes`.
An item is a phrase with at least one box; phrases without are counted as `no_box`. Its candidates (`boxes`) are the
first of a file of --proposals, or windows of several sizes and shapes; `stats.json` has how many phrases, in percent,
have a candidate of IoU 0.5 or more with a true box, as `recall`. --union makes one box of a phrase's several. Boxes
count in pixels of the image as it is stored; where EXIF turns the image, they turn with it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from seqkit.data.manifest import Item
from seqkit.data_prep.captioning.coco import with_2017_names
from seqkit.data_prep.common.image_check import add_arguments
from seqkit.data_prep.common.image_items import Split, check_disjoint, image_names, keep_readable
from seqkit.data_prep.common.outputs import PreparedSplit, Stats, print_stats, write_splits
from seqkit.data_prep.common.raw_files import Files, find_files
from seqkit.data_prep.grounding.flickr30k_entities import find_lists, find_sentences, read_entities
from seqkit.data_prep.grounding.proposals import (
    Box,
    clip_boxes,
    grounding_fields,
    has_match,
    read_proposals,
    turn_boxes,
    windows,
)
from seqkit.data_prep.grounding.refer import find_refs, read_refer
from seqkit.data_prep.grounding.refexp import find_refexp, read_refexp
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

MAX_CANDIDATES = 100  # of an image


class BoxOptions(NamedTuple):
    """Which boxes an item has."""

    proposals: Path | None = None  # a file of candidate boxes; None: windows
    candidates: int = MAX_CANDIDATES  # of an image, at most
    union: bool = False  # of several true boxes, the one around them all


WINDOWS_ALONE = BoxOptions()


def choose_corpus(files: Files, wanted: str | None, raw: Path) -> tuple[str, Callable[[str | None], dict[str, Split]]]:
    """A corpus's name, and its reader by split. Raises InputError for none, or for several without --corpus."""
    found: dict[str, Callable[[str | None], dict[str, Split]]] = {
        name: partial(read_refer, path) for name, path in find_refs(files).items()
    }
    if paths := find_refexp(files):
        found["google_refexp"] = partial(read_refexp, files, paths)
    if find_sentences(files):
        found["flickr30k"] = partial(read_entities, files, find_lists(files))
    if not found:
        raise InputError(
            f"{raw}: must hold, at any depth, Flickr30k Entities' Sentences/*.txt and Annotations/*.xml, or "
            "refs(unc).p and the like beside instances.json, or google_refexp_train_201511.json, got none of them; "
            "unpack annotations.zip or refcoco.zip there"
        )
    if wanted not in found and (wanted or len(found) > 1):
        listed = ", ".join(sorted(found))
        raise InputError(f"--corpus must be one of {listed}, which are under {raw}, got {wanted or 'none'}")
    name = wanted or next(iter(found))
    return name, found[name]


def make_finish(options: BoxOptions) -> Callable[[Item], Item | str]:
    """A function that gives a phrase its candidate boxes; a text that it returns is why the phrase is dropped."""
    from seqkit.data.image import read_orientation, read_size  # which load torch

    proposals = read_proposals(options.proposals) if options.proposals else None

    @cache
    def measure(path: Path) -> tuple[int, int, int]:
        """Height and width of an image upright, and its orientation."""
        return *read_size(path), read_orientation(path)

    @cache
    def even(height: int, width: int) -> list[Box]:
        return windows(height, width, options.candidates)

    def finish(item: Item) -> Item | str:
        assert item.image is not None and item.source is not None
        height, width, orientation = measure(item.image)
        drawn_on = item.extra["extent"]  # height and width of the image on which the boxes were drawn
        if drawn_on == ([width, height] if orientation >= 5 else [height, width]):
            turn = orientation
        elif drawn_on == [height, width]:
            turn = 1  # drawn on the image upright
        else:
            return "other_size"

        def upright(boxes: Sequence[Sequence[float]]) -> list[Box]:
            return clip_boxes(turn_boxes(boxes, turn, height, width), height, width)

        extent, truth = (height, width), upright(item.extra["truth"])
        given = item.boxes if proposals is None else proposals.get(item.image.name, ())
        boxes = even(*extent) if proposals is None and not given else upright(given)[: options.candidates]
        if not truth or not boxes:
            return "no_candidates" if truth else "no_box"
        if options.union:
            lefts, tops, rights, bottoms = zip(*truth, strict=True)
            truth = [(min(lefts), min(tops), max(rights), max(bottoms))]
        return replace(item, **grounding_fields(item.source, truth, boxes, extent, item.extra))

    return finish


def drop_shared(splits: Mapping[str, Split]) -> None:
    """Drops phrases of `train` about images that another split has too, and those of `val` that a test set has."""
    for own, rivals in (("val", "test"), ("train", "")):
        rival_of = {
            name: title
            for title, split in splits.items()
            if title != own and title.startswith(rivals)
            for name in image_names(split.items)
        }
        split = splits.get(own, Split.empty())
        for item in split.items:
            if rival := rival_of.get(str(item.image)):
                split.dropped[f"image_in_{rival}"].append(item.id)
        split.items[:] = [item for item in split.items if str(item.image) not in rival_of]


def with_recall(split: PreparedSplit) -> PreparedSplit:
    """With the share of phrases, in percent, that have a right candidate, in its statistics."""
    right = sum(has_match(item.boxes, item.extra["truth"]) for item in split.items)
    boxes = sum(len(item.boxes) for item in split.items)
    share = {"candidates": boxes / len(split.items), "recall": 100 * right / len(split.items)} if split.items else {}
    return PreparedSplit(split.items, {**split.counts, **share})


def prepare(
    raw: Path,
    out: Path,
    *,
    corpus: str | None = None,
    boxes: BoxOptions = WINDOWS_ALONE,
    split: str | None = None,
    shared_images: str = "refuse",
    workers: int = 1,
) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    if boxes.candidates < 1:
        raise InputError(f"--candidates must be at least 1, got {boxes.candidates}")
    files = find_files(raw)
    name, read = choose_corpus(files, corpus, raw)
    finish = make_finish(boxes)
    splits = read(split)
    if shared_images == "drop":
        drop_shared(splits)
    check_disjoint(splits, "take another publication, or give --shared_images drop, which takes them out of train")
    files = with_2017_names(files, (name for one in splits.values() for name in image_names(one.items)))
    prepared = (
        (title, with_recall(keep_readable(files, one, workers=workers, title=title, finish=finish)))
        for title, one in splits.items()
    )
    return write_splits(out, prepared, [name], {})


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare referit", __doc__ or "")
    add_arguments(parser)
    parser.add_argument("--corpus", metavar="NAME", help="which to read where several are found: refcoco/unc, ...")
    parser.add_argument("--proposals", type=Path, metavar="FILE", help="candidate boxes, JSON lines (default: windows)")
    parser.add_argument(
        "--candidates", type=int, default=MAX_CANDIDATES, help=f"boxes an image, at most (default: {MAX_CANDIDATES})"
    )
    parser.add_argument(
        "--shared_images",
        choices=("refuse", "drop"),
        default="refuse",
        help="of images in two splits: drop takes their phrases out of train, or of val (default: refuse)",
    )
    parser.add_argument("--union", action="store_true", help="of several true boxes, the one around them all")
    given = parse(parser, argv)
    print_stats(
        prepare(
            given.raw,
            given.out,
            corpus=given.corpus,
            boxes=BoxOptions(given.proposals, given.candidates, given.union),
            split=given.split,
            shared_images=given.shared_images,
            workers=given.workers,
        )
    )
