"""Exported models beside torch: largest difference, equal texts, quality, items a second as a ratio, and size.

    python recipes/benchmarks/export_speed.py --data DIR [--split test] [--items 200] [--beam 5] [--threads 1] RUN …

Rows of a table, one for each run, of any task but n-grams, and one for its 8-bit export. Both sides read the same items
of DIR within the processor seconds that are measured; the difference is that of log-probabilities of texts both write
alike. lipnet is compared on its likeliest path.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import seqkit
from seqkit.config import read_values
from seqkit.data.batch import pad
from seqkit.data.manifest import Item, read_manifest
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.export.beam import Model, log_softmax
from seqkit.export.command import export_run
from seqkit.find_run import config_of
from seqkit.flags import Parser, parse, run_cli
from seqkit.recipes.common.image_text import text_ids
from seqkit.recipes.grounding.data import phrase_of
from seqkit.recipes.vqa.data import question_ids
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.language import options_for
from seqkit.score.metric import TextOptions

Answer = tuple[str, float]  # a text, or the number of a choice, and its log-probability
NATS = "nats a text"
HEAD = "| run | largest difference | equal texts | metric | torch | exported | speed | size |"


@described
class Side(NamedTuple):
    """How one task's items are read and answered."""

    inputs: Callable[[Any, Sequence[Item]], Mapping[str, Any]]
    """items to the arrays of the graphs"""
    torch: Callable[[Any, Sequence[Item]], Sequence[Any]]
    """items to predictions"""
    metric: str
    """what is reported of the texts"""


def padded(name: str, rows: Sequence[Any]) -> dict[str, Any]:
    """Rows as an input and its lengths."""
    values, lengths_B = pad(rows)
    return {name: values.numpy(), f"{name}_lengths": lengths_B.numpy()}


def best_of(found: Sequence[Sequence[Any]]) -> list[Any]:
    return [best for best, *_ in found]


def pixels(predictor: Any, items: Sequence[Item]) -> dict[str, Any]:
    member = predictor.members[0]
    read = member.reader([item.image for item in items])
    return {"pixels": read[0].numpy()} if read else {}


def question(predictor: Any, items: Sequence[Item]) -> dict[str, Any]:
    rows = [question_ids(predictor.members[0].text, predictor.vocab, item.question or "") for item in items]
    return {**pixels(predictor, items), **padded("question", rows)}


def phrase(predictor: Any, items: Sequence[Item]) -> dict[str, Any]:
    phrases = [phrase_of(item) for item in items]
    words = [text_ids(predictor.vocab, one.text) for one in phrases]
    boxes = padded("boxes", [one.relative_boxes() for one in phrases])
    return {**pixels(predictor, items), **boxes, **padded("phrase", words)}


def streams(predictor: Any, items: Sequence[Item]) -> dict[str, Any]:
    reader, found = predictor.readers[0], dict[str, Any]()
    modality = getattr(predictor, "modality", "video")
    read = [reader.streams(item, modality) for item in items]
    for name, rows in zip(reader.statistics, zip(*read, strict=True), strict=True):
        values, lengths_B = pad(rows)
        if not values.shape[1]:  # no item has it: one step, of length 0
            values = values.new_zeros(values.shape[0], 1, *values.shape[2:])
        found |= {name: values.numpy(), f"{name}_lengths": lengths_B.numpy()}
    return found


def tokens(predictor: Any, items: Sequence[Item]) -> dict[str, Any]:
    return padded("tokens", [[1, *predictor.members[0].encode(item.references[0]), 2] for item in items])


SIDES = {
    "translation": Side(
        lambda p, items: padded("source", [p.vocabs.source.encode(i.source or "") for i in items]),
        lambda p, items: best_of(p.predict([i.source or "" for i in items])),
        "bleu",
    ),
    "captioning": Side(pixels, lambda p, items: p.predict_items(items), "bleu4"),
    "vqa": Side(question, lambda p, items: p.predict_items(items), "accuracy"),
    "grounding": Side(phrase, lambda p, items: p.predict_items(items), "iou_0.5"),
    "lipnet": Side(streams, lambda p, items: p.predict_items(items), "wer"),
    "wlas": Side(streams, lambda p, items: best_of(p.predict_items(items)), "wer"),
    "language_model": Side(tokens, lambda p, items: best_of(p.predict([i.references[0] for i in items])), NATS),
}


def answers(task: str, model: Model, inputs: Mapping[str, Any], predictor: Any, items: Sequence[Item]) -> list[Answer]:
    """What the exported model says, as torch's predictions say it."""
    if model.facts["kind"] == "attention":
        return [(model.text(best.tokens), best.logprob) for best, *_ in model.search(**inputs)]
    if model.facts["kind"] == "ctc":
        return [(model.text(best.tokens), best.logprob) for best in model.ctc(**inputs)]
    logits = model.run("model", inputs)["logits"]
    if task == "language_model":
        logprob = np.take_along_axis(log_softmax(logits)[:, :-1], inputs["tokens"][:, 1:, None], 2)[..., 0]
        rows = zip(logprob, inputs["tokens_lengths"], items, strict=True)
        return [(item.references[0], float(row[: length - 1].sum(dtype=np.float64))) for row, length, item in rows]
    soft = task == "vqa" and predictor.members[0].text.targets == "soft"
    logprob = -np.logaddexp(0, -logits) if soft else log_softmax(logits)
    best = logprob.argmax(-1)
    names = [predictor.answers.texts] * len(items) if task == "vqa" else [box_texts(item) for item in items]
    return [(names[row][place], float(logprob[row, place])) for row, place in enumerate(best)]


def box_texts(item: Item) -> list[str]:
    return [" ".join(f"{side:g}" for side in box) for box in item.boxes]


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def quality(metric: str, items: Sequence[Item], found: Sequence[Answer]) -> float:
    """The metric of what a side wrote; of a language model, which writes nothing, the mean negative log-probability."""
    if metric == NATS:
        return -sum(logprob for _, logprob in found) / len(found)
    texts, options = [text for text, _ in found], TextOptions(lowercase=metric in ("accuracy", "bleu4"))
    references = [item.references for item in items]
    return corpus_scores(statistics([metric], references, texts, options_for(references, options)))[metric]


def compare(run: Path, items: Sequence[Item], beam: int, threads: int) -> None:
    """Print the rows of one run."""
    task = str(read_values(config_of(run)).get("recipe"))
    search: dict[str, Any] = {"beam": beam} if task in ("translation", "captioning", "wlas") else {}
    search |= {"beam": 1, "lm": None} if task == "lipnet" else {}
    predictor, side = seqkit.load(run, device="cpu", **search).predictor, SIDES[task]
    side.torch(predictor, items[:8])
    began = time.process_time()
    expected = [(one.text, one.logprob) for one in side.torch(predictor, items)]
    seconds = time.process_time() - began
    own = quality(side.metric, items, expected)
    weights = next(run.glob("best/model.*")).stat().st_size
    for int8 in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            export_run(run, Path(folder) / "out", int8=int8)
            model = Model(Path(folder) / "out", threads)
            size = sum(path.stat().st_size for path in (Path(folder) / "out").glob("*.onnx"))
            model.facts.get("search", {})["beam"] = beam
            answers(task, model, side.inputs(predictor, items[:8]), predictor, items[:8])
            began = time.process_time()
            found: list[Answer] = []
            for some in batches(items, 32):
                found += answers(task, model, side.inputs(predictor, some), predictor, some)
            ratio = seconds / (time.process_time() - began)
        pairs = [(mine, theirs) for mine, theirs in zip(found, expected, strict=True) if mine[0] == theirs[0]]
        largest = max((abs(mine[1] - theirs[1]) for mine, theirs in pairs), default=float("nan"))
        figures = f"{side.metric} | {own:.2f} | {quality(side.metric, items, found):.2f}"
        print(
            f"| {task}{', 8 bits' if int8 else ''} | {largest:.1e} | {len(pairs)} of {len(items)} | {figures} "
            f"| {ratio:.2f} | {size / weights:.2f} |",
            flush=True,
        )


def main(argv: list[str]) -> None:
    parser = Parser("export_speed.py", "Compare exported models with torch.")
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="trained runs of one task")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parse(parser, argv)
    torch.set_num_threads(args.threads)
    items = read_manifest(args.data / f"{args.split}.jsonl")[: args.items]
    if not items:
        raise InputError(f"{args.data} must have items in {args.split}.jsonl, got none")
    print(HEAD, "|---" * HEAD.count(" |") + "|", sep="\n")
    for run in args.runs:
        compare(run, items, args.beam, args.threads)


if __name__ == "__main__":
    sys.exit(run_cli(main))
