"""Phrases and their boxes: Flickr30k Entities, or the corpora of referring expressions (ReferIt, RefCOCO, RefCOCOg).

    seqkit prepare referit --raw DIR --out DIR [--corpus NAME] [--proposals FILE] [--candidates N] [--union]

Reads two forms, wherever under --raw they and the images lie:
- Flickr30k Entities (Plummer et al. 2015, arXiv:1505.04870), `--corpus flickr30k`: `Sentences/*.txt`, in which phrases
  are marked `[/EN#1/people A man]`, `Annotations/*.xml` with boxes, and the lists `train.txt`, `val.txt`, `test.txt`.
- The folders of the refer API (Yu et al. 2016, arXiv:1608.00272), `--corpus refclef/berkeley`, `refcoco/unc`, ...:
  `refs(unc).p` beside `instances.json`, under the folder's name. `refclef` is ReferIt (Kazemzadeh et al. 2014) with
  its images from SAIAPR TC-12; the game's own `RealGames.txt` has no boxes and is not read. Splits by Google share
  images between train and test and are refused. A pickle may hold plain values alone.

Writes a manifest a split and `stats.json`: `image`, `source` (the phrase), `references` (its boxes), `boxes`.
An item is a phrase with at least one box; phrases without are counted as `no_box`. Its candidates (`boxes`) are the
first of a file of --proposals, or windows of several sizes and shapes; `stats.json` has how many phrases, in percent,
have a candidate of IoU 0.5 or more with a true box, as `recall`. --union makes one box of a phrase's several.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from seqkit.cli import Parser, parse
from seqkit.data.manifest import Item
from seqkit.data_prep.captioning.coco import with_2017_names
from seqkit.data_prep.common.image_check import add_arguments
from seqkit.data_prep.common.image_items import Split, check_disjoint, image_names, keep_readable
from seqkit.data_prep.common.outputs import PreparedSplit, Stats, print_stats, write_splits
from seqkit.data_prep.common.raw_files import Files, find_files
from seqkit.data_prep.grounding.flickr30k_entities import find_lists, find_sentences, read_entities
from seqkit.data_prep.grounding.proposals import Box, clip_boxes, grounding_fields, has_match, read_proposals, windows
from seqkit.data_prep.grounding.refer import find_refs, read_refer
from seqkit.errors import InputError

MAX_CANDIDATES = 100  # candidates of an image


def choose_corpus(files: Files, wanted: str | None, raw: Path) -> tuple[str, Callable[[str | None], dict[str, Split]]]:
    """A corpus's name, and its reader by split. Raises InputError for none, or for several without --corpus."""
    found: dict[str, Callable[[str | None], dict[str, Split]]] = {
        name: partial(read_refer, path) for name, path in find_refs(files).items()
    }
    if find_sentences(files):
        found["flickr30k"] = partial(read_entities, files, find_lists(files))
    if not found:
        raise InputError(
            f"{raw}: must hold, at any depth, Flickr30k Entities' Sentences/*.txt and Annotations/*.xml, or "
            "refs(unc).p and the like beside instances.json, got neither; unpack annotations.zip or refcoco.zip there"
        )
    if wanted not in found and (wanted or len(found) > 1):
        listed = ", ".join(sorted(found))
        raise InputError(f"--corpus must be one of {listed}, which are under {raw}, got {wanted or 'none'}")
    name = wanted or next(iter(found))
    return name, found[name]


def make_finish(
    proposals: Mapping[str, Sequence[Box]] | None, candidates: int, union: bool
) -> Callable[[Item], Item | str]:
    """A function that gives a phrase its candidate boxes; a text that it returns is why the phrase is dropped."""
    from seqkit.data.image import read_size  # which loads torch

    @cache
    def extent_and_candidates(path: Path) -> tuple[tuple[int, int], list[Box]]:
        """Height and width of an image, and its candidates."""
        height, width = read_size(path)
        if proposals is None:
            return (height, width), windows(height, width, candidates)
        return (height, width), clip_boxes(proposals.get(path.name, ()), height, width)[:candidates]

    def finish(item: Item) -> Item | str:
        assert item.image is not None and item.source is not None
        extent, boxes = extent_and_candidates(item.image)
        if list(extent) != item.extra["extent"]:
            return "other_size"  # than that of the image on which the boxes were drawn
        truth = clip_boxes(item.extra["truth"], *extent)
        if not truth or not boxes:
            return "no_candidates" if truth else "no_box"
        if union:
            lefts, tops, rights, bottoms = zip(*truth, strict=True)
            truth = [(min(lefts), min(tops), max(rights), max(bottoms))]
        return replace(item, **grounding_fields(item.source, truth, boxes, extent, item.extra))

    return finish


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
    proposals: Path | None = None,
    candidates: int = MAX_CANDIDATES,
    union: bool = False,
    split: str | None = None,
    workers: int = 1,
) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    if candidates < 1:
        raise InputError(f"--candidates must be at least 1, got {candidates}")
    files = find_files(raw)
    name, read = choose_corpus(files, corpus, raw)
    finish = make_finish(read_proposals(proposals) if proposals else None, candidates, union)
    splits = read(split)
    check_disjoint(splits)
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
    parser.add_argument("--union", action="store_true", help="of several true boxes, the one around them all")
    given = parse(parser, argv)
    print_stats(
        prepare(
            given.raw,
            given.out,
            corpus=given.corpus,
            proposals=given.proposals,
            candidates=given.candidates,
            union=given.union,
            split=given.split,
            workers=given.workers,
        )
    )
