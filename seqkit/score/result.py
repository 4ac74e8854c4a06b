"""What `seqkit score` finds, as JSON, as tables for a terminal, and as one HTML page."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from seqkit.data.text import printable
from seqkit.score.confidence import LEVEL, Difference
from seqkit.score.confusion import Confusions
from seqkit.score.error_rate import errors
from seqkit.score.html_report import breakdown_table, html_table, scores_table, whole_page, worst_table
from seqkit.score.metric import Score
from seqkit.score.terminal import columns, figure, side_by_side, signed
from seqkit.score.worst import AlignedItem

EDITS = ("substitutions", "deletions", "insertions", "hits", "reference_length")
ERROR_RATES = ("wer", "cer")


class SystemResult(NamedTuple):
    """What one file of hypotheses came to."""

    file: str
    scores: Mapping[str, Score]
    by: Mapping[str, Mapping[str, Mapping[str, Score]]] = {}  # of every key and group
    confusions: Confusions | None = None
    worst: Sequence[AlignedItem] = ()
    differences: Mapping[str, Difference] = {}  # from the first system; empty for the first itself


class Result(NamedTuple):
    """What `seqkit score` found."""

    items: int
    matched: str  # how
    systems: Sequence[SystemResult]
    remarks: Sequence[str] = ()
    group: tuple[str, int] | None = None  # the key whose groups were resampled, and their number

    @property
    def pairs(self) -> Sequence[SystemResult]:
        """The systems that were tested against the first."""
        return self.systems[1:]


def as_json(result: Result) -> dict[str, Any]:
    """Makes the object that `seqkit score --json` prints."""
    found: dict[str, Any] = {
        "systems": [_system(system) for system in result.systems],
        "pairs": [
            {
                "baseline": result.systems[0].file,
                "file": system.file,
                "metrics": {name: _difference(difference) for name, difference in system.differences.items()},
            }
            for system in result.pairs
        ],
    }
    return found | ({"group": {"key": result.group[0], "groups": result.group[1]}} if result.group else {})


def _system(system: SystemResult) -> dict[str, Any]:
    found: dict[str, Any] = {"file": system.file, "metrics": _plain(system.scores)}
    if system.by:
        found["by"] = {
            key: {group: _plain(scores) for group, scores in groups.items()} for key, groups in system.by.items()
        }
    if system.confusions:
        keys = {
            "substitutions": ("reference", "hypothesis", "count"),
            "deletions": ("reference", "count"),
            "insertions": ("hypothesis", "count"),
        }
        found["confusions"] = {
            kind: [dict(zip(keys[kind], row, strict=True)) for row in rows]
            for kind, rows in system.confusions._asdict().items()
        }
    return found


def _plain(scores: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    return {name: score._asdict() for name, score in scores.items()}


def _difference(found: Difference) -> dict[str, float | None]:
    own = found._asdict()
    return {"difference": own.pop("value"), **own}


def as_text(result: Result) -> str:
    """Formats every table, and below them signatures and remarks."""
    first = result.systems[0]
    unit = f" of {result.group[1]} groups of one `{result.group[0]}`" if result.group else ""
    parts = [f"{result.items} items, matched {result.matched}; in brackets {LEVEL:g} % intervals{unit}"]
    parts += [_scores(result), *_edits(result.systems)]
    parts += [_breakdown(system, key, result) for key in first.by for system in result.systems]
    parts += [_confusions(system, system.confusions) for system in result.systems if system.confusions]
    parts.append("\n".join(score.signature for score in first.scores.values()))
    return "\n\n".join(parts) + "".join(f"\nremark: {printable(text)}" for text in result.remarks)


def _scores(result: Result) -> str:
    """Formats a row per metric and system, with its difference from the first system."""
    several = len(result.pairs) > 1
    rows = [["metric", "system", "value", *(["difference"] if result.pairs else []), *(["p_holm"] if several else [])]]
    for name in result.systems[0].scores:
        for system in result.systems:
            row, found = [name, system.file, figure(system.scores[name])], system.differences.get(name)
            row += [signed(found) if found else ""] if result.pairs else []
            row += [f"{found.p_holm:.3f}" if found and found.p_holm is not None else ""] if several else []
            rows.append(row)
    return columns(rows, left=2)


def _edits(systems: Sequence[SystemResult]) -> list[str]:
    rows = [
        [name, system.file, *(str(system.scores[name].counts[key]) for key in EDITS)]
        for name in systems[0].scores
        for system in systems
        if name in ERROR_RATES
    ]
    return [columns([["edits", "system", *(key.replace("_", " ") for key in EDITS)], *rows], left=2)] if rows else []


def _breakdown(system: SystemResult, key: str, result: Result) -> str:
    groups, names = system.by[key], list(system.scores)
    rows = [[f"by {key}", "items", *names]]
    for group, found in groups.items():
        rows.append([group, str(found[names[0]].counts["items"]), *(figure(found[name]) for name in names)])
    return _titled(system, result.systems, columns(rows))


def _titled(system: SystemResult, systems: Sequence[SystemResult], table: str) -> str:
    return f"{printable(system.file)}\n{table}" if len(systems) > 1 else table


def _confusions(system: SystemResult, found: Confusions) -> str:
    """Formats the three kinds side by side."""
    rows = [[f"confusions of {system.file}", "", "deleted", "", "inserted", ""]]
    for place in range(max(len(kind) for kind in found)):
        row: list[str] = []
        for kind in found:
            own = kind[place] if place < len(kind) else ()
            row += [" > ".join(map(str, own[:-1])), f"{own[-1]}"] if own else ["", ""]
        rows.append(row)
    return columns(rows, left=1) if len(rows) > 1 else f"{rows[0][0]}: none"


def as_details(system: SystemResult, metric: str, width: int) -> str:
    """Formats the worst items, aligned, in at most `width` columns (0: any number)."""
    shown = [
        f"{printable(item.id)}  {metric} {item.value:.2f}  {errors(item.pairs)} edits\n"
        f"{side_by_side(item.pairs, width)}"
        for item in system.worst
    ]
    return "\n\n".join([f"worst of {printable(system.file)} by {metric}", *shown])


def as_page(result: Result) -> str:
    """Renders all of it as one self-contained page, the worst items with their alignments."""
    metric = next(iter(result.systems[0].scores))
    unit = f", resampled by {result.group[0]} ({result.group[1]} groups)" if result.group else ""
    parts = ["<h1>seqkit score</h1>", f"<p>{result.items} items, matched {result.matched}{escape(unit)}</p>"]
    parts += [f"<p>Remark: {escape(text)}</p>" for text in result.remarks]
    if result.pairs:
        parts += ["<h2>Differences from the first</h2>", _differences(result.pairs)]
    for system in result.systems:
        parts += [f"<h1>{escape(system.file)}</h1>", scores_table(_plain(system.scores))]
        for key, groups in system.by.items():
            plain = {group: _plain(scores) for group, scores in groups.items()}
            parts += [f"<h2>By {escape(key)}</h2>", breakdown_table(key, plain)]
        if system.confusions:
            parts += ["<h2>Confusions</h2>", _confusion_table(system.confusions)]
        parts.append(worst_table(system.worst, metric))
    return whole_page("seqkit score", parts)


def _differences(pairs: Sequence[SystemResult]) -> str:
    rows = [
        f'<tr><td>{escape(name)}</td><td>{escape(system.file)}</td><td class="number">{found.value:+.2f}</td>'
        f'<td class="number">{found.low:+.2f} to {found.high:+.2f}</td><td class="number">{found.p_value:.3f}</td>'
        f'<td class="number">{found.p_value if found.p_holm is None else found.p_holm:.3f}</td></tr>'
        for system in pairs
        for name, found in system.differences.items()
    ]
    numbers = ("difference", "95 % interval", "p", "p Holm")
    heading = "".join(f'<th class="number">{name}</th>' for name in numbers)
    return html_table(f"<th>metric</th><th>system</th>{heading}", rows)


def _confusion_table(found: Confusions) -> str:
    cells = '<td class="number">{count}</td><td><del>{old}</del> <ins>{new}</ins></td>'
    triples = [*found.substitutions, *((old, "", n) for old, n in found.deletions)]
    triples += [("", new, n) for new, n in found.insertions]
    ordered = sorted(triples, key=lambda triple: -triple[2])
    rows = [f"<tr>{cells.format(count=n, old=escape(old), new=escape(new))}</tr>" for old, new, n in ordered]
    return html_table('<th class="number">times</th><th>reference and hypothesis</th>', rows)
