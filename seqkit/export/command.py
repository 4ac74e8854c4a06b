"""`seqkit export RUN OUT`: a trained run as ONNX, with its vocabularies, beam.py and a README."""

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from seqkit import __version__
from seqkit import recipe as recipes
from seqkit.config import read_values
from seqkit.errors import InputError
from seqkit.export import beam
from seqkit.export.graph import Export, check_installed, write_graph, write_vocab
from seqkit.export.quantize import quantize
from seqkit.export.readme import readme
from seqkit.find_run import config_of, find_run
from seqkit.recipe import read_config
from seqkit.tasks import find_export, find_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a trained run")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write; it must be new or empty")
    parser.add_argument("--int8", action="store_true", help="8-bit weights, where onnxruntime has operators for them")


def run(args: argparse.Namespace) -> None:
    """Export, and print what was written."""
    export_run(args.run, args.out, int8=args.int8)
    for path in sorted(args.out.iterdir()):
        print(f"{path.stat().st_size / 2**20:8.1f} MiB  {path}")


def export_run(folder: Path, out: Path, *, int8: bool = False) -> None:
    """Write the graphs of a run. Raises InputError for a run without graphs, and for a folder that is not empty."""
    check_installed()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"OUT must be a new or empty folder, got {out}, which is not")
    write_export(*describe(folder), out, int8=int8)


def write_export(task: str, found: Export, out: Path, *, int8: bool = False) -> None:
    """Write all files of an export."""
    out.mkdir(parents=True, exist_ok=True)
    kept: Counter[str] = Counter()
    for graph in found.graphs:
        path = out / f"{graph.name}.onnx"
        write_graph(graph, path)
        kept += quantize(path) if int8 else Counter()
    for name, vocab in found.vocabularies.items():
        write_vocab(vocab, out, name)
    if found.save:
        found.save(out)
    names = [graph.name for graph in found.graphs]
    facts = {"task": task, "kind": found.kind, "seqkit": __version__, "graphs": names, **found.facts}
    (out / "model.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(beam.__file__, out / "beam.py")
    left = ", ".join(f"{count} {kind}" for kind, count in sorted(kept.items())) or "no others"
    (out / "README.md").write_text(readme(task, found, left if int8 else None), encoding="utf-8")


def describe(folder: Path) -> tuple[str, Export]:
    """The task of a run and what is to be exported of it."""
    folder = find_run(folder)
    path = config_of(folder)
    task = str(read_values(path).get("recipe", ""))
    recipe, make = find_recipe(task), find_export(task)
    found: Any = recipes.load(recipe, [folder], torch.device("cpu"), {}).predictor
    return task, make(found, read_config(recipe, path))
