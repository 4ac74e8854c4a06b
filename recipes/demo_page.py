"""The page of pictures that `seqkit demo` ends with: one self-contained HTML file."""

import base64
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item
from seqkit.score.html_report import STYLE
from seqkit.tasks import TASKS

ABOUT = {
    "translation": "English into a language made by rule; a row for each word written, darker where it attends more.",
    "captioning": "Drawn scenes; for each word of the caption, clear where it looks.",
    "vqa": "Questions about drawn scenes; clear where the model looks.",
    "grounding": "The box that a phrase is about.",
    "lipnet": "Drawn lips without sound: the probability of each character over time, and the pixels that speak for "
    "each word.",
    "wlas": "The same lips with their sound; for each character, when the model watches and when it listens.",
    "language_model": "The same English, symbol by symbol.",
}
MORE = """
figure { margin: 0 0 1.4rem } figure img { max-width: 100%; background: white; border-radius: 4px }
figcaption { color: var(--faint) } .figures { display: flex; flex-wrap: wrap; gap: 1.2rem }
.figures figure { flex: 1 1 17rem; max-width: 30rem }
"""


class Shown(NamedTuple):
    """What the demonstration found of one task."""

    task: str
    metric: str
    score: tuple[float, float, float]  # value, and the ends of its interval
    chance: float
    lower_is_better: bool
    seconds: float
    run: Path
    items: Sequence[Item]  # those that were put to `predict`
    plots: Path

    @property
    def beats_chance(self) -> bool:
        """Whether the whole interval is better than chance."""
        _, low, high = self.score
        return high < self.chance if self.lower_is_better else low > self.chance

    def row(self) -> list[str]:
        """Task, metric, value, interval and chance, as they are shown."""
        value, low, high = self.score
        return [self.task, self.metric, f"{value:.1f}", f"{low:.1f} to {high:.1f}", f"{self.chance:.1f}"]


def write_page(path: Path, shown: Sequence[Shown]) -> Path:
    """Writes the page; pictures are part of it."""
    heading = "".join(f"<th>{name}</th>" for name in ("task", "metric", "test", "95 % interval", "chance", "seconds"))
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in (*own.row(), f"{own.seconds:.0f}")) + "</tr>"
        for own in shown
    )
    parts = [
        "<h1>seqkit demo</h1>",
        "<p>Tiny models of every task, trained on corpora made by rule. Chance is what is scored without looking at "
        "the input. For wer and perplexity less is better.</p>",
        f'<div class="wide"><table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table></div>',
        *(_section(own, path.parent) for own in shown),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>seqkit demo</title>'
    text = f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}{MORE}</style></head>\n<body>'
    with atomic_write(path) as file:
        file.write("\n".join([text, *parts, "</body></html>\n"]).encode())
    return path


def _section(own: Shown, folder: Path) -> str:
    """One task: what it is, and each item with what was predicted of it."""
    said = predictions(own.run)
    figures = []
    for number, item in enumerate(own.items, 1):
        pictures = sorted(own.plots.glob(f"{number:04}*.png"))
        images = "".join(f'<img alt="" src="{data_url(picture)}">' for picture in pictures)
        asked = "" if item.question is None and item.source is None else f"{item.question or item.source} "
        words = f"<br>right: {escape(item.references[0])}<br>model: {escape(said.get(item.id, ''))}"
        if item.id not in said:  # of a language model
            asked, words = item.references[0], ""
        if item.boxes:
            words = ""
        figures.append(f"<figure>{images}<figcaption>{escape(asked)}{words}</figcaption></figure>")
    report = (own.run / "evaluate" / "test" / "report.html").relative_to(folder).as_posix()
    return (
        f"<h2>{escape(own.task)}: {escape(TASKS[own.task].about)}</h2>\n<p>{ABOUT[own.task]} "
        f'<a href="{escape(report)}">Report</a></p>\n<div class="figures">{"".join(figures)}</div>'
    )


def predictions(run: Path) -> dict[str, str]:
    """The prediction of every test item by its id."""
    lines = (run / "evaluate" / "test" / "hypotheses.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: row["hypothesis"] for row in map(json.loads, lines)}


def data_url(picture: Path) -> str:
    """A PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
