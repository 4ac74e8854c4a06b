"""Google's referring expressions (RefCOCOg; Mao et al. 2016, arXiv:1511.02283) as their makers publish them.

`google_refexp_train_201511.json` has lists of `annotations` (annotation_id, image_id, refexp_ids, region_candidates)
and of `refexps` (refexp_id, raw); boxes are those of COCO's `instances_train2014.json`. What their toolbox makes of
both, `google_refexp_train_201511_coco_aligned.json`, has the same as objects by id, boxes and file names in them.
Region candidates, boxes as left, top, width and height, become the candidates of the items.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.manifest import Item
from seqkit.data.text import is_blank
from seqkit.data_prep.common.image_items import Split
from seqkit.data_prep.common.raw_files import Files, UniqueKeys, entries_of, published_file, read_json, value_of
from seqkit.data_prep.grounding.refer import corners, read_instances
from seqkit.errors import InputError

FILE = re.compile(r"google_refexp_(?P<split>[a-z]+)_\d+(?P<aligned>_coco_aligned\w*)?\.json")
INSTANCES = "instances_train2014.json"  # of COCO, whose training set holds all images

Box = tuple[float, ...]


class Target(NamedTuple):
    """An annotated object."""

    place: str
    ident: int
    image: str
    extent: list[int]
    box: list[float]
    candidates: tuple[Box, ...]
    expressions: list[int]  # their ids


def find_refexp(files: Files) -> dict[str, Path]:
    """Files of expressions by split: the aligned one where there are both."""
    found: dict[str, tuple[bool, Path]] = {}
    for name in sorted(files):
        match = FILE.fullmatch(name)
        path = published_file(files, name) if match else None
        if match and path:
            aligned = match["aligned"] is not None
            if aligned >= found.get(match["split"], (False, path))[0]:
                found[match["split"]] = aligned, path
    return {split: path for split, (_, path) in sorted(found.items())}


def read_refexp(files: Files, paths: Mapping[str, Path], split: str | None) -> dict[str, Split]:
    """Expressions by split; all in `split` where that is given. Raises InputError for a malformed entry."""
    splits: dict[str, Split] = defaultdict(Split.empty)
    unique = UniqueKeys("refexp_id")
    for name, path in paths.items():
        read, content = splits[split or name], read_json(path)
        aligned = isinstance(content, dict) and isinstance(content.get("annotations"), dict)
        texts = _expressions(content, str(path), unique)
        described = UniqueKeys("refexp_ids")
        for target in _aligned(content, str(path)) if aligned else _with_instances(files, content, path):
            for number in target.expressions:
                described.add(number, target.place)
                key = f"{target.ident}-{number}"
                text = texts.get(number, "").strip()
                if is_blank(text):
                    read.dropped["no_phrase"].append(key)
                    continue
                extra = {"truth": [tuple(target.box)], "extent": target.extent}
                item = Item(id=key, source=text, image=Path(target.image), boxes=target.candidates, extra=extra)
                read.items.append(item)
        unused = [str(number) for number in texts if number not in described.places]
        if unused:
            read.dropped["no_annotation"] += unused
    return splits


def _expressions(content: Any, place: str, unique: UniqueKeys) -> dict[int, str]:
    texts: dict[int, str] = {}
    for where, entry in _members(content, "refexps", place):
        number = value_of(entry, "refexp_id", int, where)
        unique.add(number, where)
        texts[number] = value_of(entry, "raw", str, where)
    return texts


def _members(content: Any, key: str, place: str) -> Iterator[tuple[str, Any]]:
    """The members of a list, or of an object by id, each after its place."""
    if isinstance(content, dict) and isinstance(content.get(key), dict):
        return ((f"{place}, {key}[{name!r}]", entry) for name, entry in content[key].items())
    return entries_of(content, key, place)


def _aligned(content: Any, place: str) -> Iterator[Target]:
    images: dict[int, tuple[str, list[int], tuple[Box, ...]]] = {}
    for where, image in _members(content, "images", place):
        extent = [value_of(image, side, int, where) for side in ("height", "width")]
        name = value_of(image, "file_name", str, where)
        images[value_of(image, "image_id", int, where)] = name, extent, _candidates(image, where)
    for where, entry in _members(content, "annotations", place):
        image = value_of(entry, "image_id", int, where)
        if image not in images:
            raise InputError(f"{where}: `image_id` must be the `image_id` of one of `images`, got {image}")
        name, extent, candidates = images[image]
        box = corners(value_of(entry, "bbox", list, where), where)
        ident = value_of(entry, "annotation_id", int, where)
        yield Target(where, ident, name, extent, box, candidates, _numbers(entry, where))


def _with_instances(files: Files, content: Any, path: Path) -> Iterator[Target]:
    instances = published_file(files, INSTANCES)
    if instances is None:
        raise InputError(
            f"{path}: must have COCO's {INSTANCES}, which has its boxes, below --raw, got none; unpack "
            "annotations_trainval2014.zip there"
        )
    objects = read_instances(instances)
    for where, entry in entries_of(content, "annotations", str(path)):
        ident = value_of(entry, "annotation_id", int, where)
        if ident not in objects:
            raise InputError(f"{where}: `annotation_id` must be the `id` of an annotation of {instances}, got {ident}")
        name, extent, box = objects[ident]
        yield Target(where, ident, name, extent, box, _candidates(entry, where), _numbers(entry, where))


def _candidates(entry: Any, place: str) -> tuple[Box, ...]:
    if "region_candidates" not in entry:
        return ()
    listed = entries_of(entry, "region_candidates", place)
    return tuple(tuple(corners(value_of(one, "bounding_box", list, where), where)) for where, one in listed)


def _numbers(entry: Any, place: str) -> list[int]:
    numbers = value_of(entry, "refexp_ids", list, place)
    if not all(type(number) is int for number in numbers):
        raise InputError(f"{place}: `refexp_ids` must be whole numbers, got {numbers!r:.60}")
    return numbers
