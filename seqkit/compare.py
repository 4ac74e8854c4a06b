"""Rows of a table: variants of a recipe, trained and scored alike, each tested against the first.

    python recipes/RECIPE.py compare --data DIR --out DIR --preset P --rows A,B,... [--split NAME] [--<field> VALUE …]

A row is the preset with some fields changed; all else, the budget too, is the same for all. Every row is an ordinary
run in its own folder, so an interrupted comparison goes on where it was, and a row can be looked at by itself.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.config import load_config
from seqkit.data.files import atomic
from seqkit.errors import InputError
from seqkit.flags import Parser
from seqkit.score.confidence import Difference
from seqkit.score.evaluate import differences, tally
from seqkit.score.metric import AS_IT_IS, Score, TextOptions
from seqkit.score.terminal import columns, figure, signed


class Row(NamedTuple):
    """What one variant came to."""

    name: str
    scores: dict[str, Score]
    less_the_first: dict[str, Difference]  # empty for the first itself
    seconds: float  # of training
    steps: int


def run(
    recipe: Any, argv: Sequence[str], train: Callable[[list[str]], Any], evaluate: Callable[[list[str]], Any]
) -> None:
    """Train and score rows of `recipe`, a `seqkit.cli.Recipe`; `train` and `evaluate` take the arguments of these
    commands. Whatever flag is not known here is one of training. Ends where a training is interrupted."""
    parser = Parser(f"{recipe.name} compare", "Rows that differ in a few fields, trained and scored alike; and every "
                    "flag of `train`, for all of them.", usage="%(prog)s --data DIR --out DIR [--rows NAMES] [--split "
                    "NAME] [--preset P] [--<field> VALUE …]", epilog=_listed(recipe.rows))
    parser.add_argument("--data", metavar="DIR", help="folder of manifests; may be left out with --preset tiny")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the rows' run folders")
    parser.add_argument("--rows", metavar="NAMES", default="",
                        help="separated by commas; the others are tested against the first [all]")
    parser.add_argument("--split", metavar="NAME", default="val", help="the manifest to score, without .jsonl [val]")
    args, shared = parser.parse_known_args(argv)
    names = chosen(recipe.rows, args.rows)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("`compare` must run as one process; train its rows one by one to use several")
    data = ["--data", args.data] if args.data else []
    for name in names:
        fields = [part for field, value in recipe.rows[name].items() for part in (f"--{field}", value)]
        outcome = train([*data, "--out", str(args.out / name), "--resume", *shared, *fields])
        if outcome.ending == "interrupted":
            return
        evaluate(["--run", str(args.out / name), *data, "--split", args.split])
    config = load_config(recipe.config, args.out / names[0] / "config.yaml")
    rows = read_rows(args.out, names, args.split, recipe.options(config) if recipe.options else AS_IT_IS)
    write(rows, args.out / f"compare_{args.split}.json")
    print(table(rows))


def chosen(rows: Mapping[str, Mapping[str, str]], names: str) -> list[str]:
    """The rows named in `names`, separated by commas, or all. Raises InputError for an unknown one."""
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(rows)
    for name in wanted:
        if name not in rows:
            raise InputError(f"`--rows` must be among {', '.join(rows)}, got {name!r}")
    return wanted


def read_rows(out: Path, names: Sequence[str], split: str, options: TextOptions) -> list[Row]:
    """The rows of runs `out/name` that were evaluated on `split`."""
    found: list[Row] = []
    tallies = []
    for name in names:
        folder = out / name / "evaluate" / split
        report = json.loads((folder / "report.json").read_bytes())
        lines = [json.loads(line) for line in (folder / "hypotheses.jsonl").read_text(encoding="utf-8").splitlines()]
        texts = [line["hypothesis"] for line in lines]
        tallies.append(tally(list(report["metrics"]), [line["references"] for line in lines], texts, options))
        meta = _last(out / name / "log.jsonl")
        scores = {metric: Score(**values) for metric, values in report["metrics"].items()}
        tested = differences(tallies[0], tallies[-1]) if found else {}
        found.append(Row(name, scores, tested, meta["seconds"], meta["step"]))
    return found


def table(rows: Sequence[Row]) -> str:
    """A line a row and metric: value, interval, and the paired difference from the first row."""
    lines = [["metric", "row", "value", "less the first", "steps", "seconds"]]
    for metric in rows[0].scores:
        for row in rows:
            less = signed(row.less_the_first[metric]) if row.less_the_first else ""
            lines.append([metric, row.name, figure(row.scores[metric]), less, f"{row.steps:,}", f"{row.seconds:,.0f}"])
    return columns(lines, left=2)


def write(rows: Sequence[Row], path: Path) -> None:
    """The same as JSON."""
    plain = [
        {
            "row": row.name, "steps": row.steps, "seconds": row.seconds,
            "metrics": {name: score._asdict() for name, score in row.scores.items()},
            "less_the_first": {name: tested._asdict() for name, tested in row.less_the_first.items()},
        }
        for row in rows
    ]
    with atomic(path) as file:
        file.write(json.dumps({"rows": plain}, indent=1, allow_nan=False).encode() + b"\n")


def _listed(rows: Mapping[str, Mapping[str, str]]) -> str:
    lines = [[f"  {name}", ", ".join(f"{field} {value}" for field, value in row.items())] for name, row in rows.items()]
    return "rows, and what they change:\n" + columns(lines, left=2)


def _last(path: Path) -> dict[str, Any]:
    """The last row of a training log that says how long it took."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found: dict[str, Any] = next(row for row in reversed(rows) if "seconds" in row)
    return found
