"""Folders of the refer API (Yu et al. 2016, arXiv:1608.00272): referring expressions, each for an annotated object.

`refs(unc).p` is a pickled list of {ref_id, ann_id, split, sentences: [{sent_id, sent}, ...]}; `instances.json` beside
it is in COCO's form, boxes as left, top, width and height. Pickles can run programs: here only plain values are read.
"""

import io
import pickle
import re
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any, NoReturn

from seqkit.data.manifest import Item
from seqkit.data.text import is_blank
from seqkit.data_prep.common.image_items import Split
from seqkit.data_prep.common.raw_files import Files, UniqueKeys, check_copy, entries_of, read_json, value_of
from seqkit.errors import InputError

REFS = re.compile(r"refs\((?P<by>\w+)\)\.p")
INSTANCES = "instances.json"
SPLIT = re.compile(r"\w[\w-]{0,39}")  # it becomes a file's name
LARGEST = 1e9  # pixels that are no mistake
DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
    struct.error,
)


class PlainUnpickler(pickle._Unpickler):
    """Dictionaries, lists, texts and numbers; nothing that is found by a name.

    The one written in Python: a damaged file makes it take no more memory than its own size calls for.
    """

    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


def read_pickle(path: Path) -> Any:
    """Raises InputError for a file that is broken, or holds more than plain values."""
    try:
        content = io.BytesIO(path.read_bytes())
        return PlainUnpickler(content, encoding="utf-8", errors="replace").load()  # written by Python 2
    except DAMAGE as error:
        raise InputError(f"{path}: must be a pickle of plain values, got a fault: {error}") from None


def find_refs(files: Files) -> dict[str, Path]:
    """Files of expressions by folder and author of the splits, such as `refcoco/unc`."""
    found: dict[str, Path] = {}
    for path in (path for paths in files.values() for path in paths):
        match = REFS.fullmatch(path.name)
        if match and (path.parent / INSTANCES).is_file():
            first = found.setdefault(f"{path.parent.name}/{match['by']}", path)
            check_copy(first, path)
            check_copy(first.parent / INSTANCES, path.parent / INSTANCES)
    return found


def read_instances(path: Path) -> dict[int, tuple[str, list[int], list[float]]]:
    """By the id of an object: its image's name and extent, and its box. Raises InputError for a malformed entry."""

    def lean(entry: dict[str, Any]) -> dict[str, Any]:
        entry.pop("segmentation", None)  # most of the file
        return entry

    content = read_json(path, lean)
    image_ids, ids = UniqueKeys("id"), UniqueKeys("id")
    images: dict[int, tuple[str, list[int]]] = {}
    for place, image in entries_of(content, "images", str(path)):
        extent = [value_of(image, key, int, place) for key in ("height", "width")]
        image_ids.add(value_of(image, "id", int, place), place)
        images[image["id"]] = (value_of(image, "file_name", str, place), extent)
    found: dict[int, tuple[str, list[int], list[float]]] = {}
    for place, entry in entries_of(content, "annotations", str(path)):
        image, box = value_of(entry, "image_id", int, place), value_of(entry, "bbox", list, place)
        if image not in images:
            raise InputError(f"{place}: `image_id` must be the `id` of one of `images`, got {image}")
        ids.add(value_of(entry, "id", int, place), place)
        found[entry["id"]] = (*images[image], corners(box, place))
    return found


def corners(box: list[Any], place: str) -> list[float]:
    """Left, top, right, bottom of COCO's left, top, width, height. Raises InputError, beginning with `place`."""
    if len(box) != 4 or not all(isinstance(edge, int | float) and abs(edge) < LARGEST for edge in box):
        raise InputError(f"{place}: `bbox` must be left, top, width and height, got {box!r:.60}")
    left, top, width, height = box
    return [left, top, left + width, top + height]


def read_refer(path: Path, split: str | None) -> dict[str, Split]:
    """Expressions by split; all in `split` where that is given. Raises InputError for a malformed entry."""
    instances = read_instances(path.parent / INSTANCES)
    splits: dict[str, Split] = defaultdict(Split.empty)
    refs, unique = UniqueKeys("ref_id"), UniqueKeys("ref_id and sent_id")
    for place, ref in entries_of({"refs": read_pickle(path)}, "refs", str(path)):
        number = value_of(ref, "ann_id", int, place)
        if number not in instances:
            raise InputError(f"{place}: `ann_id` must be the `id` of one of `annotations`, got {number}")
        name, extent, box = instances[number]
        title = split or value_of(ref, "split", str, place)
        if not SPLIT.fullmatch(title):
            raise InputError(f"{place}: `split` must be a name such as testA, got {title!r:.60}")
        chosen = splits[title]
        for where, sentence in entries_of(ref, "sentences", place):
            ids = value_of(ref, "ref_id", int, place), value_of(sentence, "sent_id", int, where)
            text = value_of(sentence, "sent", str, where).strip()
            key = "-".join(map(str, ids))
            unique.add(key, where)
            if not is_blank(text):
                extra = {"truth": [tuple(box)], "extent": extent}
                chosen.items.append(Item(id=key, source=text, image=Path(name), extra=extra))
            else:
                chosen.dropped["no_phrase"].append(key)
        refs.add(value_of(ref, "ref_id", int, place), place)
    return splits
