"""File formats of `seqkit score` beside plain lines, Kaldi and JSON lines: sclite's .trn, and JSON of COCO and VQA.

Each is told by its content, so that a name is no matter; a file of word times (.ctm) or of segments (.stm) is refused
with a line that names what scores it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.files import parse_json, strict_json
from seqkit.errors import InputError

_TRN = re.compile(r"(?:(.*?)\s*)\(([^\s()]+)\)\s*")
_LIKELY_ID = re.compile(r"(?=.*[\d_-]).+")
ALTERNATIVES = re.compile(r"\{[^{}]*/[^{}]*\}")
_SECONDS = r"\d+(?:\.\d+)?"
_TIMED = re.compile(rf"\S+\s+\S+\s+{_SECONDS}\s+{_SECONDS}\s+\S+(?:\s+[-\d.]+)?(?:\s+\S+)?\s*")
_SEGMENT = re.compile(rf"\S+\s+\S+\s+\S+\s+{_SECONDS}\s+{_SECONDS}(?:\s.*)?")
_FRACTION = re.compile(r"\s\d+\.\d+\s")
SCORERS = {
    "ctm": "words with times; score it by sclite (`-r REF.stm stm -h HYP.ctm ctm`) or meeteval",
    "stm": "segments with times; score it by sclite (`-r REF.stm stm`) or meeteval",
}


class JsonItem(NamedTuple):
    """One entry of a file: where it stands, its id, its text, and what else is known of it."""

    place: str
    id: str
    text: str
    keys: Mapping[str, Any] = {}


def ending(path: Path) -> str:
    """Returns the ending of a file's name in lower case, that of compression left out."""
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def is_json_lines(path: Path, lines: Sequence[tuple[int, str]]) -> bool:
    """Tells whether the file is named .jsonl, or its first line is a JSON object with an `id`."""
    first = next((line for _, line in lines if line.strip()), "")
    if ending(path) == ".jsonl" or not first.startswith("{"):
        return ending(path) == ".jsonl"
    try:
        return "id" in strict_json(first)
    except (ValueError, RecursionError):
        return False


def is_trn(path: Path, lines: Sequence[tuple[int, str]]) -> bool:
    """Tells whether the file is named .trn, or every line ends with an id in parentheses, each another one."""
    if ending(path) == ".trn":
        return True
    found = [_TRN.fullmatch(line) for _, line in lines if line.strip()]
    ids = [match[2] for match in found if match and _LIKELY_ID.fullmatch(match[2])]
    return bool(found) and len(ids) == len(found) == len(set(ids))


def read_trn(path: Path, lines: Sequence[tuple[int, str]]) -> list[JsonItem]:
    """Reads `text (id)` lines. Raises InputError for a line without an id, or with alternatives in braces."""
    items = []
    for number, line in lines:
        if not line.strip() or line.startswith(";;"):
            continue
        match, place = _TRN.fullmatch(line), f"{path}, line {number}"
        if not match:
            raise InputError(f"{place}: must be `text (id)`, got {line[:60]!r}")
        if ALTERNATIVES.search(match[1] or ""):
            raise InputError(f"{place}: must hold no alternatives such as {{ a / b }}, which sclite alone scores")
        items.append(JsonItem(place, match[2], match[1] or ""))
    return items


def refuse_times(path: Path, lines: Sequence[tuple[int, str]]) -> None:
    """Raises InputError for a .ctm or .stm file, told by its name or by its lines."""
    kind = ending(path).removeprefix(".")
    texts = [line for _, line in lines if line.strip() and not line.startswith(";;")]
    if kind not in SCORERS and texts and all(map(_FRACTION.search, texts)):
        kinds = {"ctm": _TIMED, "stm": _SEGMENT}
        kind = next((name for name, pattern in kinds.items() if all(map(pattern.fullmatch, texts))), "")
    if kind in SCORERS:
        raise InputError(f"{path}: must be one text per item, got .{kind}, {SCORERS[kind]}, or join each item's words")


def is_json(path: Path, lines: Sequence[tuple[int, str]]) -> bool:
    """Tells whether the file is one JSON value of a kind that `read_json` may know."""
    if ending(path) == ".json":
        return True
    first = "".join([line.strip() for _, line in lines if line.strip()][:3]).replace(" ", "")
    return first.startswith(('[{"', '{"annotations"', '{"images"', '{"info"', '{"licenses"'))


def read_json(path: Path, lines: Sequence[tuple[int, str]]) -> list[JsonItem]:
    """Reads results or annotations of COCO captions and of VQA; several texts of one id are several entries.

    Raises InputError for JSON that is none of them.
    """
    content = parse_json("\n".join(line for _, line in lines), str(path))
    entries = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: must hold COCO or VQA results or annotations, got JSON of another kind")
    return [item for number, entry in enumerate(entries, 1) for item in _json_items(f"{path}, entry {number}", entry)]


def _json_items(place: str, entry: Any) -> list[JsonItem]:
    values = entry if isinstance(entry, dict) else {}
    key, texts = ("image_id", values.get("caption")) if "caption" in values else ("question_id", values.get("answer"))
    if "answers" in values:
        answers = values["answers"] if isinstance(values["answers"], list) else []
        texts = [answer.get("answer") if isinstance(answer, dict) else answer for answer in answers]
    name, found = values.get(key), texts if isinstance(texts, list) else [texts]
    whole = isinstance(name, int | str) and not isinstance(name, bool)
    if not whole or not found or not all(isinstance(text, str) for text in found):
        wanted = "`image_id` and `caption`, or `question_id` and `answer` or `answers`"
        raise InputError(f"{place}: must have {wanted}, got {json.dumps(entry)[:60]}")
    keys = {other: values[other] for other in values if other not in (key, "id", "caption", "answer", "answers")}
    return [JsonItem(place, str(name), str(text), keys) for text in found]
