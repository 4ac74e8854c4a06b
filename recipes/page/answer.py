"""What a run answers to one input of the page: text, n-best list, words, attention and timing, as HTML and files."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.errors import InputError
from seqkit.recipe import TrainedRun
from seqkit.recipes.common.input_remarks import heard_remarks
from seqkit.score.prediction import Prediction

NBEST = 5
Progress = Callable[..., object]  # (share, desc=text)


class Answer(NamedTuple):
    """What the page shows of one answer."""

    text: str = ""
    details: str = ""  # HTML
    plots: tuple[Path, ...] = ()
    video: Path | None = None  # with the words as they are said
    problem: str = ""  # a sentence, where there is no answer


def answers(run: TrainedRun, given: Any, folder: Path, progress: Progress) -> Iterator[Answer]:
    """The answer as soon as it is there, and again with its attention drawn to `folder`.

    Raises InputError for what is unusable.
    """
    progress(0.1, desc="reading the input and searching")
    began = time.monotonic()
    scored = run.recipe.name == "language_model"  # which judges its input, and attends to nothing
    with heard_remarks() as remarks:
        found = run.predict([given], nbest=1 if scored else NBEST)[0]
    searched = time.monotonic() - began
    best = found[0]
    text = best.text
    if scored:
        text = f"perplexity {math.exp(-best.score):.2f}, log-probability {best.logprob:.2f} nats"
    tables = about_input(remarks) + ("" if scored else nbest_table(found)) + words_table(best)
    yield Answer(text, tables + timing(run, searched))
    if scored:
        return
    progress(0.6, desc="drawing the attention")
    note = ""
    try:
        with heard_remarks() as more:
            run.predictor.plot(given, found, folder / "answer.png")
        note = about_input([text for text in more if text not in remarks])
    except InputError as error:  # a model without attention
        note = f"<p>{escape(str(error))}</p>"
    drawn = time.monotonic() - began - searched
    video = folder / "answer.mp4"
    plots = tuple(sorted(folder.glob("*.png")))
    yield Answer(text, tables + note + timing(run, searched, drawn), plots, video if video.is_file() else None)


def about_input(remarks: Sequence[str]) -> str:
    """What is odd about the input, a line each."""
    return "".join(f"<p class='remark'>{escape(text[:1].upper() + text[1:])}.</p>" for text in remarks)


def nbest_table(found: Sequence[Prediction]) -> str:
    """The predictions, best first, with what is known of how likely each is."""
    ranked = any(one.probability is None and not math.isclose(one.score, one.logprob, abs_tol=0.005) for one in found)
    heading = ["", "answer", "probability", "log-probability, nats", *(["score of the search"] if ranked else [])]
    rows = []
    for number, one in enumerate(found, 1):
        probability = math.exp(min(0.0, one.logprob)) if one.probability is None else one.probability
        figures = [_share(probability), f"{one.logprob:.2f}", *([f"{one.score:.2f}"] if ranked else [])]
        rows.append([str(number), one.text or "nothing", *figures])
    return table("Best answers", heading, rows)


def words_table(best: Prediction) -> str:
    """The words of the best prediction with their times and probabilities, where they are known."""
    timed = any(word.start is not None for word in best.words)
    sure = any(word.probability is not None for word in best.words)
    if not timed and not sure:
        return ""
    heading = ["word", *(["from, s", "to, s"] if timed else []), *(["probability"] if sure else [])]
    rows = []
    for word in best.words:
        times = [_figure(word.start, 2), _figure(word.end, 2)] if timed else []
        rows.append([word.text, *times, *([_share(word.probability)] if sure else [])])
    return table("Words", heading, rows)


def timing(run: TrainedRun, searched: float, drawn: float | None = None) -> str:
    """How long it took, and where."""
    more = "" if drawn is None else f", drawn in {drawn:.2f} s"
    return f"<p class='timing'>answered in {searched:.2f} s{more}, on {escape(str(run.device))}</p>"


def table(title: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table of texts."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heading)
    body = "".join("<tr>" + "".join(f"<td dir='auto'>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h4>{title}</h4><div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _share(probability: float | None) -> str:
    """A probability to three digits; one that would read as nothing by its bound."""
    return "below 0.001" if probability is not None and 0 < probability < 0.0005 else _figure(probability, 3)
