"""Text in markup: the tagged lines of IWSLT's training files, and the XML and SGM of its and of WMT's test sets.

What a file is shows in its first line that is not empty, whatever its name:
- a tag such as `<doc ...>` or `<url>`: sentences stand on lines of their own, others hold what is known of a talk;
- `<mteval>`, `<srcset ...>`, `<refset ...>` or an XML declaration: sentences are the `<seg id="...">` of documents;
- anything else: plain text, one sentence a line.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqkit.data.files import read_lines
from seqkit.errors import InputError

TAGS = (
    "doc|url|keywords|speaker|talkid|title|description|reviewer|translator|transcript|content|head|date|genre|summary"
)
MARKUP = re.compile(rf"\s*</?(?P<tag>{TAGS})\b[^<>]*>", re.IGNORECASE)
SETS = re.compile(r"\s*<(\?xml|!doctype|mteval|srcset|refset|tstset|dataset)\b", re.IGNORECASE)
SEGMENT = re.compile(r"<(?P<tag>seg|doc|refset|tstset)\b(?P<attributes>[^<>]*)>|(?P<end></seg\s*>)", re.IGNORECASE)
ATTRIBUTE = re.compile(r"""(?P<key>[\w:-]+)\s*=\s*("(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'>]+))""")
ENTITIES = {"lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&"}
ENTITY = re.compile(
    rf"&(?:(?P<name>{'|'.join(ENTITIES)})|#(?P<decimal>\d{{1,6}})|#x(?P<hex>[\da-f]{{1,5}}));", re.IGNORECASE
)


class Sentence(NamedTuple):
    """One sentence of a file."""

    line: int  # from 1
    text: str  # stripped
    key: str = ""  # document and number of a segment; empty for a line
    tag: str = ""  # of a line that is markup, and no sentence
    again: bool = False  # whether another set of references, or another translator's, had the segment before


def read_sentences(path: Path) -> Iterator[Sentence]:
    """Reads every sentence and every line of markup in their order, each line or segment as one.

    Raises InputError for segments that are not closed, have no number, or have the number of an earlier one.
    """
    first = next((text for _, text in read_lines(path) if text.strip()), "")
    if SETS.match(first):
        yield from _segments(path)
        return
    tagged = MARKUP.match(first) is not None
    for line, text in read_lines(path):
        match = MARKUP.match(text) if tagged else None
        yield Sentence(line, text.strip(), tag=match["tag"].lower() if match else "")


def _segments(path: Path) -> Iterator[Sentence]:
    """The segments of a file in which they may share a line or span several."""
    places: dict[str, dict[str, int]] = {}  # by document and number, then by who translated
    sets, document, who, key, start, parts = 0, "", "", "", 0, list[str]()
    for line, text in read_lines(path):
        position = 0
        for match in SEGMENT.finditer(text):
            if start:
                parts.append(text[position : match.start()])
            position = match.end()
            if match["end"] and start:
                yield Sentence(start, _unescape(" ".join(parts)), key, again=len(places[key]) > 1)
                start, parts = 0, []
            elif match["tag"] and start:
                raise InputError(f"{path}, line {line}: must close the <seg> of line {start} first; fetch it again")
            elif match["tag"]:
                found = _attributes(match[0])
                if match["tag"].lower() == "doc":
                    document, who = found.get("docid") or found.get("id", ""), found.get("sysid", "")
                if match["tag"].lower() != "seg":
                    sets += match["tag"].lower() != "doc"
                    continue
                key, start, parts = f"{document} {found.get('id', '')}", line, []
                if not found.get("id"):
                    raise InputError(f'{path}, line {line}: must have <seg id="NUMBER">, got {match[0][:60]!r}')
                own = places.setdefault(key, {})
                if f"{sets} {who}" in own:
                    raise InputError(
                        f"{path}, line {line}: `id` of a <seg> must be unique in its document, got {found['id']!r}, "
                        f"which line {own[f'{sets} {who}']} has; take out one of the two"
                    )
                own[f"{sets} {who}"] = line
        if start:
            parts.append(text[position:])
    if start:
        raise InputError(f"{path}, line {start}: must close its <seg>, got the end of the file; fetch it again")


def _attributes(tag: str) -> dict[str, str]:
    matches = ATTRIBUTE.finditer(tag)
    return {m["key"].lower(): m["double"] or m["single"] or m["bare"] or "" for m in matches}


def _unescape(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        if match["name"]:
            return ENTITIES[match["name"].lower()]
        code = int(match["decimal"]) if match["decimal"] else int(match["hex"], 16)
        return chr(code) if code and not 0xD800 <= code < 0xE000 else match[0]

    return ENTITY.sub(character, text).strip()
