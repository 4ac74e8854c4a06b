"""File formats of `seqkit score` beside plain lines, Kaldi and JSON lines: sclite's .trn, and JSON of COCO and VQA.

Each is told by its content, so that a name is no matter; a file of word times (.ctm) or of segments (.stm) is refused
with a line that names what scores it.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.files import parse_json, shown, strict_json
from seqkit.errors import InputError

PACKED = (".gz", ".bz2", ".xz")
_TRN = re.compile(r"(?:(.*?)\s*)\(([^\s()]+)\)\s*")
_LIKELY_ID = re.compile(r"(?=.*[\d_-]).+")
ALTERNATIVES = re.compile(r"\{[^{}]*/[^{}]*\}")
OPTIONAL = re.compile(r"(?<!\S)\([^\s()]+\)(?!\S)")
_SECONDS = r"\d+(?:\.\d+)?"
_TIMED = re.compile(rf"\S+\s+\S+\s+{_SECONDS}\s+{_SECONDS}\s+\S+(?:\s+[-\d.]+)?(?:\s+\S+)?\s*")
_SEGMENT = re.compile(rf"\S+\s+\S+\s+\S+\s+{_SECONDS}\s+{_SECONDS}(?:\s.*)?")
_FRACTION = re.compile(r"\s\d+\.\d+(\s|$)")
_LABEL = re.compile(rf"{_SECONDS}\s+{_SECONDS}\s+\S+\s*")
_ROW = re.compile(r"[^\s,;]+[,;\t]")
JOIN = "join each item's words in one line"
SCORERS = {
    "ctm": f"words with times; score it by sclite (`-r REF.stm stm -h HYP.ctm ctm`) or meeteval, or {JOIN}",
    "stm": f"segments with times; score it by sclite (`-r REF.stm stm`) or meeteval, or {JOIN}",
    "subtitles": f"which `seqkit prepare` reads beside their sound; {JOIN}",
    "TextGrid": f"which `seqkit prepare` reads beside its sound; {JOIN}",
    "labels": f"words with times; {JOIN}",
    "markup": "XML or SGML, which `seqkit prepare wmt` and sacrebleu read; write one segment a line",
    "table": "with a line of names; write one text a line, or JSON lines with `id` and `references` or `hypothesis`",
}
ENDINGS = {".ctm": "ctm", ".stm": "stm", ".csv": "table", ".tsv": "table", ".mlf": "labels"} | dict.fromkeys(
    (".srt", ".vtt", ".ass", ".ssa", ".sbv"), "subtitles"
)
BEGINNINGS = {
    "WEBVTT": "subtitles", "[Script Info]": "subtitles", 'File type = "ooTextFile': "TextGrid", "#!MLF!#": "labels",
    "<?xml": "markup", "<!DOCTYPE": "markup", "<refset": "markup", "<tstset": "markup", "<srcset": "markup",
    "<doc ": "markup", "<dataset": "markup", "<mteval": "markup", "<beam": "markup",
}  # fmt: skip


class JsonItem(NamedTuple):
    """One entry of a file: where it stands, its id, its text, and what else is known of it."""

    place: str
    id: str
    text: str
    keys: Mapping[str, Any] = {}


def ending(path: Path) -> str:
    """Returns the ending of a file's name in lower case, that of compression left out."""
    name = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return name.suffix.lower()


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
    """Tells whether the file is named .trn, or every line ends with an id in parentheses: each another one, or the most
    of them, and all with the sign after their speaker that sclite's ids have."""
    if ending(path) == ".trn":
        return True
    found = [_TRN.fullmatch(line) for _, line in lines if line.strip()]
    ids = [match[2] for match in found if match and _LIKELY_ID.fullmatch(match[2])]
    if not found or len(ids) < len(found):
        return False
    return len(set(ids)) == len(ids) or 2 * len(set(ids)) > len(ids) and all("-" in name or "_" in name for name in ids)


def read_trn(path: Path, lines: Sequence[tuple[int, str]]) -> list[JsonItem]:
    """Reads `text (id)` lines. Raises InputError for a line without an id, or with what sclite alone scores:
    alternatives in braces, and words in parentheses, which may be left out."""
    items = []
    for number, line in lines:
        if not line.strip() or line.startswith(";;"):
            continue
        match, place = _TRN.fullmatch(line), f"{path}, line {number}"
        if not match:
            raise InputError(f"{place}: must be `text (id)`, got {line[:60]!r}")
        if ALTERNATIVES.search(match[1] or ""):
            raise InputError(f"{place}: must hold no alternatives such as {{ a / b }}, which sclite alone scores")
        if optional := OPTIONAL.search(match[1] or ""):
            may = f"must hold no words that may be left out, such as {optional[0]}"
            raise InputError(f"{place}: {may}, which sclite alone scores; take out parentheses, or words too")
        items.append(JsonItem(place, match[2], match[1] or ""))
    return items


def refuse_others(path: Path, lines: Sequence[tuple[int, str]], *, table: bool = True) -> None:
    """Raises InputError for a file of another form, told by its name or by its lines; `table`: for one of rows, too."""
    texts = [line for _, line in lines if line.strip() and not line.startswith(";;")]
    first = texts[0] if texts else ""
    kind = ENDINGS.get(ending(path)) or next((k for text, k in BEGINNINGS.items() if first.startswith(text)), "")
    if kind == "table" and not (table and _ROW.match(first)):
        kind = ""
    kind = kind or _kind_of_lines(texts)
    if kind:
        shown = f".{kind}" if f".{kind}" in ENDINGS else kind
        raise InputError(f"{path}: must be one text per item, got {shown}, {SCORERS[kind]}")


def _kind_of_lines(texts: Sequence[str]) -> str:
    """Words or segments with times, by the form of all lines; empty where they may be texts."""
    if not texts:
        return ""
    if len(texts) > 1 and texts[0].strip().isdecimal() and " --> " in texts[1]:
        return "subtitles"
    if all(map(_TIMED.fullmatch, texts)):
        names = {text.split(maxsplit=1)[0] for text in texts}
        if len(names) < len(texts) or all(map(_FRACTION.search, texts)):
            return "ctm"
    if all(map(_FRACTION.search, texts)) and all(map(_SEGMENT.fullmatch, texts)):
        return "stm"
    if len(texts) > 2 and all(map(_LABEL.fullmatch, texts)):
        times = [float(time) for text in texts for time in text.split()[:2]]
        return "labels" if times == sorted(times) and times[0] < times[-1] else ""
    return ""


def is_json(path: Path, lines: Sequence[tuple[int, str]]) -> bool:
    """Tells whether the file is one JSON value of a kind that `read_json` may know."""
    if ending(path) == ".json":
        return True
    first = "".join(islice((line.strip() for _, line in lines if line.strip()), 3)).replace(" ", "")
    return first.startswith(('[{"', '{"annotations"', '{"images"', '{"info"', '{"licenses"'))


def read_json(path: Path, lines: Sequence[tuple[int, str]]) -> list[JsonItem]:
    """Reads results or annotations of COCO captions and of VQA; several texts of one id are several entries.

    Raises InputError for JSON that is none of them, and for an annotation or a question that comes twice.
    """
    content = parse_json("\n".join(line for _, line in lines), str(path))
    entries = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: must hold COCO or VQA results or annotations, got JSON of another kind")
    found, places = list[JsonItem](), dict[tuple[str, str], str]()
    for number, entry in enumerate(entries, 1):
        items = _json_items(f"{path}, entry {number}", entry)
        key, value = ("question_id", items[0].id) if "answers" in entry else ("id", entry.get("id"))
        value = value if isinstance(content, dict) or key == "question_id" else None
        first = places.setdefault((key, str(value)), items[0].place)
        if value is not None and first != items[0].place:
            raise InputError(
                f"{items[0].place}: `{key}` must come once, got {value!r}, which {first} has; take one out"
            )
        found += items
    return found


def _json_items(place: str, entry: Any) -> list[JsonItem]:
    values = entry if isinstance(entry, dict) else {}
    key, texts = ("image_id", values.get("caption")) if "caption" in values else ("question_id", values.get("answer"))
    if "answers" in values:
        answers = values["answers"] if isinstance(values["answers"], list) else []
        texts = [answer.get("answer") if isinstance(answer, dict) else answer for answer in answers]
    name, found = values.get(key), texts if isinstance(texts, list) else [texts]
    name = int(name) if isinstance(name, float) and name.is_integer() else name
    found = [str(text) if type(text) is int and key == "question_id" else text for text in found]
    whole = isinstance(name, int | str) and not isinstance(name, bool)
    if not whole or not found or not all(isinstance(text, str) for text in found):
        wanted = "`image_id` and `caption`, or `question_id` and `answer` or `answers`"
        raise InputError(f"{place}: must have {wanted}, got {shown(entry)}")
    keys = {other: values[other] for other in values if other not in (key, "id", "caption", "answer", "answers")}
    return [JsonItem(place, str(name), str(text), keys) for text in found]
