"""Pictures with their captions, from any corpus, to manifests: what flickr8k.py and coco.py share.

A picture that is missing, empty, truncated or unreadable is dropped; one that is not RGB is kept. Both are counted
and named in `stats.json`. Captions stay as published.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from seqkit.data.manifest import Item
from seqkit.data_prep.common import raw_files as published
from seqkit.data_prep.common.raw_files import Files, Kept, examine, locate
from seqkit.errors import InputError


class Captioned(NamedTuple):
    """A picture as a corpus lists it."""

    name: str  # of its file, perhaps with the published folder before it
    captions: tuple[str, ...]


def write_splits(
    out: Path,
    files: Files,
    splits: Mapping[str, Sequence[Captioned]],
    *,
    read: Sequence[str],
    workers: int,
    unlisted: int = 0,
) -> dict[str, dict[str, object]]:
    """A manifest for every split of which a picture is left, and `stats.json`; statistics by split.

    `read` names the published files of captions, `unlisted` counts their pictures that are in no split.
    Raises InputError where no picture is left at all, or two would have one id.
    """
    _unique(splits)
    more: dict[str, dict[str, object]] = {}
    if unlisted:
        more["unlisted"] = {"images": unlisted, "left_out": "in none of the lists"}
    kept = ((split, _keep(files, listed, workers, split)) for split, listed in splits.items())
    return published.write_splits(out, kept, read, more)


def _unique(splits: Mapping[str, Sequence[Captioned]]) -> None:
    first: dict[str, str] = {}
    for split, listed in splits.items():
        for name, _ in listed:
            here = f"{name} of {split}"
            if _id(name) in first:
                raise InputError(
                    "pictures must differ in their names without folder and ending, "
                    f"got {first[_id(name)]} and {here}; rename one of the two, or keep it in one place"
                )
            first[_id(name)] = here


def _id(name: str) -> str:
    return PurePosixPath(name).stem


def _keep(files: Files, listed: Sequence[Captioned], workers: int, title: str) -> Kept:
    """The items of a split; counts first, then the names behind them."""
    captions = {name: tuple(filter(str.strip, texts)) for name, texts in listed}  # an empty one cannot be learnt
    pictures = examine(files, filter(captions.get, captions), workers, title)
    for name in (name for name, texts in captions.items() if not texts):
        pictures.dropped["no_caption" if locate(files, name) else "missing"].append(name)
    items = [Item(id=_id(name), image=path, references=captions[name]) for name, path in pictures.paths.items()]
    empty = [name for name, texts in listed for text in texts if not text.strip()]
    return Kept(
        items,
        {
            "images": len(listed),
            "items": len(items),
            "references": sum(len(item.references) for item in items),
            "dropped": {fault: len(names) for fault, names in pictures.dropped.items()},
            "not_rgb": {mode: len(names) for mode, names in pictures.not_rgb.items()},
            "empty_captions": len(empty),
            "named": {**pictures.dropped, **pictures.not_rgb, **({"empty_captions": empty} if empty else {})},
            "reasons": pictures.reasons,
        },
    )
