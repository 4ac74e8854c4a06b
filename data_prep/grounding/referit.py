"""Phrases and the boxes that they mean, from Flickr30k Entities or the corpora of referring expressions, to manifests.

    python data_prep/referit.py --raw DIR --out DIR [--corpus NAME] [--proposals FILE] [--candidates N] [--union]

Two forms are read, wherever under --raw they and the pictures lie:
- Flickr30k Entities (Plummer et al. 2015, arXiv:1505.04870), `--corpus flickr30k`: `Sentences/*.txt`, in which phrases
  are marked `[/EN#1/people A man]`, `Annotations/*.xml` with boxes, and the lists `train.txt`, `val.txt`, `test.txt`.
- The folders of the refer API (Yu et al. 2016, arXiv:1608.00272), `--corpus refclef/berkeley`, `refcoco/unc`, ...:
  `refs(unc).p` beside `instances.json`, under the folder's name. `refclef` is ReferIt (Kazemzadeh et al. 2014) with
  its pictures from SAIAPR TC-12; the game's own `RealGames.txt` has no boxes and is not read. Splits by Google share
  pictures between train and test and are refused. A pickle may hold plain values alone.

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
from seqkit.data_prep.captioning.coco import alias
from seqkit.data_prep.common.questions import Part, disjoint, keep, names
from seqkit.data_prep.common.raw_files import Files, Kept, add_arguments, files_below, show, write_splits
from seqkit.data_prep.grounding.flickr30k_entities import list_paths, read_entities, sentence_paths
from seqkit.data_prep.grounding.proposals import Box, clipped, fit, grounded, read_proposals, windows
from seqkit.data_prep.grounding.refer import read_refer, refs_paths
from seqkit.errors import InputError

MOST = 100  # candidates of a picture


def choose(files: Files, wanted: str | None, raw: Path) -> tuple[str, Callable[[str | None], dict[str, Part]]]:
    """A corpus's name, and what reads it by split. Raises InputError for none, or for several and no word which."""
    found: dict[str, Callable[[str | None], dict[str, Part]]] = {
        name: partial(read_refer, path) for name, path in refs_paths(files).items()
    }
    if sentence_paths(files):
        found["flickr30k"] = partial(read_entities, files, list_paths(files))
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


def grounding(
    proposals: Mapping[str, Sequence[Box]] | None, candidates: int, union: bool
) -> Callable[[Item], Item | str]:
    """What makes an item of a phrase with its `truth` in `extra`; a text is why it cannot."""
    from seqkit.data.image import read_size  # which loads torch

    @cache
    def around(path: Path) -> tuple[tuple[int, int], list[Box]]:
        """Height and width of a picture, and its candidates."""
        height, width = read_size(path)
        if proposals is None:
            return (height, width), windows(height, width, candidates)
        return (height, width), clipped(proposals.get(path.name, ()), height, width)[:candidates]

    def finish(item: Item) -> Item | str:
        assert item.image is not None and item.source is not None
        extent, boxes = around(item.image)
        if list(extent) != item.extra["extent"]:
            return "other_size"  # than that of the picture on which the boxes were drawn
        truth = clipped(item.extra["truth"], *extent)
        if not truth or not boxes:
            return "no_candidates" if truth else "no_box"
        if union:
            lefts, tops, rights, bottoms = zip(*truth, strict=True)
            truth = [(min(lefts), min(tops), max(rights), max(bottoms))]
        return replace(item, **grounded(item.source, truth, boxes, extent, item.extra))

    return finish


def with_recall(kept: Kept) -> Kept:
    """Its statistics with the share of phrases, in percent, of which some candidate is right."""
    right = sum(fit(item.boxes, item.extra["truth"]) for item in kept.items)
    boxes = sum(len(item.boxes) for item in kept.items)
    share = {"candidates": boxes / len(kept.items), "recall": 100 * right / len(kept.items)} if kept.items else {}
    return Kept(kept.items, {**kept.counts, **share})


def prepare(
    raw: Path,
    out: Path,
    *,
    corpus: str | None = None,
    proposals: Path | None = None,
    candidates: int = MOST,
    union: bool = False,
    split: str | None = None,
    workers: int = 1,
) -> dict[str, dict[str, object]]:
    """Writes what it finds; statistics by split. Raises InputError for published files that are missing or broken."""
    if candidates < 1:
        raise InputError(f"--candidates must be at least 1, got {candidates}")
    files = files_below(raw)
    name, read = choose(files, corpus, raw)
    finish = grounding(read_proposals(proposals) if proposals else None, candidates, union)
    parts = read(split)
    disjoint(parts)
    files = alias(files, (name for part in parts.values() for name in names(part.items)))
    kept = (
        (split, with_recall(keep(files, part, workers=workers, title=split, finish=finish)))
        for split, part in parts.items()
    )
    return write_splits(out, kept, [name], {})


def main(argv: Sequence[str]) -> None:
    parser = Parser("referit", "Phrases with boxes, of Flickr30k Entities or referring expressions, to manifests.")
    add_arguments(parser)
    parser.add_argument("--corpus", metavar="NAME", help="which to read where several are found: refcoco/unc, ...")
    parser.add_argument("--proposals", type=Path, metavar="FILE", help="candidate boxes, JSON lines (default: windows)")
    parser.add_argument("--candidates", type=int, default=MOST, help=f"boxes a picture, at most (default: {MOST})")
    parser.add_argument("--union", action="store_true", help="of several true boxes, the one around them all")
    given = parse(parser, argv)
    show(
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
