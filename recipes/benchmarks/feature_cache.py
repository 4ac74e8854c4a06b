"""Feature cache: time to fill it beside the bare network, and memory to train from it.

    python recipes/benchmarks/feature_cache.py speed --images DIR [--number 320] [--threads 1]
    python recipes/benchmarks/feature_cache.py memory [--pictures 7000 1000000]

speed: images a second of `seqkit.data.cache.build_cache`, reading and decoding included, and of the network alone on
pixels that were read before, in turn. memory: the peak of a process that trains the captioning recipe for a few steps,
from corpora of several sizes that are simulated: files of one byte, one caption each, and a cache whose index is whole
and whose features are a sparse file of zeros.

N images, W numbers an image.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import torch

from seqkit import recipe as recipes
from seqkit.config import replace
from seqkit.data.cache import build_cache, stamp_of
from seqkit.data.feature_store import ENTRY, FORMAT, HEADER
from seqkit.data.image import Square, to_pixels
from seqkit.data.manifest import Item, write_manifest
from seqkit.errors import InputError
from seqkit.flags import Parser, parse, run_cli
from seqkit.nn.backbones import Backbone
from seqkit.recipes.captioning.recipe import RECIPE
from seqkit.train.allocator import keep_memory
from seqkit.train.loop import RunFolder

BATCH, STEPS, HELD_OUT, FOLDER = 32, 20, 20, 1000
PROGRAM = "import sys, pathlib, seqkit.recipes.benchmarks.feature_cache as f; f.train(*map(pathlib.Path, sys.argv[1:]))"
WORDS = ["a", "dog", "cat", "man", "red", "blue", "runs", "sits", "on", "the", "grass", "street", "near", "ball"]


def speed(images: Path, number: int, threads: int) -> None:
    """Rates of both, twice."""
    torch.set_num_threads(threads)
    keep_memory()
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:number]
    if not paths:
        raise InputError(f"--images must be a folder with images, got none in {images}")
    backbone = Backbone("efficientnet_lite0")
    extract, square = backbone.extractor(), Square(backbone.size)
    pixels = to_pixels([square.read(path) for path in paths])
    extract(pixels[:BATCH])  # warms up
    for _ in range(2):
        began = time.perf_counter()
        for first in range(0, len(paths), BATCH):
            extract(pixels[first : first + BATCH])
        bare = len(paths) / (time.perf_counter() - began)
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            build_cache(Path(folder), paths, extract, backbone.key(), square=square, batch=BATCH)
            cached = len(paths) / (time.perf_counter() - began)
            began = time.perf_counter()
            build_cache(Path(folder), paths, extract, backbone.key(), square=square, batch=BATCH)
            again = time.perf_counter() - began
        print(
            f"network {bare:.1f} images a second, cache {cached:.1f} ({100 * cached / bare:.0f} %), "
            f"all {len(paths)} again {again:.2f} s",
            flush=True,
        )


def simulate(folder: Path, pictures: int) -> Path:
    """A corpus of that size, its manifests below `folder`, with its cache, whose folder is returned."""
    rng = np.random.default_rng(1)
    real = folder / "real"
    real.mkdir(parents=True)
    for number in range(min(FOLDER, pictures)):
        (real / f"{number}.jpg").write_bytes(b"x")
    for number in range(-(-pictures // FOLDER)):
        (folder / f"d{number}").symlink_to(real)
    paths = [folder / f"d{number // FOLDER}" / f"{number % FOLDER}.jpg" for number in range(pictures)]
    lines = (" ".join(WORDS[i] for i in rng.integers(len(WORDS), size=10)) for _ in paths)
    pairs = enumerate(zip(paths, lines, strict=True))
    items = [Item(id=str(number), image=path, references=(line,)) for number, (path, line) in pairs]
    write_manifest(folder / "train.jsonl", items)
    write_manifest(folder / "val.jsonl", items[:HELD_OUT])
    backbone, cache = Backbone("efficientnet_lite0"), folder / "cache"
    shapes = [[backbone.pooled_dim], [backbone.grid[0] * backbone.grid[1], backbone.dim]]
    width = sum(int(np.prod(shape)) for shape in shapes)
    entries = np.zeros(pictures, ENTRY)
    entries["stamp"] = [stamp_of(path) for path in paths]
    entries["content"] = np.frombuffer(rng.bytes(32 * pictures), "S32")
    entries["row"], entries["check"] = rng.permutation(pictures), crc32(bytes(2 * width))
    cache.mkdir()
    (cache / "index-a.bin").write_bytes(entries.tobytes())
    with (cache / "features-a.f16").open("wb") as file:
        file.truncate(pictures * width * 2)
    key = {**backbone.key(), **Square(backbone.size).key()}
    header = {"format": FORMAT, "key": key, "shapes": shapes, "features": "features-a.f16", "index": "index-a.bin"}
    (cache / HEADER).write_text(json.dumps(header))
    return cache


def train(folder: Path, cache: Path) -> None:
    """A few steps of the recipe's `small`, and the peak of this process on standard output."""
    import resource  # POSIX alone

    config = replace(RECIPE.config(), {"min_count": 1, "cache": cache, "steps": STEPS})
    keep_memory()
    began = time.perf_counter()
    recipes.train(RECIPE, config, folder, RunFolder(folder / "run"), init=(), device=torch.device("cpu"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_mb": peak / 1024, "seconds": time.perf_counter() - began}))


def memory(sizes: Sequence[int]) -> None:
    """The peak of a training process at each size, in a process of its own."""
    for pictures in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "corpus"
            cache = simulate(folder, pictures)
            command = [sys.executable, "-c", PROGRAM, str(folder), str(cache)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{pictures:,} images: peak {found['peak_mb']:,.0f} MB in training, {found['seconds']:.0f} s for "
                f"opening and {STEPS} steps",
                flush=True,
            )


def main(argv: Sequence[str]) -> None:
    parser = Parser("feature_cache", "Time and memory of the cache of features.")
    parser.add_argument("command", choices=("speed", "memory"), help="fill it beside the bare network; train from it")
    parser.add_argument("--images", type=Path, help="of speed: a folder of images, at any depth")
    parser.add_argument("--number", type=int, default=320, help="of speed: number of images (default: 320)")
    parser.add_argument("--threads", type=int, default=1, help="of speed: threads of torch (default: 1)")
    parser.add_argument(
        "--pictures",
        type=int,
        nargs="+",
        default=[7_000, 1_000_000],
        help="of memory: sizes to simulate (default: 7000 1000000)",
    )
    given = parse(parser, list(argv))
    if given.command == "memory":
        memory(given.pictures)
    elif given.images is None:
        raise InputError("--images must be given with speed, a folder of images, got none")
    else:
        speed(given.images, given.number, given.threads)


if __name__ == "__main__":
    sys.exit(run_cli(main))
