"""Every recipe's tiny preset on a corpus made by rule, trained, scored and shown: nothing to download.

    python recipes/demo.py [--out DIR]

Prints a table of scores and says what it left in the folder of each run.
"""

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from recipes import captioning, translation
from seqkit.cli import Parser, Recipe, guarded, parse, run_recipe
from seqkit.data.manifest import read_manifest
from seqkit.errors import InputError
from seqkit.score.terminal import columns

# A recipe, the metric to show, and the key of an item that is its input.
SHOWN: list[tuple[Recipe, str, str]] = [(translation.RECIPE, "bleu", "source"), (captioning.RECIPE, "cider", "image")]


def demonstrate(recipe: Recipe, metric: str, key: str, out: Path) -> list[str]:
    """Train, score and try one recipe; the row of the table."""
    assert recipe.synthetic is not None
    data, run, began = recipe.synthetic(), out / recipe.name, time.monotonic()
    call(recipe, "train", "--preset", "tiny", "--data", data, "--out", run)
    with contextlib.redirect_stdout(io.StringIO()):
        call(recipe, "evaluate", "--run", run, "--data", data, "--split", "test")
    report = json.loads((run / "evaluate/test/report.json").read_text(encoding="utf-8"))
    given = getattr(read_manifest(data / "test.jsonl")[0], key)
    print(f"\n{recipe.name}: {given}\n", flush=True)
    call(recipe, "predict", "--run", run, given, "--pictures", run / "pictures")
    score = report["metrics"][metric]
    interval = f"{score['low']:.1f} to {score['high']:.1f}"
    return [recipe.name, metric, f"{score['value']:.1f}", interval, f"{time.monotonic() - began:.0f} s", str(run)]


def call(recipe: Recipe, *words: object) -> None:
    """One command of a recipe; InputError where it did not end well."""
    if run_recipe(recipe, [str(word) for word in words]):
        raise InputError(f"{recipe.name} {words[0]} did not end well, see above; give a new folder with --out")


def main(argv: Sequence[str]) -> None:
    parser = Parser("demo", "Train and score every recipe's tiny preset on a synthetic corpus.")
    parser.add_argument("--out", type=Path, help="folder for the runs (default: a new temporary one)")
    out = parse(parser, list(argv)).out or Path(tempfile.mkdtemp(prefix="seqkit-demo-"))
    rows = [demonstrate(*shown, out) for shown in SHOWN]
    print("\n" + columns([["recipe", "metric", "test", "95 % interval", "took", "run"], *rows]))


if __name__ == "__main__":
    sys.exit(guarded(main))
