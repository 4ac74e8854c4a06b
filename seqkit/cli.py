"""The `seqkit` command: a task's commands, data preparation, scoring, checking, and the demonstration."""

import functools
import importlib
from collections.abc import Callable, Collection, Mapping, Sequence

from seqkit import __version__
from seqkit.config import nearest
from seqkit.errors import InputError
from seqkit.flags import Parser, parse, run_cli
from seqkit.share import read_parts, run_merged, run_part, split_flags
from seqkit.tasks import CORPORA, SHARED, TASKS, find_corpus, find_recipe

COMMANDS = {
    "prepare": ("own files, corpora", "prepare videos --raw DIR --out DIR"),
    "check": ("own manifests, media", "check DIR"),
    "score": ("any system's output", "score --metric wer REFS.txt HYPS.txt"),
    "export": ("a run as ONNX", "export RUN OUT"),
    "push": ("a run to the Hub", "push RUN OWNER/NAME --license mit"),
    "shards": ("a corpus as tar files", "shards DATA OUT"),
    "merge": ("parts of a command", "merge PARTS"),
    "average": ("mean of runs' weights", "average RUN RUN OUT"),
    "demo": ("tasks on made-up data", "demo"),
    "page": ("runs in the browser", "page RUN"),
}
PACKAGES = (  # dependencies that `score`, and `check` of texts, can do without
    *("torch", "torchvision", "torchaudio", "safetensors", "jsonargparse", "yaml", "sentencepiece", "tensorboard"),
    *("matplotlib", "PIL", "cv2", "av", "soundfile"),
)


def main(argv: Sequence[str] | None = None, *, only: Sequence[str] = ()) -> int:
    """The exit status of the command `argv`, by default that of the process; `only` limits the first word."""
    return run_cli(functools.partial(_run, only), argv)


def _run(only: Sequence[str], argv: list[str]) -> object:
    commands: dict[str, Callable[[list[str]], object]] = {
        **{name: functools.partial(_task, name) for name in TASKS},
        "prepare": _prepare,
        "check": _check,
        "score": _score,
        "export": _export,
        "push": _push,
        "shards": _shards,
        "merge": _merge,
        "average": _average,
        "demo": _demo,
        "page": _page,
    }
    known = {name: commands[name] for name in only or commands}
    first = argv[0] if argv else "--help"
    if first in ("-h", "--help"):
        print(_help(known))
        return 0
    if first == "--version":
        print(f"seqkit {__version__}")
        return 0
    if first not in known:
        inside = [name for name in known if name in TASKS and TASKS[name].module.startswith(f"{first}.")]
        meant = f"; its recipes are {' and '.join(f'`{name}`' for name in inside)}" if inside else nearest(first, known)
        task = next((name for name in known if name in TASKS and f"`{name}`" in meant), next(iter(known)))
        raise InputError(
            f"the first word must be a task or a command, got `{first}`{meant}. "
            f"To train: `seqkit {task} train --data DIR --out RUN`; `seqkit --help` lists all"
        )
    try:
        return _cut(known, argv)
    except ModuleNotFoundError as error:  # installed with --no-deps for `score` and `check` alone
        if (error.name or "").split(".")[0] not in PACKAGES:
            raise
        raise InputError(f"`seqkit {first}` must find {error.name}, got no such package: pip install seqkit") from None


def _cut(known: Mapping[str, Callable[[list[str]], object]], argv: list[str]) -> object:
    """Run a command, or with `--shard` a part of it."""
    rest, shard, parts = split_flags(argv)
    if not (shard or parts):
        return known[argv[0]](argv[1:])
    if len(argv) < 2 or argv[0] != "prepare" and (argv[0] not in TASKS or argv[1] not in ("evaluate", "predict")):
        raise InputError(f"`--shard` must be given to evaluate, predict or prepare, got `{' '.join(argv[:2])}`")
    if argv[0] == "prepare" and argv[1] not in SHARED:
        raise InputError(f"`--shard` must be given to a preparation with work to share, got `{argv[1]}`: run it whole")
    run_part(lambda words: known[words[0]](words[1:]), rest, shard, parts)
    return 0


def _merge(argv: list[str]) -> object:
    from pathlib import Path

    parser = Parser("seqkit merge", "Run a command of which `--shard i/n --parts DIR` has computed all parts.")
    parser.add_argument("parts", metavar="DIR", type=Path, help="the folder of the parts, all made by you")
    return run_merged(functools.partial(_run, ()), read_parts(parse(parser, argv).parts))


def _help(known: Collection[str]) -> str:
    """One screen: an example of every task and command, and what it is."""
    examples = {name: (f"seqkit {name} {entry.example}", entry.about) for name, entry in TASKS.items()}
    tasks = [f"  {example:<54} {about}" for name, (example, about) in examples.items() if name in known]
    others = [(f"seqkit {example}", about) for name, (about, example) in COMMANDS.items() if name in known]
    commands = [f"  {example:<54} {about}" for example, about in others]
    return "\n".join(
        [
            f"seqkit {__version__}: sequence models for text, images, video and sound",
            "",
            "seqkit TASK train|evaluate|predict|compare …, an example of each task:",
            *tasks,
            *(["", "and of each other command:", *commands] if commands else []),
            "",
            "`seqkit TASK COMMAND --help` lists flags; guides: recipes/TASK/README.md",
        ]
    )


def _task(name: str, argv: list[str]) -> object:
    from seqkit.commands import run_task

    return run_task(find_recipe(name), argv)


def _prepare(argv: list[str]) -> object:
    first = argv[0] if argv else "--help"
    if first in ("-h", "--help"):
        own, made = (
            [f"  {name:<16}{entry.about}" for name, entry in CORPORA.items() if entry.module.startswith("own.") is mine]
            for mine in (True, False)
        )
        print("usage: seqkit prepare NAME --raw DIR --out DIR", "\nYour own files:", *own, sep="\n")
        print("\nPublished corpora, and those made by rule:", *made, sep="\n")
        print("\n`seqkit prepare NAME --help` says what it reads and writes.")
        return 0
    if first not in CORPORA:
        raise InputError(f"the corpus must be one of {', '.join(CORPORA)}, got `{first}`{nearest(first, CORPORA)}")
    return find_corpus(first).main(argv[1:])


def _score(argv: list[str]) -> None:
    from seqkit.score import command

    parser = Parser("seqkit score", "Score hypotheses against references, item by item in the same order or by id.")
    command.add_arguments(parser)
    command.run(parse(parser, argv))


def _shards(argv: list[str]) -> None:
    from pathlib import Path

    parser = Parser("seqkit shards", "Write a corpus as tar files (webdataset's shards) that recipes train from.")
    parser.add_argument("data", metavar="DATA", type=Path, help="folder of manifests, *.jsonl, with their media")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write")
    parser.add_argument(
        "--megabytes", type=int, default=500, metavar="N", help="size of a shard; only a single item exceeds it [500]"
    )
    args = parse(parser, argv)
    if args.megabytes < 1:
        raise InputError(f"`--megabytes` must be at least 1, got {args.megabytes}")

    from seqkit.data.shard_writer import summary, write_shards
    from seqkit.find_data import find_data

    print(*summary(write_shards(find_data(args.data), args.out, most=args.megabytes * 10**6)), sep="\n")


def _average(argv: list[str]) -> None:
    from pathlib import Path

    parser = Parser("seqkit average", "Write the mean of the weights of runs of one recipe, as a run of its own.")
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="a run, or a checkpoint such as RUN/last")
    parser.add_argument("out", metavar="OUT", type=Path, help="the run folder to write")
    args = parse(parser, argv)

    from seqkit.average import average

    average(args.runs, args.out)
    print(args.out)


def _export(argv: list[str]) -> None:
    from seqkit.export import command

    parser = Parser("seqkit export", "Write a trained run as ONNX, with a decoder in numpy and a README beside it.")
    command.add_arguments(parser)
    command.run(parse(parser, argv))


def _push(argv: list[str]) -> None:
    from seqkit.hub import command

    parser = Parser(
        "seqkit push", "Make a trained run a model of the Hugging Face Hub, with a model card, in one commit."
    )
    command.add_arguments(parser)
    command.run(parse(parser, argv))


def _check(argv: list[str]) -> None:
    from seqkit.data import check
    from seqkit.find_data import find_data

    parser = Parser("seqkit check", "Validate every manifest of a folder, and the media it names.")
    check.add_arguments(parser)
    args = parse(parser, argv)
    args.folder = find_data(args.folder)
    check.run(args, find_recipe(args.recipe).reads if args.recipe else None)


def _demo(argv: list[str]) -> object:
    return importlib.import_module("seqkit.recipes.demo").main(argv)


def _page(argv: list[str]) -> object:
    return importlib.import_module("seqkit.recipes.page.app").main(argv)
