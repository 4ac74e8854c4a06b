"""Test sets of WMT since 2021: one XML file with the documents' sources, references and systems' outputs.

    <dataset id="newstest2021"><doc id="a" origlang="en">
      <src lang="en"><p><seg id="1">…</seg></p></src>
      <ref lang="de" translator="A"><p><seg id="1">…</seg></p></ref> …
      <hyp system="x" lang="de">…</hyp> …
    </doc></dataset>

Every translator's text is a reference. As in sacrebleu, documents of test suites are left out, and so are segments
that nobody translated, where others are; outputs of systems are not read.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqkit.data.files import open_bytes, read_lines
from seqkit.data.packed import FAULTS
from seqkit.data_prep.common.raw_files import UniqueKeys
from seqkit.errors import InputError

HEAD_LINES = 10  # in which <dataset> stands


class Segment(NamedTuple):
    """One sentence of a document."""

    place: str
    source: str
    references: tuple[str, ...]  # of every translator who has it; none is empty
    drop: str = ""  # why it can be no pair


def is_dataset(path: Path) -> bool:
    """Whether a file begins as one of these does."""
    if not path.is_file():
        return False
    return any(number <= HEAD_LINES and "<dataset" in text for number, text in _head(path))


def _head(path: Path) -> Iterator[tuple[int, str]]:
    for number, text in read_lines(path):
        if number > HEAD_LINES:
            return
        yield number, text


def read_dataset(path: Path, source: str, target: str) -> Iterator[Segment]:
    """Reads every segment in its order. Raises InputError for damaged XML, other languages, and what stands twice."""
    documents = UniqueKeys("id of a <doc>")
    try:
        with open_bytes(path) as content:
            for _, element in ET.iterparse(content, events=("end",)):
                if element.tag == "doc":
                    place = f"{path.name}, document {element.get('id', '')!r}"
                    documents.add(element.get("id"), place)
                    yield from _document(element, place, source, target)
                    element.clear()
    except (ET.ParseError, *FAULTS) as error:
        raise InputError(f"{path}: must be whole XML, got a fault: {error}; fetch it again") from None


def _document(document: ET.Element, place: str, source: str, target: str) -> Iterator[Segment]:
    sources = _segments(document, "src", source, place)
    translations = [texts for _, texts in _segments(document, "ref", target, place)]
    if len(sources) != 1:
        raise InputError(f"{place}: must have one <src>, got {len(sources)}; take the file as it was published")
    [(_, texts)] = sources
    for number, text in texts.items():
        references = tuple(own[number] for own in translations if own.get(number))
        drop = "test_suite" if document.get("testsuite") is not None else "empty_source" if not text else ""
        if translations and not references:
            drop = drop or "no_reference"
        yield Segment(f"{place}, segment {number}", text, references, drop)
    for own in translations:
        for number in own:
            if number not in texts:
                yield Segment(f"{place}, segment {number}", "", (own[number],), "no_source")


def _segments(document: ET.Element, tag: str, language: str, place: str) -> list[tuple[str, dict[str, str]]]:
    """For each <src> or <ref> its translator, and its segments by number."""
    found = []
    for part in document.iter(tag):
        told = part.get("lang", "")
        if told and told.partition("-")[0] != language.partition("-")[0]:
            raise InputError(f"{place}: <{tag}> must be in {language}, got {told}; give --source and --target so")
        unique = UniqueKeys("id of a <seg>")
        texts: dict[str, str] = {}
        translator = part.get("translator", "")
        for segment in part.iter("seg"):
            number = segment.get("id", "")
            unique.add(number, f"{place}, <{tag}> {translator} segment {len(texts) + 1}")
            texts[number] = " ".join("".join(segment.itertext()).split())
        found.append((translator, texts))
    return found
