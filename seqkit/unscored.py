"""Splits without references, such as published test sets: answered, and written as an evaluation server takes them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seqkit.data.files import atomic_write
from seqkit.data.manifest import read_manifest
from seqkit.score.report import ScoredItem, write_hypotheses

Entry = Callable[[str, str], Any]  # an item's id and its prediction's text, to an entry of the results


def is_unanswered(data: Path, split: str) -> bool:
    """Whether `split` is a manifest of which no item has a reference. Raises InputError for one that is faulty."""
    path = data / f"{split}.jsonl"
    return path.is_file() and not any(item.references for item in read_manifest(path))


def line_result(name: str, text: str) -> str:
    """A line of a text file, as WMT takes translations."""
    return " ".join(text.split())


def write_answers(folder: Path, items: Sequence[ScoredItem], entry: Entry | None) -> str:
    """Writes `hypotheses.jsonl`, and where there are entries `results.json`, or `results.txt` where they are lines.

    A report of earlier references goes. Returns what to print.
    """
    for name in ("report.json", "report.html"):
        (folder / name).unlink(missing_ok=True)
    write_hypotheses(folder / "hypotheses.jsonl", items)
    told = [f"{len(items):,} items without references: there is nothing to score", str(folder / "hypotheses.jsonl")]
    entries = [entry(item.id, item.hypothesis) for item in items] if entry else []
    if entries:
        lines = isinstance(entries[0], str)
        path = folder / ("results.txt" if lines else "results.json")
        text = "".join(f"{line}\n" for line in entries) if lines else json.dumps(entries, ensure_ascii=False) + "\n"
        with atomic_write(path) as file:
            file.write(text.encode())
        told.append(f"{path}, as the evaluation server takes it")
    return "\n".join(told)
