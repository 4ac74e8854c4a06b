"""The README's pictures: tiny presets trained on corpora made by rule, what they attend to, and how training went.

    python docs/make_figures.py RUNS

Trains what is missing in the folder RUNS, a few minutes on a CPU, and writes `*.png` beside this file.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

import seqkit
from seqkit.cli import main
from seqkit.data.manifest import Item, read_manifest
from seqkit.draw import curves
from seqkit.tasks import find_recipe

DOCS = Path(__file__).parent
COLORS = 128  # of a palette: the files stay small
SHOWN = {"translation": (3, 620), "captioning": (29, 1000)}  # task: place of the test item, width of the picture
EPOCHS = 6


def train(task: str, runs: Path) -> Path:
    """The task's run in `runs`, trained where it is not yet."""
    run = runs / task
    words = [task, "train", "--preset", "tiny", "--epochs", str(EPOCHS), "--out", str(run), "--resume"]
    if status := main(words):
        sys.exit(status)
    return run


def item_at(task: str, place: int) -> Item:
    recipe = find_recipe(task)
    assert recipe.synthetic is not None
    return read_manifest(recipe.synthetic() / "test.jsonl")[place]


def save(source: Path, target: Path, width: int) -> None:
    """A picture made as small as a page shows it."""
    with Image.open(source) as image:
        size = (width, round(image.height * width / image.width))
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(COLORS).save(target, optimize=True)


def draw(runs: Path) -> None:
    for task, (place, width) in SHOWN.items():
        run = train(task, runs)
        with tempfile.TemporaryDirectory() as scratch:
            item = item_at(task, place)
            seqkit.load(run).plot([item.image or item.source], scratch)
            save(Path(scratch) / "0001.png", DOCS / f"{task}.png", width)
            if task == "translation":
                curves(run / "log.jsonl", Path(scratch) / "curves.png", ["loss", "validation/bleu"])
                save(Path(scratch) / "curves.png", DOCS / "curves.png", 620)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
