"""Rows of a table: variants of a recipe, trained and scored alike, each tested against the first.

    python recipes/RECIPE.py compare --data DIR --out DIR --preset P --rows A,B,... [--split NAME] [--<field> VALUE …]

A row is the preset with some fields changed; all else, the budget too, is the same for all. Every row is an ordinary
run in its own folder, so an interrupted comparison goes on where it was, and a row can be looked at by itself.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.config import fields_by_name, load_config
from seqkit.data.files import atomic_write
from seqkit.errors import InputError
from seqkit.flags import Parser
from seqkit.score.confidence import Difference
from seqkit.score.evaluate import METRICS, Statistics, paired_tests, statistics
from seqkit.score.metric import AS_IT_IS, Score, TextOptions
from seqkit.score.terminal import columns, figure, signed


class Row(NamedTuple):
    """What one variant came to."""

    name: str
    scores: dict[str, Score]
    less_the_first: dict[str, Difference]  # empty for the first itself
    seconds: float  # of training
    steps: int
    best: dict[str, float] = {}  # of a further split, chosen on it, as it is often done and should not be


def run(
    recipe: Any, argv: Sequence[str], train: Callable[[list[str]], Any], evaluate: Callable[[list[str]], Any]
) -> None:
    """Train and score rows of `recipe`, a `seqkit.cli.Recipe`; `train` and `evaluate` take the arguments of these
    commands. Whatever flag is not known here is one of training. Ends where a training is interrupted."""
    parser = Parser(
        f"{recipe.name} compare",
        "Rows that differ in a few fields, trained and scored alike; and every flag of `train`, for all of them.",
        usage="%(prog)s --data DIR --out DIR [--rows NAMES] [--split NAME] [--preset P] [--<field> VALUE …]",
        epilog=_listed(recipe.rows),
    )
    parser.add_argument("--data", metavar="DIR", help="folder of manifests; may be left out with --preset tiny")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the rows' run folders")
    parser.add_argument(
        "--rows", metavar="NAMES", default="", help="separated by commas; the others are tested against the first [all]"
    )
    parser.add_argument("--split", metavar="NAME", default="val", help="the manifest to score, without .jsonl [val]")
    args, shared = parser.parse_known_args(argv)
    names = chosen(recipe.rows, args.rows)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("`compare` must run as one process; train its rows one by one to use several")
    data = ["--data", args.data] if args.data else []
    searched = {name for name, leaf in fields_by_name(recipe.config).items() if leaf.path[0] == recipe.search}
    rows: list[Row] = []
    tallies: list[Mapping[str, Statistics]] = []
    for name in names:
        own = {field: value for field, value in recipe.rows[name].items() if field not in searched}
        trained = args.out / folder_of(recipe.rows, name, searched)
        outcome = train([*data, "--out", str(trained), "--resume", *shared, *flags(own)])
        if outcome.ending == "interrupted":
            return
        search = {field: value for field, value in recipe.rows[name].items() if field in searched}
        evaluate(["--run", str(trained), *data, "--split", args.split, *flags(search)])
        config = load_config(recipe.config, trained / "config.yaml")
        row, counts = read_row(
            trained,
            name,
            args.split,
            recipe.options(config) if recipe.options else AS_IT_IS,
            tallies[0] if tallies else {},
        )
        rows.append(row)
        tallies.append(counts)
    write(rows, args.out / f"compare_{args.split}.json")
    print(table(rows))


def folder_of(rows: Mapping[str, Mapping[str, str]], name: str, searched: Collection[str]) -> str:
    """The first row that is trained as `name` is: rows that differ in search alone share a run."""

    def trained(row: str) -> dict[str, str]:
        return {field: value for field, value in rows[row].items() if field not in searched}

    return next(row for row in rows if trained(row) == trained(name))


def flags(fields: Mapping[str, str]) -> list[str]:
    return [part for field, value in fields.items() for part in (f"--{field}", value)]


def chosen(rows: Mapping[str, Mapping[str, str]], names: str) -> list[str]:
    """The rows named in `names`, separated by commas, or all. Raises InputError for an unknown one."""
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(rows)
    for name in wanted:
        if name not in rows:
            raise InputError(f"`--rows` must be among {', '.join(rows)}, got {name!r}")
    return wanted


def read_row(
    run: Path, name: str, split: str, options: TextOptions, first: Mapping[str, Statistics]
) -> tuple[Row, Mapping[str, Statistics]]:
    """What a run that was just evaluated on `split` came to, and its counts; `first` are those of the first row."""
    folder = run / "evaluate" / split
    report = json.loads((folder / "report.json").read_bytes())
    lines = [json.loads(line) for line in (folder / "hypotheses.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [line["hypothesis"] for line in lines]
    counts = statistics(list(report["metrics"]), [line["references"] for line in lines], texts, options)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = next(entry for entry in reversed(log) if "seconds" in entry)
    scores = {metric: Score(**values) for metric, values in report["metrics"].items()}
    tested = paired_tests(first, counts) if first else {}
    return Row(name, scores, tested, last["seconds"], last["step"], peeked(log)), counts


def peeked(log: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The best figures of a split that validation scored and nothing was chosen by: `peek_wer` and the like."""
    found: dict[str, float] = {}
    for name, value in (pair for entry in log for pair in entry.get("validation", {}).items()):
        metric = name.removeprefix("peek_")
        if metric != name:
            better = min if METRICS[metric].lower_is_better else max
            found[metric] = better(found.get(metric, value), value)
    return found


def table(rows: Sequence[Row]) -> str:
    """A line a row and metric: value, interval, and the paired difference from the first row."""
    head = ["metric", "row", "value", "less the first", "steps", "seconds"]
    tempting = any(row.best for row in rows)
    lines = [[*head, "best of all validations"] if tempting else head]
    for metric in rows[0].scores:
        for row in rows:
            less = signed(row.less_the_first[metric]) if row.less_the_first else ""
            lines.append(
                [
                    metric,
                    row.name,
                    figure(row.scores[metric]),
                    less,
                    f"{row.steps:,}",
                    f"{row.seconds:,.0f}",
                    *([f"{row.best[metric]:.2f}" if metric in row.best else ""] if tempting else []),
                ]
            )
    return columns(lines, left=2)


def write(rows: Sequence[Row], path: Path) -> None:
    """The same as JSON."""
    plain = [
        {
            "row": row.name,
            "steps": row.steps,
            "seconds": row.seconds,
            "metrics": {name: score._asdict() for name, score in row.scores.items()},
            "less_the_first": {name: tested._asdict() for name, tested in row.less_the_first.items()},
            "best_of_all_validations": row.best,
        }
        for row in rows
    ]
    with atomic_write(path) as file:
        file.write(json.dumps({"rows": plain}, indent=1, allow_nan=False).encode() + b"\n")


def _listed(rows: Mapping[str, Mapping[str, str]]) -> str:
    lines = [[f"  {name}", ", ".join(f"{field} {value}" for field, value in row.items())] for name, row in rows.items()]
    return "rows, and what they change:\n" + columns(lines, left=2)
