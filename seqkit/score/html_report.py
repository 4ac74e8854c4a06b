"""The report as one self-contained HTML page, in light or dark mode as the reader's system is."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from seqkit.score.calibration import reliability_plot
from seqkit.score.error_rate import Pair, errors
from seqkit.score.gallery import STYLE as GALLERY
from seqkit.score.report_plots import interval_bar, is_error, scale
from seqkit.score.worst import AlignedItem

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fbfbfa; --line: #dcdfe4; --faint: #667085; --bar: #4c7dc4;
  --lost: #b42318; --lostbg: #fde8e6; --new: #116b3c; --newbg: #dff5e8 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ec; --paper: #14171c; --line: #323842; --faint: #98a2b3;
  --bar: #6f9fe0; --lost: #ff9c92; --lostbg: #47211e; --new: #7fe0a7; --newbg: #16382a } }
body { margin: 2.5rem auto; max-width: 62rem; padding: 0 1.2rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem }
p { color: var(--faint); margin: .3rem 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600; color: var(--faint) }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
small, code { color: var(--faint); font-size: .8rem; overflow-wrap: anywhere }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.2rem }
.curves svg { width: 100% } .curves figcaption { color: var(--faint); font-size: .8rem }
.plots { display: flex; flex-wrap: wrap; gap: 1.2rem } .plots figure { flex: 1 1 20rem; max-width: 29rem }
.plots img { background: white }
.text { overflow-wrap: anywhere; white-space: pre-wrap }
del { color: var(--lost); background: var(--lostbg) }
ins { color: var(--new); background: var(--newbg); text-decoration: none }
del, ins { border-radius: 3px; padding: 0 .15em }
"""


def render(report: Mapping[str, Any], examples: str, curve: str = "") -> str:
    """Renders the whole page; `report` is what `report.json` holds, `examples` the HTML of single items, `curve` that
    of the learning curve."""
    run = report.get("run")
    title = escape(": ".join([*([run] if run else []), f"{report['recipe']}, {report['split']}"]))
    parts = [f"<h1>{title}</h1>", f"<p>{report['items']} items, decoded on {escape(report['device'])}</p>"]
    parts += ["<h2>Scores</h2>", scores_table(report["metrics"])]
    parts += [f"<p>Remark: {escape(text)}</p>" for text in report["remarks"]]
    for name, groups in report["by"].items():
        parts += [f"<h2>By {escape(name)}</h2>", breakdown_table(name, groups)]
    if report["calibration"]:
        parts += ["<h2>Calibration</h2>", reliability_plot(report["calibration"])]
    parts += [curve] if curve else []
    parts += ["<h2>Decoding</h2>", _facts(report["decode"])]
    parts.append(examples)
    origin = {key: report[key] for key in ("data_sha256", "commit", "command")} | report["versions"]
    parts += ["<h2>Origin</h2>", _facts(origin)]
    return whole_page(title, parts)


def whole_page(title: str, parts: Sequence[str]) -> str:
    """Puts head and style around the parts; `title` is escaped already."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    start = f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}{GALLERY}</style></head>\n<body>'
    return "\n".join([start, *parts, "</body></html>\n"])


def scores_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Renders a row per metric: value, interval and a bar. Metrics are as in `report.json`."""
    most = scale(list(metrics.values()))
    rows = [
        f"<tr><td>{escape(name)}{_direction(name)}<br><small>{escape(metric['signature'])}</small></td>"
        f'<td class="number">{metric["value"]:.2f}</td>'
        f'<td class="number">{metric["low"]:.2f} to {metric["high"]:.2f}</td>'
        f"<td>{interval_bar(metric, name, most)}</td></tr>"
        for name, metric in metrics.items()
    ]
    heading = (
        '<th>metric</th><th class="number">value</th><th class="number">95 % interval</th>'
        f"<th>0 to {most:.0f}, with interval</th>"
    )
    return html_table(heading, rows)


def breakdown_table(name: str, groups: Mapping[str, Mapping[str, Any]]) -> str:
    """Renders a row per group and a column per metric, the first one's with a bar; groups are as in `by` of
    `report.json`."""
    metrics = list(next(iter(groups.values()), {}))
    most = scale([found[metrics[0]] for found in groups.values()]) if metrics else 100.0
    heading = "".join(f'<th class="number">{escape(metric)}</th>' for metric in ("items", *metrics))
    rows = []
    for group, found in groups.items():
        items = found[metrics[0]]["counts"]["items"]
        cells = "".join(
            f'<td class="number">{found[metric]["value"]:.2f}<br>'
            f"<small>{found[metric]['low']:.2f} to {found[metric]['high']:.2f}</small></td>"
            for metric in metrics
        )
        bar = f"<td>{interval_bar(found[metrics[0]], metrics[0], most)}</td>"
        rows.append(f'<tr><td>{escape(group)}</td><td class="number">{items}</td>{cells}{bar}</tr>')
    first = f"<th>{escape(metrics[0])}, 0 to {most:.0f}</th>" if metrics else ""
    return html_table(f"<th>{escape(name)}</th>{heading}{first}", rows)


def _direction(metric: str) -> str:
    """A note beside an error rate."""
    return " <small>errors: lower is better</small>" if is_error(metric) else ""


def worst_table(worst: Sequence[AlignedItem], metric: str) -> str:
    """Renders the worst items, aligned with their references; without edits where the texts are the references'."""
    edits = [errors(item.pairs) for item in worst]
    rows = [
        f'<tr><td><code>{escape(item.id)}</code></td><td class="number">{item.value:.2f}</td>'
        + (f'<td class="number">{number}</td>' if any(edits) else "")
        + f'<td class="text" dir="auto">{_marked(item)}</td></tr>'
        for item, number in zip(worst, edits, strict=True)
    ]
    legend, columns = "", "<th>text</th>"
    if any(edits):
        legend = "<p><del>only in the reference</del> <ins>only in the hypothesis</ins></p>"
        columns = '<th class="number">edits</th><th>reference and hypothesis</th>'
    heading = f'<th>id</th><th class="number">value</th>{columns}'
    return f"<h2>The {len(worst)} worst items by {escape(metric)}</h2>\n{legend}{html_table(heading, rows)}"


def _marked(item: AlignedItem) -> str:
    """Renders the closest reference with deleted words struck and inserted words beside them."""
    space = " " if item.unit == "word" else ""
    return space.join(_runs(item.pairs, space))


def _runs(pairs: Sequence[Pair], space: str) -> Iterator[str]:
    for equal, run in groupby(pairs, lambda pair: pair[0] == pair[1]):
        reference, hypothesis = (space.join(t for t in tokens if t is not None) for tokens in zip(*run, strict=True))
        if equal:
            yield escape(reference)
            continue
        if reference:
            yield f"<del>{escape(reference)}</del>"
        if hypothesis:
            yield f"<ins>{escape(hypothesis)}</ins>"


def _facts(facts: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><td>{escape(key.replace('_', ' '))}</td><td><code>{escape(format_fact(value))}</code></td></tr>"
        for key, value in facts.items()
    ]
    return html_table("", rows)


def format_fact(value: Any) -> str:
    """Formats a fact for people."""
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def html_table(heading: str, rows: Sequence[str]) -> str:
    """Renders a table of rows of HTML."""
    head = f"<thead><tr>{heading}</tr></thead>" if heading else ""
    return f'<div class="wide"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>'
