"""`seqkit score`: scores any system's hypotheses against references, as a table or as JSON."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqkit.data.text import printable
from seqkit.errors import InputError
from seqkit.score.confidence import LEVEL, RESAMPLES, Difference
from seqkit.score.error_rate import align, errors
from seqkit.score.evaluate import (
    METRICS,
    TOKENIZERS,
    Statistics,
    item_values,
    paired_tests,
    scores_with_intervals,
    statistics,
    worst_first,
)
from seqkit.score.metric import Score, TextOptions, normalize
from seqkit.score.read_texts import FORMATS, Corpus, read_corpus
from seqkit.score.remarks import remarks
from seqkit.score.terminal import columns, figure, side_by_side, signed
from seqkit.score.vqa import SCRIPTS

EDITS = ("substitutions", "deletions", "insertions", "hits", "reference_length")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `run`."""
    add = parser.add_argument
    add(
        "references",
        metavar="REFERENCES",
        type=Path,
        help="plain lines, Kaldi's `id text`, sclite's .trn, .jsonl with `references`, or annotations of COCO or VQA",
    )
    add(
        "hypotheses",
        metavar="HYPOTHESES",
        type=Path,
        nargs="+",
        help="a file per system: as above, .jsonl with `hypothesis`, or results of COCO or VQA; each further one is "
        "tested against the first",
    )
    add("--metric", metavar="NAMES", default="wer,cer,bleu", help=f"of {' '.join(METRICS)} [wer,cer,bleu]")
    add(
        "--references",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        dest="more",
        help="a further file of references for the same items; may be repeated",
    )
    add(
        "--format",
        choices=FORMATS,
        default="auto",
        help="of all the files; auto: by content, `id text` where all lines begin with a word like utt1 [auto]",
    )
    add("--lowercase", action="store_true", help="compare in lower case")
    add("--raw", action="store_true", help="compare texts as they are, not in Unicode NFC with single spaces")
    add("--no_punctuation", action="store_true", help="compare without characters of the Unicode categories P*")
    add(
        "--tokenize",
        choices=TOKENIZERS,
        help="of BLEU, as sacrebleu names them; with ptb, bleu1 to bleu4 are COCO's [zh for Chinese, char for other "
        "references without spaces, else 13a]",
    )
    add(
        "--vqa_script",
        choices=SCRIPTS,
        default=SCRIPTS[0],
        help="the version of the official VQA evaluation script that vqa_accuracy equals [2021]",
    )
    add("--wordnet", metavar="DIR", type=Path, help="WordNet's dict files, which wups_0.9 and wups_0.0 need [none]")
    add("--resamples", metavar="N", type=int, default=RESAMPLES, help=f"for intervals and tests [{RESAMPLES}]")
    add("--seed", metavar="N", type=int, default=0, help="of the resamples [0]")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    output.add_argument(
        "--details",
        metavar="N",
        type=int,
        default=0,
        help="also print the N worst items of every system by the first metric, aligned",
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints every system's scores and, for several systems, the differences from the first.

    Raises InputError for files that do not belong together and for values out of range.
    """
    for name, least in (("resamples", 1), ("seed", 0), ("details", 0)):
        if getattr(arguments, name) < least:
            raise InputError(f"`--{name}` must be at least {least}, got {getattr(arguments, name)}")
    names = [name.strip() for name in arguments.metric.split(",")]
    corpus = read_corpus([arguments.references, *arguments.more], arguments.hypotheses, arguments.format)
    options = TextOptions(
        arguments.lowercase,
        not arguments.no_punctuation,
        arguments.tokenize,
        arguments.vqa_script,
        arguments.wordnet,
        arguments.raw,
    )
    tallies = [statistics(names, corpus.references, system, options) for system in corpus.systems]
    draws = {"resamples": arguments.resamples, "seed": arguments.seed}
    systems = [scores_with_intervals(found, **draws) for found in tallies]
    pairs = [paired_tests(tallies[0], other, **draws) for other in tallies[1:]]
    files = [str(path) for path in arguments.hypotheses]
    said = [*corpus.remarks]
    for file, system, found in zip(files, corpus.systems, tallies, strict=True):
        notes = remarks(found, corpus.references, system, options)
        said += [note if len(files) == 1 or note.startswith("references") else f"{file}: {note}" for note in notes]
    said = [f"remark: {printable(text)}" for text in dict.fromkeys(said)]
    if arguments.json:
        print(*said, sep="\n", end="\n" * bool(said), file=sys.stderr)
        print(json.dumps(_as_json(files, systems, pairs), indent=1, allow_nan=False))
        return
    print(f"{len(corpus.ids)} items, matched {corpus.matched}; in brackets {LEVEL:g} % intervals\n")
    print(_table(files, systems, pairs))
    print(*said, sep="\n", end="\n" * bool(said))
    for file, system, found in zip(files, corpus.systems, tallies, strict=True):
        if arguments.details:
            print(f"\nworst of {file} by {names[0]}\n")
            print(_details(corpus, system, names[0], found[names[0]], options, arguments.details))


def _as_json(
    files: Sequence[str], systems: Sequence[Mapping[str, Score]], pairs: Sequence[Mapping[str, Difference]]
) -> dict[str, object]:
    return {
        "systems": [
            {"file": file, "metrics": {name: score._asdict() for name, score in found.items()}}
            for file, found in zip(files, systems, strict=True)
        ],
        "pairs": [
            {
                "baseline": files[0],
                "file": file,
                "metrics": {
                    name: {"difference": d.value, "low": d.low, "high": d.high, "p_value": d.p_value}
                    for name, d in found.items()
                },
            }
            for file, found in zip(files[1:], pairs, strict=True)
        ],
    }


def _table(
    files: Sequence[str], systems: Sequence[Mapping[str, Score]], pairs: Sequence[Mapping[str, Difference]]
) -> str:
    """Formats a row per metric and system, with its difference from the first system; then edits; then signatures."""
    rows = [["metric", "system", "value", *(["difference"] if pairs else [])]]
    edits = [["edits", "system", *(key.replace("_", " ") for key in EDITS)]]
    for name in systems[0]:
        for place, (file, found) in enumerate(zip(files, systems, strict=True)):
            tested = [signed(pairs[place - 1][name]) if place else ""] if pairs else []
            rows.append([name, file, figure(found[name]), *tested])
            if name in ("wer", "cer"):
                edits.append([name, file, *(str(found[name].counts[key]) for key in EDITS)])
    tables = [rows, edits] if len(edits) > 1 else [rows]
    signatures = "\n".join(score.signature for score in systems[0].values())
    return "\n\n".join([*(columns(table, left=2) for table in tables), signatures])


def _details(
    corpus: Corpus, system: Sequence[str], name: str, tallied: Statistics, options: TextOptions, number: int
) -> str:
    references = [[normalize(text, options) for text in texts] for texts in corpus.references]
    hypotheses = [normalize(text, options) for text in system]
    value_N = item_values(tallied)
    shown = []
    for item in worst_first(tallied, references, hypotheses)[:number]:
        pairs = align(references[item], hypotheses[item], "character" if name == "cer" else "word")
        heading = f"{printable(corpus.ids[item])}  {name} {value_N[item]:.2f}  {errors(pairs)} edits"
        shown.append(f"{heading}\n{side_by_side(pairs)}")
    return "\n\n".join(shown)
