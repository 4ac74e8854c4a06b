"""Writes hypotheses as other scorers read them: sclite's `.trn`, and the results JSON of COCO captions and of VQA.

What is written is read back by `seqkit score` with the same ids and words.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqkit.data.files import atomic_write
from seqkit.errors import InputError
from seqkit.score.file_formats import ALTERNATIVES, ending

COCO_IMAGE = re.compile(r"(COCO_\w+_)?(?P<number>\d{12})")  # the id of an image of COCO, by its file's name


def write_results(path: Path, ids: Sequence[str], hypotheses: Sequence[str], form: str | None = None) -> None:
    """Writes one file. `form` is `trn`, `coco` or `vqa`; a file named .trn says it itself.

    Raises InputError for a name that does not say the form, and for ids or texts that the form cannot hold; ValueError
    where the numbers of ids and hypotheses differ.
    """
    form = form or ("trn" if ending(path) == ".trn" else None)
    if form not in WRITERS:
        known = ", ".join(WRITERS)
        raise InputError(f"`--write_as` must be one of {known} for {path}, got {form or 'nothing'}")
    text = WRITERS[form](ids, [" ".join(text.split("\n")) for text in hypotheses])
    with atomic_write(path) as file:
        file.write(text.encode())


def coco_result(name: str, text: str) -> Mapping[str, Any]:
    """An entry of COCO's captioning results."""
    match = COCO_IMAGE.fullmatch(name)
    return {"image_id": int(match["number"]) if match else _number(name), "caption": text}


def vqa_result(name: str, text: str) -> Mapping[str, Any]:
    """An entry of the VQA challenge's results."""
    return {"question_id": _number(name), "answer": text}


def _number(name: str) -> int | str:
    return int(name) if re.fullmatch(r"[1-9]\d{0,17}|0", name) else name


def _trn(ids: Sequence[str], hypotheses: Sequence[str]) -> str:
    lines = []
    for name, text in zip(ids, hypotheses, strict=True):
        if re.search(r"[\s()]", name) or not name:
            raise InputError(f"an id must have no white space or parentheses in a .trn file, got {name!r}")
        if ALTERNATIVES.search(text) or text.startswith(";;"):
            raise InputError(f"a text must not look like alternatives or a comment in a .trn file, got {text[:60]!r}")
        lines.append(f"{text} ({name})\n")
    return "".join(lines)


def _coco(ids: Sequence[str], hypotheses: Sequence[str]) -> str:
    return _results([coco_result(*item) for item in zip(ids, hypotheses, strict=True)], "image_id")


def _vqa(ids: Sequence[str], hypotheses: Sequence[str]) -> str:
    return _results([vqa_result(*item) for item in zip(ids, hypotheses, strict=True)], "question_id")


def _results(entries: Sequence[Mapping[str, Any]], key: str) -> str:
    """Raises InputError for an id that is no number, and for two that are the same number."""
    numbers = set()
    for entry in entries:
        if not isinstance(entry[key], int) or entry[key] in numbers:
            raise InputError(f"`{key}` must be a whole number, one an item, got {entry[key]!r}")
        numbers.add(entry[key])
    return json.dumps(entries, ensure_ascii=False) + "\n"


WRITERS: dict[str, Callable[[Sequence[str], Sequence[str]], str]] = {"trn": _trn, "coco": _coco, "vqa": _vqa}
