"""The command line: `seqkit score`, `seqkit check`, and the train, evaluate and predict that every recipe shares.

A recipe hands over its config class, presets and three functions (`Recipe`); here they become commands. A preset is
changed by a config file, and both by flags; what comes out is written to `RUN/config.yaml`, where the other two
commands find it.
"""

import argparse
import functools
import itertools
import json
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqkit.config import fields_by_name, flatten, notation, read_values, replace, save_config, update, yaml_text
from seqkit.errors import InputError
from seqkit.flags import Parser, parse, pick_device, run_cli, run_command, stdin_lines
from seqkit.train.allocator import keep_memory

if TYPE_CHECKING:
    from seqkit.score.metric import TextOptions

__all__ = ["Parser", "Recipe", "main", "parse", "pick_device", "print_answers", "run_recipe"]


class Recipe(NamedTuple):
    """What a recipe hands to `run_recipe`; every value its functions take is resolved and checked."""

    name: str
    """the recipe's file without its ending"""
    config: type[Any]
    """a frozen dataclass, each field with a default and, below it, a string that gives unit and source"""
    presets: Mapping[str, Callable[[], Any]]
    """name to a function that returns a `config`"""
    train: Callable[..., object]
    """train(config, data, out, *, resume: bool, init: Sequence[Path], device), which returns the `Outcome` of `fit`"""
    evaluate: Callable[..., object]
    """evaluate(config, run, data, split, *, device)"""
    predict: Callable[..., object]
    """predict(config, run, inputs: list[str], *, as_json: bool, nbest: int, pictures: Path | None, device)"""
    synthetic: Callable[[], Path] | None = None
    """makes, or finds in the cache, the corpus of preset `tiny`, and returns its folder"""
    inputs: str = "sentences"
    """what one INPUT of `predict` is"""
    search: str = "search"
    """the field of `config` whose fields `evaluate` and `predict` take as flags too"""
    rows: Mapping[str, Mapping[str, str]] = {}
    """what `compare` trains side by side: a row's name to the fields it changes, as flags spell them; none: no such
    command"""
    options: "Callable[[Any], TextOptions] | None" = None
    """how texts are scored under a `config`, for `compare`; None: as they are"""


def run_recipe(recipe: Recipe, argv: Sequence[str] | None = None) -> int:
    """The exit status of one command of `recipe`."""
    commands: dict[str, tuple[str, Callable[[list[str]], object]]] = {
        "train": ("fit a model to a folder of manifests", functools.partial(_train, recipe)),
        "evaluate": ("score a trained run on one split", functools.partial(_evaluate, recipe)),
        "predict": ("run a trained run on your own input", functools.partial(_predict, recipe)),
    }
    if recipe.rows:
        commands["compare"] = ("train and score variants side by side", functools.partial(_compare, recipe))
    keep_memory()
    return run_cli(functools.partial(run_command, recipe.name, commands), argv)


def print_answers(
    inputs: Sequence[str],
    answers: Sequence[Sequence[tuple[str, Any]]],
    *,
    as_json: bool,
    more: Sequence[Mapping[str, Any]] = (),
) -> None:
    """What `predict` prints: for every input its answers, each a text and a hypothesis with `logprob` and `score`.

    One answer is a line of text; several are lines of score and text; as JSON an input is one object, `more` in it.
    """
    for given, found, facts in zip(inputs, answers, more or [{}] * len(inputs), strict=True):
        if as_json:
            hypotheses = [{"text": text, "logprob": h.logprob, "score": h.score} for text, h in found]
            print(json.dumps({"input": given, "hypotheses": hypotheses, **facts}, ensure_ascii=False))
        elif len(found) == 1:
            print(found[0][0])
        else:
            print(*(f"{h.score:.4f}\t{text}" for text, h in found), sep="\n")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of the `seqkit` command."""
    commands = {
        "score": ("score text files against their references", _score),
        "check": ("validate manifests and media before training", _check),
    }
    return run_cli(functools.partial(run_command, "seqkit", commands), argv)


def _score(argv: list[str]) -> None:
    from seqkit.score import command

    parser = Parser("seqkit score", "Score hypotheses against references, item by item in the same order or by id.")
    command.add_arguments(parser)
    command.run(parse(parser, argv))


def _check(argv: list[str]) -> None:
    from seqkit.data import check

    parser = Parser("seqkit check", "Validate every manifest of a folder, and the media it names.")
    check.add_arguments(parser)
    check.run(parse(parser, argv))


def _train(recipe: Recipe, argv: list[str]) -> object:
    usage = "%(prog)s --data DIR --out RUN [--preset P] [--config FILE] [--<field> VALUE …] [--resume] [--init RUN …]"
    parser = Parser(
        f"{recipe.name} train",
        "A preset is changed by a config file, and both by flags.",
        usage=usage,
        epilog=_presets(recipe),
    )
    parser.add_argument("--data", metavar="DIR", type=Path, help="folder of the manifests; --preset tiny makes its own")
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="the run folder to write")
    parser.add_argument("--preset", choices=recipe.presets, help="where to begin; without it, from the defaults below")
    parser.add_argument("--config", metavar="FILE", type=Path, help="YAML of fields, such as a run's config.yaml")
    parser.add_argument("--resume", action="store_true", help="go on from RUN's last checkpoint, if it has one")
    parser.add_argument(
        "--init",
        metavar="RUN",
        type=Path,
        nargs="+",
        default=(),
        help="begin with the weights of another run; of several, with what the earlier ones lack",
    )
    _add_device(parser)
    _add_fields(parser, recipe)
    args = parse(parser, argv)
    config, data = _resolve(recipe, args)
    if missing := [run for run in args.init if not run.is_dir()]:
        raise InputError(f"`--init` must be the folder of a run, got {missing[0]}, which is none")
    device = pick_device(args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    if int(os.environ.get("RANK", "0")) == 0:
        save_config(config, args.out / "config.yaml", recipe=recipe.name, data=str(data.resolve()))
    return recipe.train(config, data, args.out, resume=args.resume, init=args.init, device=device)


def _compare(recipe: Recipe, argv: list[str]) -> None:
    from seqkit import compare

    compare.run(recipe, argv, functools.partial(_train, recipe), functools.partial(_evaluate, recipe))


def _resolve(recipe: Recipe, args: argparse.Namespace) -> tuple[Any, Path]:
    """Config and data folder of a training run: preset < file < flags, or the stored ones of the run resumed."""
    from seqkit.train.checkpoint import find

    stored, begun = args.out / "config.yaml", find(args.out / "last") is not None
    if begun and not args.resume:
        raise InputError(f"`--out` must be a new folder, got {args.out}, which holds a run: --resume continues it")
    file = args.config
    if args.resume and stored.exists() and not (args.preset or file):
        file = stored
    values = _read(recipe, file) if file else {}
    config = recipe.presets[args.preset]() if args.preset else recipe.config()
    config = replace(update(config, file, values), _given(args, recipe))
    if args.resume and begun and stored.exists():
        old, new = flatten(update(recipe.config(), stored, _read(recipe, stored))), flatten(config)
        for name in (name for name in new if new[name] != old[name]):
            raise InputError(
                f"`{name}` must stay {old[name]} to resume {args.out}, got {new[name]}: "
                f"leave it out, or begin another run with --init {args.out}"
            )
    if args.data or "data" in values:
        return config, args.data or Path(values["data"])
    if args.preset != "tiny" or recipe.synthetic is None:
        raise InputError("`--data` must be a folder of manifests; only --preset tiny makes its own")
    return config, recipe.synthetic()


def _evaluate(recipe: Recipe, argv: list[str]) -> object:
    parser = Parser(f"{recipe.name} evaluate", "Decode one split and write scores and hypotheses to RUN/evaluate/.")
    _add_run(parser, recipe)
    parser.add_argument("--data", metavar="DIR", type=Path, help="folder of the split (default: the run's own)")
    parser.add_argument("--split", metavar="NAME", required=True, help="the manifest to score, without .jsonl")
    args = parse(parser, argv)
    config, values = _stored(recipe, args)
    if not args.data and "data" not in values:
        raise InputError(f"`--data` must be a folder of manifests; {args.run}/config.yaml names none")
    return recipe.evaluate(
        config, args.run, args.data or Path(values["data"]), args.split, device=pick_device(args.device)
    )


def _predict(recipe: Recipe, argv: list[str]) -> object:
    parser = Parser(f"{recipe.name} predict", "Results go to standard output, one line an input, in order.")
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help=f"{recipe.inputs}; from standard input if not given")
    _add_run(parser, recipe)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--nbest", metavar="N", type=int, default=1, help="results an input, best first [1]")
    parser.add_argument("--pictures", metavar="DIR", type=Path, help="draw what the model attended to, a file an input")
    args = parse(parser, argv)
    if args.nbest < 1:
        raise InputError(f"`--nbest` must be at least 1, got {args.nbest}")
    config, _ = _stored(recipe, args)
    return recipe.predict(
        config,
        args.run,
        args.inputs or stdin_lines(),
        as_json=args.json,
        nbest=args.nbest,
        pictures=args.pictures,
        device=pick_device(args.device),
    )


def _stored(recipe: Recipe, args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The config of the run in `args`, search flags applied, and all that its config.yaml says."""
    path = args.run / "config.yaml"
    if not path.is_file():
        raise InputError(f"`--run` must be the folder of a trained run, got {args.run}, which has no config.yaml")
    values = _read(recipe, path)
    return replace(update(recipe.config(), path, values), _given(args, recipe)), values


def _read(recipe: Recipe, path: Path) -> dict[str, Any]:
    """What the config file says; InputError where it says that it is another recipe's."""
    values = read_values(path)
    if values.get("recipe", recipe.name) != recipe.name:
        raise InputError(f"{path}: must be a config of {recipe.name}, got one of {values['recipe']}")
    return values


def _given(args: argparse.Namespace, recipe: Recipe) -> dict[str, str]:
    """The fields that were given as flags."""
    known = fields_by_name(recipe.config)
    return {name: value for name, value in vars(args).items() if name in known}


def _add_run(parser: Parser, recipe: Recipe) -> None:
    """The run folder, the device, and every field of the config's search part."""
    parser.add_argument("--run", metavar="RUN", type=Path, required=True, help="the folder of a trained run")
    _add_device(parser)
    _add_fields(parser, recipe, only=recipe.search)


def _add_device(parser: Parser) -> None:
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: the GPU when there is one [auto]"
    )


def _add_fields(parser: Parser, recipe: Recipe, only: str | None = None) -> None:
    """A flag for every field, or those of section `only`, grouped by section, at no default: absent is not given."""
    defaults, known = flatten(recipe.config()), fields_by_name(recipe.config)
    wanted = [(leaf.path[:-1], name, leaf) for name, leaf in known.items() if only in (None, leaf.path[0])]
    for section, fields in itertools.groupby(wanted, key=lambda field: field[0]):
        group = parser.add_argument_group(" ".join(section) or recipe.name)
        for _, name, leaf in fields:
            shown = yaml_text(defaults[name])
            group.add_argument(
                f"--{name}",
                metavar=notation(leaf.type),
                default=argparse.SUPPRESS,
                help=f"{leaf.doc} {shown if shown[0] == '[' else f'[{shown}]'}".replace("%", "%%"),
            )


def _presets(recipe: Recipe) -> str:
    """Every preset with the fields that it sets otherwise than the defaults."""
    defaults, texts = flatten(recipe.config()), []
    for name, preset in recipe.presets.items():
        changed = (f"{key} {yaml_text(value)}" for key, value in flatten(preset()).items() if value != defaults[key])
        text = f"{name:<12}{', '.join(changed) or 'the defaults'}"
        texts += textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent=" " * 14)
    return "\n".join(["presets, and what they change:", *texts])
