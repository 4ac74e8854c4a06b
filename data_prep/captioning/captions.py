"""Images with captions to manifests: what the preparation of every captioning corpus shares.

An image that is missing, empty, truncated or unreadable is dropped; one that is not RGB is kept. Both are counted
and named in `stats.json`. Captions stay as published.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from seqkit.data.manifest import Item
from seqkit.data.text import is_blank
from seqkit.data_prep.common import outputs
from seqkit.data_prep.common.image_check import check_images
from seqkit.data_prep.common.outputs import MAX_NAMED, PreparedSplit, Stats
from seqkit.data_prep.common.raw_files import Files, find_image
from seqkit.errors import InputError


class CaptionedImage(NamedTuple):
    """An image as a corpus lists it."""

    name: str  # of its file, perhaps with the published folder before it
    captions: tuple[str, ...]
    place: str  # where the corpus lists it


def write_splits(
    out: Path,
    files: Files,
    splits: Mapping[str, Sequence[CaptionedImage]],
    *,
    read: Sequence[str],
    workers: int,
    unlisted: Sequence[str] = (),
) -> Stats:
    """Writes a manifest for every split with at least one image, and `stats.json`; returns statistics by split.

    `read` names the published files of captions, `unlisted` names their images that are in no split.
    Raises InputError where no image is left at all, or two would have one id.
    """
    _check_unique(splits)
    more: dict[str, dict[str, Any]] = {}
    if unlisted:
        left_out = {"images": len(unlisted), "left_out": "in none of the lists"}
        more["unlisted"] = {**left_out, "named": {"unlisted": list(unlisted[:MAX_NAMED])}}
    prepared = ((split, _keep_readable(files, listed, workers, split)) for split, listed in splits.items())
    return outputs.write_splits(out, prepared, read, more)


def _check_unique(splits: Mapping[str, Sequence[CaptionedImage]]) -> None:
    first: dict[str, str] = {}
    for name, _, place in (image for listed in splits.values() for image in listed):
        here = f"{name} ({place})"
        if _id(name) in first:
            raise InputError(
                "images must differ in their names without folder and ending, "
                f"got {first[_id(name)]} and {here}; rename one of the two, or keep it in one place"
            )
        first[_id(name)] = here


def _id(name: str) -> str:
    return PurePosixPath(name).stem


def _keep_readable(files: Files, listed: Sequence[CaptionedImage], workers: int, title: str) -> PreparedSplit:
    captions = {
        name: tuple(itertools.filterfalse(is_blank, texts)) for name, texts, _ in listed
    }  # an empty one cannot be learned
    # Captions of test sets may never have been published: then the images are items all the same.
    unpublished = title not in ("train", "val", "dev") and not any(texts for _, texts, _ in listed)
    report = check_images(files, (name for name in captions if captions[name] or unpublished), workers, title)
    for name in (name for name in captions if not captions[name] and not unpublished):
        report.dropped["no_caption" if find_image(files, name) else "missing"].append(name)
    items = [Item(id=_id(name), image=path, references=captions[name]) for name, path in report.paths.items()]
    empty = [name for name, texts, _ in listed for text in texts if is_blank(text)]
    return PreparedSplit(
        items,
        {
            "images": len(listed),
            "items": len(items),
            "references": sum(len(item.references) for item in items),
            "dropped": {fault: len(names) for fault, names in report.dropped.items()},
            "not_rgb": {mode: len(names) for mode, names in report.not_rgb.items()},
            "empty_captions": len(empty),
            **report.more(),
            "named": {**report.named(), **({"empty_captions": empty} if empty else {})},
            "reasons": report.reasons,
        },
    )
