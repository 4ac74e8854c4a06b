"""The demonstration: recipes' tiny presets on corpora made by rule, trained, scored and tried; nothing to download.

    seqkit demo [--out DIR]

Runs the same commands as a person would, as many tasks side by side as there are processors, and prints a table of
scores.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seqkit.data.manifest import read_manifest
from seqkit.errors import InputError
from seqkit.flags import Parser, parse
from seqkit.score.terminal import columns
from seqkit.tasks import find_recipe

SHOWN: dict[str, tuple[str, tuple[str, ...]]] = {  # the one that takes longest is first
    "captioning": ("cider", ("image",)),
    "grounding": ("iou_0.5", ("image", "source")),
    "translation": ("bleu", ("source",)),
}
"""a task to the metric that is shown, and the keys of an item that are its input"""


def demonstrate(task: str, out: Path) -> list[str]:
    """Train, score and try one task; the row of the table."""
    metric, keys = SHOWN[task]
    synthetic = find_recipe(task).synthetic
    assert synthetic is not None
    data, run, began = synthetic(), out / task, time.monotonic()
    run_command(task, "train", "--preset", "tiny", "--data", data, "--out", run)
    run_command(task, "evaluate", "--run", run, "--split", "test")
    report = json.loads((run / "evaluate" / "test" / "report.json").read_text(encoding="utf-8"))
    first = read_manifest(data / "test.jsonl")[0]
    inputs = [getattr(first, key) for key in keys]
    run_command(task, "predict", "--run", run, *inputs, "--plots", run / "plots")
    score = report["metrics"][metric]
    interval = f"{score['low']:.1f} to {score['high']:.1f}"
    return [task, metric, f"{score['value']:.1f}", interval, f"{time.monotonic() - began:.0f} s", str(run)]


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
        print(f"{task:11} | {text}", flush=True)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit demo", "Train and score the tiny presets of three tasks on corpora made by rule.")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for the runs (default: a new temporary one)")
    out = (parse(parser, list(argv)).out or Path(tempfile.mkdtemp(prefix="seqkit-demo-"))).absolute()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda task: demonstrate(task, out), SHOWN))
    print("\n" + columns([["task", "metric", "test", "95 % interval", "took", "run"], *rows]))
