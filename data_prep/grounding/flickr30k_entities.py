"""Flickr30k Entities (Plummer et al. 2015, arXiv:1505.04870) as published: phrases of captions and their boxes.

A line of `Sentences/NUMBER.txt` is a caption with its phrases marked `[/EN#chain/type/... words]`; `Annotations/
NUMBER.xml` has boxes by chain. Pixels there count from 1 and the last one is inside; here a box ends just outside.
"""

import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqkit.data.files import read_lines
from seqkit.data.manifest import Item
from seqkit.data_prep.common.image_items import Split
from seqkit.data_prep.common.raw_files import Files, UniqueKeys, check_copy, published_file
from seqkit.errors import InputError

PHRASE = re.compile(r"\[/EN#(?P<chain>\d+)(?P<types>(?:/[^\s/\]]+)+)\s+(?P<words>[^\[\]]+)\]")
SPLITS = ("train", "val", "test")

Boxes = dict[str, list[tuple[int, ...]]]  # by chain


def find_lists(files: Files) -> dict[str, Path]:
    """The lists of images by split: files of that name that begin with a number."""
    found: dict[str, Path] = {}
    for split in SPLITS:
        for path in files.get(f"{split}.txt", ()):
            first = next((text for _, text in read_lines(path)), "")
            if first.strip().isdigit():
                check_copy(found.setdefault(split, path), path)
    return found


def find_sentences(files: Files) -> dict[str, Path]:
    """Files of captions by the number of their image."""
    found: dict[str, Path] = {}
    for path in (path for paths in files.values() for path in paths):
        if path.parent.name == "Sentences" and path.suffix == ".txt" and path.stem.isdigit():
            check_copy(found.setdefault(path.stem, path), path)
    return found


def read_boxes(path: Path) -> tuple[Boxes, list[int]]:
    """Boxes of every chain, and height and width of the image. Raises InputError for a malformed file."""
    boxes: Boxes = defaultdict(list)
    try:
        root = ET.parse(path).getroot()
        extent = [int(root.findtext(f"size/{key}", "")) for key in ("height", "width")]
        for entry in root.iter("object"):
            frame = entry.find("bndbox")
            if frame is not None:
                left, top, right, bottom = (int(frame.findtext(key, "")) for key in ("xmin", "ymin", "xmax", "ymax"))
                for name in entry.iter("name"):
                    boxes[str(name.text).strip()].append((left - 1, top - 1, right, bottom))
    except (ET.ParseError, ValueError) as error:
        raise InputError(f"{path}: must be XML with whole numbers for `size` and boxes, got a fault: {error}") from None
    return boxes, extent


def read_image_phrases(number: str, sentences: Path, annotations: Path) -> Split:
    """Every phrase of an image as an item, `image` being the image's file name."""
    boxes, extent = read_boxes(annotations)
    read = Split.empty()
    for line, text in read_lines(sentences):
        phrases = list(PHRASE.finditer(text))
        if len(phrases) != text.count("[/EN#"):
            read.dropped["no_phrase"].append(f"{sentences.name}, line {line}")
        for place, phrase in enumerate(phrases, 1):
            name = f"{number}-{line}-{place}"
            truth = boxes.get(phrase["chain"])
            if truth is None:
                read.dropped["no_box"].append(name)
                continue
            extra = {"phrase_type": phrase["types"][1:], "truth": truth, "extent": extent}
            words = " ".join(phrase["words"].split())
            read.items.append(Item(id=name, source=words, image=Path(f"{number}.jpg"), extra=extra))
    return read


def read_entities(files: Files, lists: Mapping[str, Path], split: str | None) -> dict[str, Split]:
    """Phrases by split; all in `split` where that is given. Raises InputError for neither list nor split."""
    sentences = find_sentences(files)
    unique = UniqueKeys("number of an image")
    numbers: dict[str, list[str]] = defaultdict(list)
    for name, path in () if split else lists.items():
        for line, text in read_lines(path):
            if number := text.strip():
                unique.add(number, f"{path}, line {line}")
                numbers[name].append(number)
    if split:
        numbers = {split: sorted(sentences)}
    if not numbers:
        raise InputError("--raw must hold train.txt, val.txt or test.txt, lists of numbers, got none; or give --split")
    splits = {name: _read_split(files, sentences, listed) for name, listed in numbers.items()}
    if unlisted := [number for number in sorted(sentences) if not split and number not in unique.places]:
        splits["unlisted"] = Split([], {"in_no_list": unlisted})
    return splits


def _read_split(files: Files, sentences: Mapping[str, Path], numbers: Sequence[str]) -> Split:
    read = Split.empty()
    for number in numbers:
        annotations = published_file(files, f"{number}.xml")
        if number not in sentences or not annotations:
            read.dropped["no_annotations" if number in sentences else "no_sentences"].append(number)
            continue
        try:
            read.add(read_image_phrases(number, sentences[number], annotations))
        except InputError as error:
            read.dropped["malformed"].append(str(error))
    return read
