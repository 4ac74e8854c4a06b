"""Evaluation report: `report.json` for programs, `report.html` for people, `hypotheses.jsonl` for both.

Values are on a 0 to 100 scale; times are in seconds. N items.
"""

import hashlib
import json
import math
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqkit import __version__
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item
from seqkit.data.text import printable
from seqkit.score.attention import EACH, Drawn, attention_section
from seqkit.score.boxes import BOX_METRICS
from seqkit.score.calibration import expected_error, format_calibration, right_words
from seqkit.score.evaluate import (
    Statistics,
    item_values,
    long_enough,
    scores_by_group,
    scores_with_intervals,
    statistics,
    worst_first,
)
from seqkit.score.gallery import GalleryItem, choose, gallery
from seqkit.score.html_report import format_fact, render, worst_table
from seqkit.score.language import options_for
from seqkit.score.metric import AS_IT_IS, Score, TextOptions
from seqkit.score.prediction import Prediction, Word
from seqkit.score.remarks import remarks
from seqkit.score.report_plots import learning_curve
from seqkit.score.terminal import columns, grouped
from seqkit.score.worst import worst_items

WORST = 100  # items shown on the page
REPEATS = 3  # times in a row that make repeated words a loop
PACKAGES = ("torch", "numpy", "jiwer", "sacrebleu")


class ScoredItem(NamedTuple):
    """One item with its prediction."""

    id: str
    references: Sequence[str]
    hypothesis: str
    logprob: float | None = None  # natural log, of the model alone
    score: float | None = None  # what the search ranked by
    cut: bool = False  # ended by the maximum length and not by the model
    image: Path | None = None  # where all items have one, the page shows images in place of alignments
    prompt: str | None = None  # the question or phrase
    words: Sequence[Word] = ()  # with probabilities
    probability: float | None = None  # of an answer that is one choice
    draw: Callable[[Path], None] | None = None  # draws what the model attended to


class Provenance(NamedTuple):
    """The origin of the hypotheses."""

    recipe: str
    split: str
    manifest: Path | None  # its bytes are `data_sha256`
    device: str
    decode: Mapping[str, Any]  # as it was searched: "beam", and "seconds" that decoding took
    run: Path | None = None  # its folder, which names it and has the log of its training


def write_report(
    folder: Path,
    items: Sequence[ScoredItem],
    metrics: Sequence[str] | Mapping[str, Statistics],
    about: Provenance,
    *,
    by: Mapping[str, Sequence[str | None]] | None = None,
    conditions: Mapping[str, Mapping[str, Sequence[ScoredItem]]] | None = None,
    options: TextOptions = AS_IT_IS,
) -> dict[str, Any]:
    """Scores the items, writes the three files to `folder`, and returns what `report.json` holds.

    `metrics` are names, or the items' statistics by name where it is not their texts that are compared.
    `by` breaks the items down: under a breakdown's name, the group of every item (None: of no group).
    `conditions` does it with other hypotheses than `items`, such as those from noisy input: under a breakdown's
    name, every group's own items.
    Raises InputError for an unknown metric; ValueError for no items and for a breakdown of another number of items.
    """
    texts = [item.references for item in items], [item.hypothesis for item in items]
    options = options_for(texts[0], options)
    tallies = metrics if isinstance(metrics, Mapping) else statistics(metrics, *texts, options)
    names = list(tallies)
    breakdowns = {name: _split(tallies, groups, name) for name, groups in (by or {}).items()}
    for name, groups in (conditions or {}).items():
        others = long_enough({group: _tallied(other, names, options) for group, other in groups.items()})
        scores = {group: scores_with_intervals(tallied) for group, tallied in others.items()}
        breakdowns[name] = breakdowns.get(name, {}) | scores
    report = {
        "recipe": about.recipe,
        "run": about.run.name if about.run else None,
        "split": about.split,
        "items": len(items),
        "metrics": _plain(scores_with_intervals(tallies)),
        "remarks": [] if isinstance(metrics, Mapping) else remarks(tallies, *texts, options),
        "by": {name: {group: _plain(found) for group, found in groups.items()} for name, groups in breakdowns.items()},
        "decode": _decode_facts(items, about.decode),
        "calibration": _calibration(items, tallies[names[0]], options),
        "data_sha256": hashlib.sha256(about.manifest.read_bytes()).hexdigest() if about.manifest else None,
        "commit": commit(Path(sys.argv[0])) or commit(Path(__file__)),
        "device": about.device,
        "versions": versions(),
        "command": shlex.join(["python", *sys.argv]),
    }
    first = tallies[names[0]]
    if all(item.image for item in items):
        examples = _gallery(items, first, names[0])
    else:
        worst = worst_items([item.id for item in items], *texts, (names[0], first), options, WORST)
        examples = worst_table(worst, names[0])
    examples = "\n".join(part for part in (_attention(items, first, names[0]), examples) if part)
    page = render(report, examples, learning_curve(about.run / "log.jsonl") if about.run else "")
    write_hypotheses(folder / "hypotheses.jsonl", items)
    for name, text in (
        ("report.html", page),
        ("report.json", json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False) + "\n"),
    ):
        with atomic_write(folder / name) as file:
            file.write(text.encode())
    return report


def scored_items(
    items: Sequence[Item],
    predictions: Sequence[Prediction],
    *,
    draw: Callable[[Item, Prediction, Path], None] | None = None,
) -> list[ScoredItem]:
    """Items as the report takes them, each with what was predicted of it, and what draws its attention."""
    return [
        ScoredItem(
            item.id,
            item.references,
            found.text,
            found.logprob,
            found.score,
            found.cut,
            item.image,
            item.question or (item.source if item.image else None),
            found.words,
            found.probability,
            partial(draw, item, found) if draw else None,
        )
        for item, found in zip(items, predictions, strict=True)
    ]


def write_hypotheses(path: Path, items: Sequence[ScoredItem]) -> None:
    """Writes one JSON object per line, as `seqkit score` reads it."""
    with atomic_write(path) as file:
        file.write("".join(f"{_json_line(item)}\n" for item in items).encode())


def format_table(report: Mapping[str, Any]) -> str:
    """Formats the report for a terminal."""
    metrics, decode = _scores(report["metrics"]), report["decode"]
    rows = [["metric", "value", "low", "high"]]
    rows += [[name, *(f"{number:.2f}" for number in score[:3])] for name, score in metrics.items()]
    parts = [f"{report['recipe']}, {report['split']}: {report['items']} items", columns(rows)]
    for name, groups in report["by"].items():
        parts += [grouped({group: _scores(found) for group, found in groups.items()}, name)] if groups else []
    parts.append("\n".join(score.signature for score in metrics.values()))
    parts += ["\n".join(f"remark: {printable(text)}" for text in report["remarks"])] if report["remarks"] else []
    parts += [format_calibration(report["calibration"])] if report["calibration"] else []
    facts = "  ".join(f"{key} {format_fact(value)}" for key, value in decode.items())
    return "\n\n".join([*parts, facts])


def has_loop(words: Sequence[str], repeats: int = REPEATS) -> bool:
    """Tells whether any run of words, of whatever length, stands `repeats` times in a row."""
    for length in range(1, len(words) // repeats + 1):
        agreeing = 0  # words in a row that equal the word `length` before them
        for earlier, later in zip(words, words[length:], strict=False):
            agreeing = agreeing + 1 if earlier == later else 0
            if agreeing == (repeats - 1) * length:
                return True
    return False


def commit(file: Path) -> str | None:
    """Returns the checked-out commit where `file` is under version control; None where it is not."""
    git = ["git", "-C", str(file.parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", file.name], capture_output=True, check=True)
        found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def versions() -> dict[str, str]:
    """Returns the versions of everything that can change a score."""
    return {"seqkit": __version__, "python": platform.python_version()} | {p: metadata.version(p) for p in PACKAGES}


def _tallied(items: Sequence[ScoredItem], metrics: Sequence[str], options: TextOptions) -> dict[str, Statistics]:
    return statistics(metrics, [item.references for item in items], [item.hypothesis for item in items], options)


def _split(tallies: Mapping[str, Statistics], groups: Sequence[str | None], name: str) -> dict[str, dict[str, Score]]:
    items = len(next(iter(tallies.values())).statistics_NK)
    if len(groups) != items:
        raise ValueError(f"`by[{name!r}]` must hold the group of each of {items} items, got {len(groups)}")
    return scores_by_group(tallies, groups)


def _decode_facts(items: Sequence[ScoredItem], decode: Mapping[str, Any]) -> dict[str, Any]:
    facts = dict(decode)
    if decode.get("seconds"):
        facts["items_per_second"] = len(items) / decode["seconds"]
    if "beam" in decode:  # texts of any length, searched for
        facts["cut_at_maximum_length"] = sum(item.cut for item in items)
        facts["repetition_loops"] = sum(has_loop(item.hypothesis.split()) for item in items)
    return facts


def _calibration(items: Sequence[ScoredItem], tallied: Statistics, options: TextOptions) -> dict[str, Any] | None:
    """Of answers that are one choice, or of words; None where neither has a probability."""
    whole = np.array([np.nan if item.probability is None else item.probability for item in items])
    if not np.isnan(whole).any():
        return expected_error(whole, item_values(tallied) / 100, of="answers")
    pairs = [
        (word.probability, right)
        for item in items
        for word, right in zip(item.words, right_words(item.words, item.references, options), strict=True)
        if item.words and word.probability is not None
    ]
    if not pairs:
        return None
    probability_N, right_N = np.array(pairs, np.float64).T
    return expected_error(probability_N, right_N, of="words")


def _gallery(items: Sequence[ScoredItem], tallied: Statistics, name: str) -> str:
    order_N = worst_first(tallied, [item.references for item in items], [item.hypothesis for item in items])
    value_N = item_values(tallied)
    shown = [
        GalleryItem(
            item.id, float(value), item.image, item.hypothesis, item.references, item.prompt, name in BOX_METRICS
        )
        for item, value in zip(items, value_N, strict=True)
        if item.image
    ]
    return gallery({kind: [shown[n] for n in places] for kind, places in choose(order_N).items()}, name)


def _attention(items: Sequence[ScoredItem], tallied: Statistics, name: str) -> str:
    """The attention of the best, median and worst of the items that can be drawn."""
    if not any(item.draw for item in items):
        return ""
    order_N = worst_first(tallied, [item.references for item in items], [item.hypothesis for item in items])
    value_N = item_values(tallied)
    kinds = {
        kind: [
            Drawn(f"{items[n].id}: {items[n].hypothesis} ({value_N[n]:.1f})", draw)
            for n in places
            if (draw := items[n].draw)
        ]
        for kind, places in choose(order_N, EACH).items()
    }
    return attention_section(kinds, name)


def _json_line(item: ScoredItem) -> str:
    logprob, score = (None if x is None or not math.isfinite(x) else float(x) for x in (item.logprob, item.score))
    known = {"id": item.id, "references": list(item.references), "hypothesis": item.hypothesis}
    return json.dumps(known | {"logprob": logprob, "score": score}, ensure_ascii=False)


def _plain(found: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    return {name: score._asdict() for name, score in found.items()}


def _scores(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Score]:
    return {name: Score(**metric) for name, metric in metrics.items()}
