"""Variants of a recipe side by side: trained and scored alike, each tested against the first.

    seqkit TASK compare --data DIR --out DIR --preset P --variants A,B,… [--split NAME] [--<field> VALUE …]

A variant is the preset with some fields changed; all else, the budget too, is the same for all. Every variant is an
ordinary run in its own folder, so an interrupted comparison continues where it was, and a variant can be looked at by
itself.
"""

import argparse
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.config import fields_by_name, yaml_text
from seqkit.data.files import atomic_write, parse_json, read_json, read_lines
from seqkit.errors import InputError
from seqkit.find_data import find_data
from seqkit.flags import Parser
from seqkit.recipe import SEARCH, EvaluationReport, Recipe
from seqkit.score.confidence import Difference
from seqkit.score.evaluate import METRICS, Statistics, paired_tests, statistics, with_holm
from seqkit.score.metric import Score
from seqkit.score.terminal import columns, figure, signed
from seqkit.tasks import command_of
from seqkit.train.loop import Outcome
from seqkit.unscored import is_unanswered

Variants = Mapping[str, Mapping[str, Any]]


class Result(NamedTuple):
    """What one variant came to."""

    name: str
    scores: dict[str, Score]
    differences: dict[str, Difference]  # from the first variant; empty for the first itself
    seconds: float  # of training
    steps: int
    best: dict[str, float] = {}  # of the extra evaluation split, chosen on it, as it is often done and should not be


def run(
    recipe: Recipe,
    argv: Sequence[str],
    train: Callable[[list[str]], Outcome],
    evaluate: Callable[[list[str]], EvaluationReport | None],
) -> None:
    """Train and score variants of a recipe; `train` and `evaluate` take the arguments of these commands. Whatever flag
    is not known here is one of theirs. Ends where a training is interrupted."""
    args, shared, asked = _parse(recipe, argv)
    names = chosen(recipe.variants, args.variants)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("`compare` must run as one process; train its variants one by one to use several")
    data = ["--data", args.data] if args.data else []
    if args.data and is_unanswered(find_data(args.data, (args.split,)), args.split):
        raise InputError(f"`--split` must have references to compare by, got {args.split}, of which no item has any")
    searched = {name for name, leaf in fields_by_name(recipe.config).items() if leaf.path[0] == SEARCH}
    results: list[Result] = []
    first: Mapping[str, Statistics] = {}
    for name in names:
        changes = recipe.variants[name]
        folder = args.out / folder_of(recipe.variants, name, searched)
        own = {field: value for field, value in changes.items() if field not in searched}
        outcome = train([*data, "--out", str(folder), "--resume", *shared, *flags(own)])
        if outcome.ending == "interrupted":
            return
        search = flags({field: value for field, value in changes.items() if field in searched})
        found = evaluate(["--run", str(folder), *data, "--split", args.split, "--name", name, *search, *asked])
        assert found, "one process has the report"
        result, counts = read_result(folder, name, found, first)
        results.append(result)
        first = first or counts
    corrected = with_holm([own.differences for own in results[1:]])
    results[1:] = [own._replace(differences=found) for own, found in zip(results[1:], corrected, strict=True)]
    write(results, args.out / f"compare_{args.split}.json")
    print(table(results))


def _parse(recipe: Recipe, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
    """The flags of `compare`, and those of `train` and of `evaluate`."""
    parser = Parser(
        f"{command_of(recipe.name)} compare",
        "Variants that differ in a few fields, trained and scored alike; and every flag of `train`, for all of them.",
        usage="%(prog)s --data DIR --out DIR [--variants NAMES] [--split NAME] [--preset P] [--<field> VALUE …]",
        epilog=_listed(recipe.variants),
    )
    parser.add_argument("--data", metavar="DIR", help="folder of manifests; may be left out with --preset tiny")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the variants' run folders")
    parser.add_argument("--variants", metavar="A,B", default="", help="the others are tested against the first [all]")
    parser.add_argument("--split", metavar="NAME", default="val", help="the manifest to score, without .jsonl [val]")
    args, shared = parser.parse_known_args(argv)
    options = Parser(parser.prog, "", add_help=False)
    names = fields_by_name(recipe.evaluation) if recipe.evaluation else ()
    for name in names:
        options.add_argument(f"--{name}", default=argparse.SUPPRESS)
    own, shared = options.parse_known_args(shared)
    return args, shared, flags(vars(own))


def folder_of(variants: Variants, name: str, searched: Collection[str]) -> str:
    """The first variant that is trained as `name` is: those that differ in search alone share a run."""

    def trained(name: str) -> dict[str, Any]:
        return {field: value for field, value in variants[name].items() if field not in searched}

    return next(other for other in variants if trained(other) == trained(name))


def flags(fields: Mapping[str, Any]) -> list[str]:
    """Fields as words of the command line."""
    written = {name: value if isinstance(value, str) else yaml_text(value) for name, value in fields.items()}
    return [part for name, text in written.items() for part in (f"--{name}", text)]


def chosen(variants: Variants, names: str) -> list[str]:
    """The variants named in `names`, separated by commas, or all. Raises InputError for an unknown one."""
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(variants)
    for name in wanted:
        if name not in variants:
            raise InputError(f"`--variants` must be among {', '.join(variants)}, got {name!r}")
    return wanted


def read_result(
    run: Path, name: str, found: EvaluationReport, first: Mapping[str, Statistics]
) -> tuple[Result, Mapping[str, Statistics]]:
    """What a run that was just evaluated came to, and its statistics; `first` are those of the first variant. Raises
    InputError for files that were damaged meanwhile."""
    try:
        report = read_json(found.folder / "report.json")
        lines = _objects(found.folder / "hypotheses.jsonl")
        texts = [line["hypothesis"] for line in lines]
        counts = statistics(list(report["metrics"]), [line["references"] for line in lines], texts, found.options)
        log = _objects(run / "log.jsonl")
        last = next(entry for entry in reversed(log) if "seconds" in entry)
        scores = {metric: Score(**values) for metric, values in report["metrics"].items()}
        tested = paired_tests(first, counts) if first else {}
        seconds, step = float(last["seconds"]), int(last["step"])
        return Result(name, scores, tested, seconds, step, best_of_all(log)), counts
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
        raise InputError(f"{run}, {found.folder}: must hold whole reports and a log, got damage ({error})") from None


def _objects(path: Path) -> list[dict[str, Any]]:
    return [parse_json(line, f"{path}, line {number}") for number, line in read_lines(path)]


def best_of_all(log: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The best figures of the extra evaluation split, `extra_wer` and the like, by which nothing was chosen."""
    found: dict[str, float] = {}
    for name, value in (pair for entry in log for pair in entry.get("validation", {}).items()):
        metric = name.removeprefix("extra_")
        if metric != name and metric in METRICS:
            better = min if METRICS[metric].lower_is_better else max
            found[metric] = better(found.get(metric, value), value)
    return found


def table(results: Sequence[Result]) -> str:
    """A line a variant and metric: value, interval, and the paired difference from the first variant, of several with
    its p-value corrected by Holm's method."""
    several, tempting = len(results) > 2, any(result.best for result in results)
    head = ["metric", "variant", "value", "difference", *(["p_holm"] if several else []), "steps", "seconds"]
    lines = [[*head, "best of all validations"] if tempting else head]
    for metric in results[0].scores:
        for own in results:
            found = own.differences.get(metric)
            line = [metric, own.name, figure(own.scores[metric]), signed(found) if found else ""]
            line += [f"{found.p_holm:.3f}" if found and found.p_holm is not None else ""] if several else []
            line += [f"{own.steps:,}", f"{own.seconds:,.0f}"]
            if tempting:
                line.append(f"{own.best[metric]:.2f}" if metric in own.best else "")
            lines.append(line)
    return columns(lines, left=2)


def write(results: Sequence[Result], path: Path) -> None:
    """The same as JSON."""
    plain = [
        {
            "variant": own.name,
            "steps": own.steps,
            "seconds": own.seconds,
            "metrics": {name: score._asdict() for name, score in own.scores.items()},
            "differences": {name: tested._asdict() for name, tested in own.differences.items()},
            "best_of_all_validations": own.best,
        }
        for own in results
    ]
    with atomic_write(path) as file:
        file.write(json.dumps({"variants": plain}, indent=1, allow_nan=False).encode() + b"\n")


def _listed(variants: Variants) -> str:
    lines = [[f"  {name}", ", ".join(f"{f} {yaml_text(v)}" for f, v in own.items())] for name, own in variants.items()]
    return "variants, and what they change:\n" + columns(lines, left=2)
