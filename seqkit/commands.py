"""The commands of a task: train, evaluate, predict and compare, from flags to the functions of `seqkit.recipe`.

A preset changes the defaults, a config file changes the preset, and flags change both; what comes out is written to
`RUN/config.yaml`, where the other commands find it.
"""

import argparse
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from seqkit import recipe as recipes
from seqkit.config import flatten, read_values, replace, save_config, typed_value, update, yaml_text
from seqkit.data.manifest_keys import describe_keys
from seqkit.errors import InputError
from seqkit.field_flags import add_device, add_fields, add_options, describe_presets, given_fields, given_options
from seqkit.find_data import find_data, word_of
from seqkit.find_run import config_of, find_run, report_home
from seqkit.flags import Parser, parse, pick_device, run_cli, run_command
from seqkit.predict import predict
from seqkit.recipe import SEARCH, EvaluationReport, Recipe, preset, read_recipe_values
from seqkit.same_data import check_same_data, data_digest
from seqkit.share import PartDone
from seqkit.tasks import command_of
from seqkit.train.allocator import keep_memory
from seqkit.train.checkpoint import find_checkpoint
from seqkit.train.distributed import print0, process_group, sharing_work
from seqkit.train.failures import explain_lost_process
from seqkit.train.loop import Outcome, RunFolder
from seqkit.train.precision import best_precision
from seqkit.train.training_config import RESUMABLE


def main(recipe: Recipe, argv: Sequence[str] | None = None) -> int:
    """The exit status of one command of a recipe that has no word in `seqkit.tasks`: one of your own."""
    return run_cli(functools.partial(run_task, recipe), argv)


def run_task(recipe: Recipe, argv: list[str]) -> object:
    """Run one command of a recipe; what it returns is the exit status where that is a number."""
    commands: dict[str, tuple[str, Callable[[list[str]], object]]] = {
        "train": ("fit a model to a folder of manifests", functools.partial(train, recipe)),
        "evaluate": ("score a trained run on one split", functools.partial(evaluate, recipe)),
        "predict": ("use a trained run on your own input", functools.partial(predict, recipe)),
        "compare": ("train and score variants side by side", functools.partial(_compare, recipe)),
    }
    if not recipe.variants:
        del commands["compare"]
    keep_memory()
    return run_command(command_of(recipe.name), commands, argv)


def train(recipe: Recipe, argv: list[str]) -> Outcome:
    """`seqkit TASK train`."""
    everything = "--help-all" in argv
    parser = Parser(
        f"{command_of(recipe.name)} train",
        "A preset changes the defaults, a config file changes the preset, and flags change both.",
        usage="%(prog)s --data DIR --out RUN [--preset P] [--config FILE] [--<field> VALUE …] [--resume] [--init RUN]",
        epilog=_everything(recipe) if everything else _example(recipe),
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="folder or address of the manifests, or pattern of shards [tiny makes its own]",
    )
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="the run folder to write")
    parser.add_argument("--preset", choices=recipe.presets, help="the fields to change first [small]")
    parser.add_argument("--config", metavar="FILE", type=Path, help="YAML of fields, such as a run's config.yaml")
    parser.add_argument("--resume", action="store_true", help="continue from RUN's last checkpoint, if it has one")
    parser.add_argument(
        "--init",
        metavar="RUN",
        type=Path,
        nargs="+",
        default=(),
        help="initialize weights from RUN, and take over its vocabulary; with several, earlier runs take precedence",
    )
    parser.add_argument(
        "--extend_vocab",
        metavar="true|false",
        default="false",
        help="with --init: add what is new in the data to RUN's vocabulary [false]",
    )
    parser.add_argument("--changed_data", action="store_true", help="with --resume: continue on data that has changed")
    add_device(parser)
    parser.add_argument("--help-all", action="help", help="every field, by section")
    add_fields(parser, recipe.config, shown=None if everything else recipe.common or None)
    args = parse(parser, ["--help" if word == "--help-all" else word for word in argv])
    config, data = _resolve(recipe, args)
    args.init = [find_run(run) for run in args.init]
    if missing := [run for run in args.init if not run.is_dir()]:
        raise InputError(f"`--init` must be the folder of a run, got {missing[0]}, which is none")
    extend_vocab = typed_value("extend_vocab", bool, args.extend_vocab)
    if extend_vocab and not args.init:
        raise InputError("`--extend_vocab` must be given with `--init`, whose vocabulary it extends")
    device, digest = pick_device(args.device), data_digest(data)
    if flatten(config).get("precision") == "auto":
        config = replace(config, {"precision": best_precision(device)})
        print0(f"precision: {best_precision(device)}")
    if args.resume and not args.changed_data:
        check_same_data(args.out, data, digest)

    def write_config(folder: Path) -> None:
        header = {"recipe": recipe.name, "data": word_of(data), "data_sha256": digest}
        save_config(config, folder / "config.yaml", **header)

    next_command = f"to score it: {command_of(recipe.name)} evaluate --run {args.out} --split val"
    run = RunFolder(args.out, args.resume, write_config=write_config, next_command=next_command)
    return recipes.train(recipe, config, data, run, init=args.init, extend_vocab=extend_vocab, device=device)


def evaluate(recipe: Recipe, argv: list[str]) -> EvaluationReport | None:
    """`seqkit TASK evaluate`; None where another process has the report."""
    parser = Parser(f"{command_of(recipe.name)} evaluate", "Decode one split and write a report to RUN/evaluate/.")
    parser.add_argument(
        "--run",
        metavar="RUN",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="the folder of a trained run, or hf://OWNER/NAME; several are an ensemble",
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="folder, address or pattern of the split [the run's own]"
    )
    parser.add_argument("--split", metavar="NAME", required=True, help="the manifest to score, without .jsonl")
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="folder of the report in RUN/evaluate/ (default: the split, and "
        "what differs from the run's own search and data)",
    )
    add_device(parser)
    add_fields(parser, recipe.config, only=SEARCH)
    parser.add_argument("--plots", action="store_true", help="draw attention for the best, median and worst items")
    add_options(parser, recipe.evaluation)
    args = parse(parser, argv)
    runs = [find_run(run) for run in args.run]
    path = config_of(runs[0], "`--run`")
    stored = read_recipe_values(recipe, path)
    if not args.data and "data" not in stored:
        raise InputError(f"`--data` must be a folder of manifests; {path} names none")
    data = find_data(args.data or stored["data"], (args.split,))
    search, options = given_fields(args, recipe.config), given_options(args, recipe.evaluation)
    device = pick_device(args.device)
    own = update(recipe.config(), path, stored)
    name = args.name or "_".join([args.split, *_differences(own, args, stored, search, options)])
    folder = report_home(args.run[0]) / "evaluate" / name
    with (
        suppress(PartDone),
        process_group(device) as device,
        explain_lost_process(folder, "evaluate again"),
        sharing_work(),
    ):
        run = recipes.load(recipe, runs, device, search)
        found = recipes.evaluate(run, data, args.split, options, folder, plots=args.plots)
        print(found.summary)
        return found
    return None


def _compare(recipe: Recipe, argv: list[str]) -> None:
    from seqkit import compare

    compare.run(recipe, argv, functools.partial(train, recipe), functools.partial(evaluate, recipe))


def _resolve(recipe: Recipe, args: argparse.Namespace) -> tuple[Any, Path]:
    """Config and data folder of a training: preset < file < flags, or the stored ones of the run to be resumed."""
    stored, begun = args.out / "config.yaml", find_checkpoint(args.out / "last") is not None
    if begun and not args.resume:
        raise InputError(f"`--out` must be a new folder, got {args.out}, which holds a run: --resume continues it")
    file = args.config
    if args.resume and stored.exists() and not (args.preset or file):
        file = stored
    values = read_recipe_values(recipe, file) if file else {}
    config = preset(recipe, args.preset) if args.preset else recipe.config()
    config = replace(update(config, file, values), given_fields(args, recipe.config))
    if args.resume and begun and stored.exists():
        old, new = flatten(update(recipe.config(), stored, read_values(stored))), flatten(config)
        if new.get("precision") == "auto":  # what was chosen then
            config = replace(config, {"precision": old["precision"]})
            new = flatten(config)
        for name in (name for name in new if name not in RESUMABLE and new[name] != old[name]):
            raise InputError(
                f"`{name}` must stay {old[name]} to resume {args.out}, got {new[name]}: "
                f"leave it out, or begin another run with --init {args.out}"
            )
    if args.data or "data" in values:
        return config, find_data(args.data or values["data"], ("train", "val"))
    if args.preset != "tiny" or recipe.synthetic is None:
        raise InputError("`--data` must be a folder of manifests; only --preset tiny makes its own")
    return config, recipe.synthetic()


def _differences(
    config: Any, args: argparse.Namespace, stored: Mapping[str, Any], search: Mapping[str, Any], options: Any
) -> list[str]:
    """What sets an evaluation apart from the run's own search on its own data, for the name of its folder."""
    own, asked = flatten(config), flatten(replace(config, search))
    if options is not None:
        own, asked = own | flatten(type(options)()), asked | flatten(options)
    values = {name: yaml_text(value).strip("[]").replace(" ", "") for name, value in asked.items()}
    changed = [f"{name}={values[name]}" for name in own if asked[name] != own[name]]
    if args.data and args.data.resolve() != Path(stored.get("data", args.data)).resolve():
        changed.append(f"data={_beside(args.data, Path(stored.get('data', args.data)))}")
    changed += [f"ensemble={'+'.join(_beside(run, args.run[0]) for run in args.run[1:])}"] if args.run[1:] else []
    return ["".join(c if c.isalnum() or c in "=.,-+" else "-" for c in part).strip("-") for part in changed]


def _beside(path: Path, other: Path) -> str:
    """`path` as seen from the folder that holds `other`: short, and another text for another path."""
    return os.path.relpath(path.resolve(), other.resolve().parent)


def _everything(recipe: Recipe) -> str:
    """What `--help-all` says after the fields: presets, and the keys of a manifest."""
    keys = [describe_keys(recipe.reads)] if recipe.reads else []
    return "\n\n".join([describe_presets(recipe.presets), *keys])


def _example(recipe: Recipe) -> str:
    names = ", ".join(recipe.presets)
    return (
        f"presets: {names}. `--help-all` lists every field, and what each preset changes.\n\n"
        f"example: {command_of(recipe.name)} train --data DIR --out RUN --preset small"
    )
