"""Recipes' tiny presets on corpora made by rule, trained, scored and shown: nothing to download.

    python recipes/demo.py [--out DIR]

Runs the recipes' own commands, as many recipes side by side as there are processors, and prints a table of scores.
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

from seqkit.cli import Parser, Recipe, guarded, parse
from seqkit.data.manifest import read_manifest
from seqkit.errors import InputError
from seqkit.recipes.captioning import recipe as captioning
from seqkit.recipes.grounding import recipe as grounding
from seqkit.recipes.translation import recipe as translation
from seqkit.score.terminal import columns

# A recipe, the metric to show, and the keys of an item that are its input; the one that takes longest is first.
SHOWN: list[tuple[Recipe, str, tuple[str, ...]]] = [
    (captioning.RECIPE, "cider", ("image",)),
    (grounding.RECIPE, "iou_0.5", ("image", "source")),
    (translation.RECIPE, "bleu", ("source",)),
]


def demonstrate(recipe: Recipe, metric: str, keys: Sequence[str], out: Path) -> list[str]:
    """Train, score and try one recipe; the row of the table."""
    assert recipe.synthetic is not None
    data, run, began = recipe.synthetic(), out / recipe.name, time.monotonic()
    command(recipe, "train", "--preset", "tiny", "--data", data, "--out", run)
    command(recipe, "evaluate", "--run", run, "--data", data, "--split", "test")
    report = json.loads((run / "evaluate/test/report.json").read_text(encoding="utf-8"))
    first = read_manifest(data / "test.jsonl")[0]
    command(recipe, "predict", "--run", run, *(getattr(first, key) for key in keys), "--pictures", run / "pictures")
    score = report["metrics"][metric]
    interval = f"{score['low']:.1f} to {score['high']:.1f}"
    return [recipe.name, metric, f"{score['value']:.1f}", interval, f"{time.monotonic() - began:.0f} s", str(run)]


def command(recipe: Recipe, *words: object) -> None:
    """One command of a recipe, on one thread, which suits nets this small; what it says, with the recipe's name before
    each line. InputError where it did not end well.
    """
    line = [str(word) for word in (f"recipes/{recipe.name}.py", *words)]
    say(recipe, f"$ python {shlex.join(line)}")
    with subprocess.Popen(
        [sys.executable, *line],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout
        for said in process.stdout:
            say(recipe, said.rstrip())
    if process.returncode:
        raise InputError(f"{recipe.name} {words[0]} did not end well, see above; give a new folder with --out")


def say(recipe: Recipe, text: str) -> None:
    if text:
        print(f"{recipe.name:11} | {text}", flush=True)


def main(argv: Sequence[str]) -> None:
    parser = Parser("demo", "Train and score recipes' tiny presets on synthetic corpora.")
    parser.add_argument("--out", type=Path, help="folder for the runs (default: a new temporary one)")
    out = (parse(parser, list(argv)).out or Path(tempfile.mkdtemp(prefix="seqkit-demo-"))).absolute()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda shown: demonstrate(*shown, out), SHOWN))
    print("\n" + columns([["recipe", "metric", "test", "95 % interval", "took", "run"], *rows]))


if __name__ == "__main__":
    sys.exit(guarded(main))
