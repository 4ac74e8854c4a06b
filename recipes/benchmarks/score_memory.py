"""Seconds and memory of `seqkit score` for a million lines, made by rule.

    python recipes/benchmarks/score_memory.py [--lines N] [--metric NAMES] [--like COMMIT_FOLDER]

Sentences have 4 to 20 words of a vocabulary of 20,000; hypotheses are made from them as in `scoring.py`. One row a
metric: seconds of the processor, the interval of 1,000 resamples included, and the most memory that was held. With
--like, the `seqkit` of another folder runs on the same lines, and the values must be equal.
"""

import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from seqkit.flags import Parser, parse, run_cli
from seqkit.recipes.benchmarks.scoring import Run, measure, perturbed
from seqkit.score.terminal import columns

WORDS = 20000


def write_lines(folder: Path, lines: int) -> None:
    """Writes references and hypotheses, a part at a time."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrst", k=draw.randint(1, 9))) for _ in range(WORDS)]
    with open(folder / "ref", "w", encoding="utf-8") as references, open(folder / "hyp", "w", encoding="utf-8") as ours:
        for first in range(0, lines, 10000):
            count = min(10000, lines - first)
            part = [" ".join(draw.choices(words, k=draw.randint(4, 20))) for _ in range(count)]
            references.writelines(f"{line}\n" for line in part)
            ours.writelines(f"{line}\n" for line in perturbed(part, first))


def values(printed: str, _: str) -> list[float]:
    """The value and the ends of the interval of every metric."""
    (system,) = json.loads(printed)["systems"]
    return [metric[key] for metric in system["metrics"].values() for key in ("value", "low", "high")]


def measured(source: Path | None, metric: str, folder: Path) -> Run:
    """Scores by the `seqkit` of a folder, or by the one that is installed."""
    before = os.environ.get("PYTHONPATH")
    if source:
        os.environ["PYTHONPATH"] = str(source.absolute())
    try:
        command = [sys.executable, "-m", "seqkit", "score", "--json", "--metric", metric, "ref", "hyp"]
        return measure(command, values, folder)
    finally:
        if source:
            os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


def main(argv: Sequence[str]) -> None:
    parser = Parser("score_memory", "Seconds and memory of `seqkit score` for many lines.")
    parser.add_argument("--lines", metavar="N", type=int, default=1000000, help="[1000000]")
    parser.add_argument("--metric", metavar="NAMES", default="wer,cer,bleu,chrf", help="each by itself")
    parser.add_argument("--like", metavar="DIR", type=Path, help="a folder with another version of seqkit")
    given = parse(parser, list(argv))
    rows = [["metric", "value", "seconds", "MiB", *(["its seconds", "its MiB", "figures"] if given.like else [])]]
    with tempfile.TemporaryDirectory() as name:
        write_lines(Path(name), given.lines)
        for metric in given.metric.split(","):
            ours = measured(None, metric, Path(name))
            row = [metric, f"{ours.values[0]:.2f}", f"{ours.seconds:.1f}", f"{ours.megabytes:.0f}"]
            if given.like:
                other = measured(given.like, metric, Path(name))
                same = "equal" if ours.values == other.values else "others"
                row += [f"{other.seconds:.1f}", f"{other.megabytes:.0f}", same]
            rows.append(row)
    print(columns(rows, left=1))


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
