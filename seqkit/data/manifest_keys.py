"""The keys of a manifest: type, unit and meaning of each, and which of them a recipe reads.

The one table from which the guide (`docs/make_key_table.py`), `train --help-all` and `seqkit check --recipe` are made.
"""

import itertools
import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.files import read_lines, strict_json
from seqkit.data.manifest import KEYS as ITEM_KEYS
from seqkit.data.manifest import Item

FIRST = 1000  # items of a training set whose keys `unread_remark` looks at


class Key(NamedTuple):
    """What stands under a key."""

    kind: str  # type and unit
    about: str


KEYS = {
    "id": Key("text, unique in the file", "name of the item in reports and errors"),
    "source": Key("text", "the text that is read: a sentence, or a phrase about the picture"),
    "references": Key("list of at least one text", "what the model should answer: what is learned and scored"),
    "image": Key("path", "a picture in any format that Pillow reads, turned upright by its EXIF note"),
    "question": Key("text", "what is asked about the picture"),
    "boxes": Key(
        "list of `[left, top, right, bottom]`, pixels of the upright picture, right and bottom just outside",
        "candidates to choose from",
    ),
    "video": Key("path", "a clip of the mouth, 25 frames/s, as `seqkit prepare` writes it"),
    "audio": Key("path", "wav, flac, ogg or mp3 of any rate, averaged to mono at 16 kHz"),
    "features": Key("path to a `.npy` of numbers, shape (time, width)", "rows in the place of pixels or sound"),
    "rows": Key("`[first, end)`, whole numbers from 0", "the part of `features` that is the item; without it all"),
    "start": Key(
        "seconds from the beginning of the file", "where in `video` and `audio` the item begins; without it there"
    ),
    "end": Key("seconds from the beginning of the file", "where the item ends; without it with the file"),
    "seconds": Key(
        "seconds",
        "length of the item, `end` - `start` where those are given; it tells the rate of `features`, the length of a "
        "batch and the times of words, and saves opening the media",
    ),
    "words": Key(
        "list of `[word, start, end]`, seconds from the beginning of the item, not of the file that it is cut from",
        "when each word is said: for the curriculum, trimming, and the timing report",
    ),
    "speaker": Key("text", "groups of the report"),
    "answers": Key("list of at least one text", "kept for corpora that give more than references"),
    "question_type": Key("text", "groups of the report; without it the question's first two words"),
    "answer_type": Key("text", "groups of the report"),
    "extent": Key("`[height, width]`, pixels", "size of the upright picture; without it the file is asked"),
}


class Reads(NamedTuple):
    """The keys that a recipe reads, beside `id`."""

    needed: tuple[str, ...]
    example: Mapping[str, Any]  # an item
    any_of: tuple[str, ...] = ()  # at least one of these is needed too
    optional: tuple[str, ...] = ()
    notes: Mapping[str, str] = {}  # what the recipe makes of a key

    def every(self) -> tuple[str, ...]:
        """All of them, in the order of `KEYS`."""
        mine = {"id", *self.needed, *self.any_of, *self.optional}
        return tuple(key for key in KEYS if key in mine)

    def need(self, key: str) -> str:
        """Whether an item must have the key, in words."""
        if key == "id" or key in self.needed:
            return "needed"
        others = " or ".join(f"`{other}`" for other in self.any_of if other != key)
        return f"this or {others} needed" if key in self.any_of else "optional"

    def missing(self, item: Item) -> str:
        """What an item lacks, as the middle of a sentence; empty where it lacks nothing."""
        for key in self.needed:
            if getattr(item, key) in (None, ()):
                return f"`{key}`"
        if self.any_of and all(getattr(item, key) is None for key in self.any_of):
            return " or ".join(f"`{key}`" for key in self.any_of)
        return ""


def key_table(recipes: Mapping[str, Reads]) -> str:
    """The table of the guide, in Markdown: every key, its type and unit, its meaning, and the recipes that read it."""
    rows = []
    for key, (kind, about) in KEYS.items():
        notes: dict[str, list[str]] = {}
        for name, reads in recipes.items():
            if key in reads.every():
                notes.setdefault(reads.notes.get(key, ""), []).append(name)
        told = "; ".join(", ".join(names) + (f": {note}" if note else "") for note, names in notes.items())
        who = "all" if [*notes] == [""] and len(notes[""]) == len(recipes) else told or "–"
        rows.append(f"| `{key}` | {kind} | {about} | {who} |")
    return "\n".join(["| key | type and unit | meaning | read by |", "|---|---|---|---|", *rows])


def example_line(reads: Reads) -> str:
    """The example of a recipe as a line of a manifest."""
    return json.dumps(dict(reads.example), ensure_ascii=False)


def describe_keys(reads: Reads) -> str:
    """The keys that a recipe reads, for help on a terminal."""
    lines = ["keys of an item, a JSON object a line of DIR/train.jsonl and DIR/val.jsonl:"]
    for key in reads.every():
        kind, about = KEYS[key]
        text = f"{key:<14}{kind}; {reads.notes.get(key) or about} [{reads.need(key)}]"
        lines += textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent=" " * 16)
    return "\n".join([*lines, "", "  example:", f"  {example_line(reads)}"])


NOTES = ("scene", "phrase_type", "truth")  # what preparations write for people, and nothing reads


def unread(keys: Iterable[str], reads: Reads | None) -> list[str]:
    """Those of the keys that the recipe, or without one any recipe, does not read; each once."""
    known = {*NOTES, *(set(KEYS) - {"answers"} if reads is None else reads.every())}
    return [key for key in dict.fromkeys(keys) if key not in known]


def keys_of(item: Item) -> list[str]:
    """The keys that an item has."""
    return [key for key in ITEM_KEYS if getattr(item, key) not in (None, ())] + list(item.extra)


def unread_remark(name: str, reads: Reads, manifest: Path) -> str:
    """A sentence that names the keys of the first items of a manifest which the recipe does not read; empty where it
    reads all of them, or the file is no manifest."""
    counts: Counter[str] = Counter()
    if manifest.is_file():
        for _, line in itertools.islice(read_lines(manifest), FIRST):
            try:
                values = strict_json(line) if line.strip() else {}
            except (ValueError, RecursionError):  # whoever reads the items will say it
                return ""
            counts.update(list(values) if isinstance(values, dict) else ())
    names = ", ".join(f"`{key}`" for key in unread(counts, reads))
    return f"{manifest}: {name} does not read {names}" if names else ""
