"""Large text: seconds to the first step of a translation training, and memory, by the number of pairs.

    python recipes/benchmarks/large_text.py [--pairs 1000000 10000000] [--folder DIR]

Texts are made by rule: 4 to 20 words a side, drawn from 20,000 with the frequencies of Zipf's law. The training is
preset `tiny` with 8,000 subwords; a few steps of it run in a process of its own, which tells the peak of its memory.
With --folder, corpora are kept there and used again.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from seqkit import recipe as recipes
from seqkit.config import replace
from seqkit.flags import Parser, parse, run_cli
from seqkit.recipes.translation.recipe import RECIPE
from seqkit.train.allocator import keep_memory
from seqkit.train.loop import RunFolder

STEPS, WORDS, HELD_OUT, BLOCK = 3, 20_000, 20, 10_000
PROGRAM = "import sys, pathlib, seqkit.recipes.benchmarks.large_text as f; f.train(*map(pathlib.Path, sys.argv[1:]))"


def make_corpus(folder: Path, pairs: int) -> None:
    """Writes `train.jsonl` of so many pairs, and a short `val.jsonl`."""
    rng = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(letters[rng.integers(26, size=rng.integers(2, 9))]) for _ in range(WORDS)])
    shares = 1 / np.arange(1, WORDS + 1)
    bounds = np.cumsum(shares / shares.sum())
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.jsonl").open("w") as file, (folder / "val.jsonl").open("w") as held_out:
        for first in range(0, pairs, BLOCK):
            lengths = rng.integers(4, 21, size=2 * min(BLOCK, pairs - first))
            drawn = iter(words[np.searchsorted(bounds, rng.random(lengths.sum()))].tolist())
            texts = [" ".join(next(drawn) for _ in range(length)) for length in lengths.tolist()]
            for place, (source, target) in enumerate(zip(texts[::2], texts[1::2], strict=True), first):
                line = json.dumps({"id": f"pair {place}", "source": source, "references": [target]}) + "\n"
                file.write(line)
                if place < HELD_OUT:
                    held_out.write(line)


def train(folder: Path, run: Path) -> None:
    """A few steps, and on standard output the seconds and the peak of this process."""
    import resource  # POSIX alone

    config = replace(
        RECIPE.config(), {**RECIPE.presets["tiny"], "vocab_size": 8000, "steps": STEPS, "validate_every": STEPS}
    )
    keep_memory()
    began = time.perf_counter()
    recipes.train(RECIPE, config, folder, RunFolder(run), init=(), device=torch.device("cpu"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_mb": peak / 1024, "seconds": time.perf_counter() - began}))


def main(argv: Sequence[str]) -> None:
    parser = Parser("large_text", "Seconds to the first steps of a translation training, and memory, by pairs.")
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes to measure")
    parser.add_argument("--folder", type=Path, help="where corpora are kept (default: nowhere)")
    given = parse(parser, list(argv))
    for pairs in given.pairs:
        with tempfile.TemporaryDirectory() as scratch:
            folder = (given.folder or Path(scratch)) / f"pairs-{pairs}"
            if not (folder / "val.jsonl").is_file():
                make_corpus(folder, pairs)
            command = [sys.executable, "-c", PROGRAM, str(folder), str(Path(scratch) / "run")]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{pairs:,} pairs: {found['seconds']:.0f} s for opening and {STEPS} steps, peak "
                f"{found['peak_mb']:,.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(run_cli(main))
