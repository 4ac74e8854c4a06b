"""The demonstration: every task's tiny preset on a corpus made by rule, trained, scored and tried; nothing to download.

    seqkit demo [--out DIR]

Runs the same commands as a person would, as many tasks side by side as there are processors. Prints a table of test
scores, each beside what chance gives, and writes one page of pictures, `index.html`.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.manifest import Item, read_manifest
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.flags import Parser, parse
from seqkit.recipes.demo_page import Shown, write_page
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.metric import TextOptions
from seqkit.score.terminal import columns
from seqkit.tasks import TASKS, find_recipe

TRIED = 3  # test items that are put to `predict`
CANDIDATES = 40  # texts of training among which the best constant answer is searched


@described
class Part(NamedTuple):
    """One task of the demonstration."""

    metric: str
    inputs: Callable[[Item, Path], list[object]]
    """what `predict` gets of an item; files that it needs are put into the folder"""
    chance: Callable[[str, Path, Path], float]
    """what is scored without looking at the input, given the metric, the corpus and a folder"""
    plots: bool = True
    flags: tuple[str, ...] = ()  # of training


def of_item(*keys: str) -> Callable[[Item, Path], list[object]]:
    """The item's values of these keys."""
    return lambda item, folder: [getattr(item, key) for key in keys]


def video_with_sound(item: Item, folder: Path) -> list[object]:
    """A copy of the item's clip, with its sound beside it under the same name, as `predict` looks for it."""
    assert item.video and item.audio
    folder.mkdir(parents=True, exist_ok=True)
    for path in (item.video, item.audio):
        shutil.copy(path, folder / f"{item.id}{path.suffix}")
    return [folder / f"{item.id}{item.video.suffix}"]


def best_constant(metric: str, data: Path, folder: Path) -> float:
    """The test score of one training text for every item: of the commonest and the first, the best on `val`."""
    train, val, test = (
        [item.references for item in read_manifest(data / f"{split}.jsonl")] for split in ("train", "val", "test")
    )
    texts = [references[0] for references in train]
    common = [text for text, _ in Counter(texts).most_common(CANDIDATES // 2)]
    candidates = dict.fromkeys([*common, *texts[: CANDIDATES // 2]])
    values = {text: constant_score(metric, val, text) for text in candidates}
    best = (min if lower_is_better(metric) else max)(values, key=lambda text: values[text])
    return constant_score(metric, test, best)


def constant_score(metric: str, references: Sequence[Sequence[str]], text: str) -> float:
    """What one text scores that is given for every item."""
    options = TextOptions(tokenizer="ptb") if metric == "cider" else TextOptions()
    return corpus_scores(statistics([metric], references, [text] * len(references), options))[metric]


def counted(metric: str, data: Path, folder: Path) -> float:
    """What the corpus was made to allow a model that sees only the picture, or only the question."""
    return float(json.loads((data / "stats.json").read_text(encoding="utf-8"))["test"]["chance"])


def without_context(metric: str, data: Path, folder: Path) -> float:
    """The score of symbols by their frequency alone: a model of 1-grams."""
    run_command("language_model", "train", "--kind", "ngram", "--order", 1, "--data", data, "--out", folder)
    run_command("language_model", "evaluate", "--run", folder, "--split", "test")
    return float(read_report(folder)["metrics"][metric]["value"])


PARTS: dict[str, Part] = {  # those that take longest first
    "wlas": Part("wer", video_with_sound, best_constant),
    "vqa": Part("accuracy", of_item("image", "question"), counted),
    "lipnet": Part("wer", of_item("video"), best_constant),
    "captioning": Part("cider", of_item("image"), best_constant),
    "grounding": Part("iou_0.5", of_item("image", "source"), counted),
    "translation": Part("bleu", of_item("source"), best_constant),
    "language_model": Part("perplexity", lambda item, folder: [item.references[0]], without_context, plots=False),
}


def lower_is_better(metric: str) -> bool:
    return metric in ("wer", "perplexity")


def demonstrate(task: str, out: Path) -> Shown:
    """Train, score and try one task."""
    part, synthetic = PARTS[task], find_recipe(task).synthetic
    assert synthetic is not None
    began, run = time.monotonic(), out / task
    data = synthetic()
    run_command(task, "train", "--preset", "tiny", "--data", data, "--out", run, *part.flags)
    run_command(task, "evaluate", "--run", run, "--split", "test", "--plots")
    items = read_manifest(data / "test.jsonl")[:TRIED]
    inputs = [word for item in items for word in part.inputs(item, out / "inputs")]
    plots = run / "plots"
    run_command(task, "predict", "--run", run, *inputs, *(("--plots", plots) if part.plots else ()))
    score = read_report(run)["metrics"][part.metric]
    chance = part.chance(part.metric, data, out / f"{task}_chance")
    values = (score["value"], score["low"], score["high"])
    return Shown(
        task, part.metric, values, chance, lower_is_better(part.metric), time.monotonic() - began, run, items, plots
    )


def read_report(run: Path) -> Mapping[str, Any]:
    """The report of a run on `test`."""
    found: Mapping[str, Any] = json.loads((run / "evaluate" / "test" / "report.json").read_text(encoding="utf-8"))
    return found


def run_command(task: str, *words: object) -> None:
    """Run one command of a task on one thread, which suits networks this small, and print its output with the task's
    name before each line. InputError where it fails.
    """
    line = [task, *map(str, words)]
    print_line(task, f"$ seqkit {shlex.join(line)}")
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "seqkit", *line],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": import_path()},
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout
        for said in process.stdout:
            print_line(task, said.rstrip())
    if process.returncode:
        raise InputError(f"{task} {words[0]} failed, see above; give a new folder with --out")


def import_path() -> str:
    """PYTHONPATH by which the commands find the library that this process has."""
    import seqkit

    folder = str(Path(seqkit.__file__).resolve().parents[1])
    return os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])


def print_line(task: str, text: str) -> None:
    if text:
        print(f"{task:14} | {text}", flush=True)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit demo", "Train and score the tiny preset of every task on corpora made by rule.")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for the runs (default: a new temporary one)")
    out = (parse(parser, list(argv)).out or Path(tempfile.mkdtemp(prefix="seqkit-demo-"))).absolute()
    began = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(PARTS, pool.map(lambda task: demonstrate(task, out), PARTS), strict=True))
    shown = [found[task] for task in TASKS]
    page = write_page(out / "index.html", shown)
    rows = [[*own.row(), f"{own.seconds:.0f} s", str(own.run)] for own in shown]
    print("\n" + columns([["task", "metric", "test", "95 % interval", "chance", "took", "run"], *rows]))
    print(f"\n{time.monotonic() - began:.0f} s in all; pictures: {page}")
