"""`seqkit score`: scores any system's hypotheses against references, as a table or as JSON."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqkit.data.files import STDIN, atomic_write, read_lines, read_stdin
from seqkit.data.text import printable
from seqkit.errors import InputError
from seqkit.score.confidence import RESAMPLES
from seqkit.score.confusion import confusions
from seqkit.score.evaluate import (
    METRICS,
    TOKENIZERS,
    paired_tests,
    scores_by_group,
    scores_with_intervals,
    statistics,
    with_holm,
)
from seqkit.score.groups import Groups, groups_of, in_order, matched_keys, numbered
from seqkit.score.language import options_for
from seqkit.score.metric import TextOptions
from seqkit.score.normalizer import NORMALIZERS
from seqkit.score.read_texts import FORMATS, Corpus, read_corpus
from seqkit.score.remarks import remarks
from seqkit.score.result import Result, SystemResult, as_details, as_json, as_page, as_text
from seqkit.score.result_files import WRITERS, write_results
from seqkit.score.terminal import terminal_width
from seqkit.score.vqa import SCRIPTS
from seqkit.score.worst import unit_of, worst_items

WORST = 100  # items on the page
ROUGH = 20  # groups below which resampling them is


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `run`."""
    add = parser.add_argument
    add(
        "references",
        metavar="REFERENCES",
        type=Path,
        help="plain lines, Kaldi's `id text`, sclite's .trn, .jsonl with `references`, or annotations of COCO or VQA; "
        "one of all the files may be `-`, standard input",
    )
    add(
        "hypotheses",
        metavar="HYPOTHESES",
        type=Path,
        nargs="+",
        help="a file per system: as above, .jsonl with `hypothesis`, or results of COCO or VQA; each further one is "
        "tested against the first",
    )
    add(
        "--metric",
        metavar="NAMES",
        default="wer,cer,bleu",
        help=f"of {' '.join(METRICS)}, or module:NAME of your own [wer,cer,bleu]",
    )
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
    _add_texts(parser)
    _add_groups(parser)
    _add_output(parser)


def _add_texts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--lowercase", action="store_true", help="compare in lower case")
    add("--raw", action="store_true", help="compare texts as they are, not in Unicode NFC with single spaces")
    add("--no_punctuation", action="store_true", help="compare without characters of the Unicode categories P*")
    add(
        "--normalizer",
        metavar="NAMES",
        default="",
        help=f"applied to all texts first: of {' '.join(NORMALIZERS)}, or module:NAME of your own [none]",
    )
    add(
        "--tokenize",
        choices=TOKENIZERS,
        help="of BLEU, as sacrebleu names them; with ptb, bleu1 to bleu4 are COCO's [zh for Chinese, char for other "
        "references without spaces, else 13a]",
    )
    add("--language", metavar="NAME", help="of the references, which chooses the tokenizer: zh-CN, jpn, Thai …")
    add(
        "--vqa_script",
        choices=SCRIPTS,
        default=SCRIPTS[0],
        help="the version of the official VQA evaluation script that vqa_accuracy equals [2021]",
    )
    add("--wordnet", metavar="DIR", type=Path, help="WordNet's dict files, which wups_0.9 and wups_0.0 need [none]")


def _add_groups(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--by",
        metavar="KEYS",
        action="append",
        default=[],
        help="also score the items of each speaker, length, … by themselves: keys of the manifest, numbers in bins",
    )
    add("--group", metavar="KEY", help="resample whole groups, such as speakers, whose items are not independent")
    add(
        "--manifest",
        metavar="FILE",
        type=Path,
        help="of the keys, .jsonl with `id` or Kaldi's utt2spk [the file of references]",
    )
    add("--resamples", metavar="N", type=int, default=RESAMPLES, help=f"for intervals and tests [{RESAMPLES}]")
    add("--seed", metavar="N", type=int, default=0, help="of the resamples [0]")


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--confusions",
        metavar="N",
        type=int,
        default=0,
        help="also list the N most frequent words that are mistaken, left out and put in; characters for cer first [0]",
    )
    add("--html", metavar="FILE", type=Path, help=f"also write a page of all of it, with the {WORST} worst items")
    add("--write", metavar="FILE", type=Path, help="also write the hypotheses of one system as other scorers read them")
    add(
        "--write_as",
        choices=tuple(WRITERS),
        help="results JSON of COCO captions or VQA, or sclite's .trn [by the name]",
    )
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
    for name, least in (("resamples", 1), ("seed", 0), ("details", 0), ("confusions", 0)):
        if getattr(arguments, name) < least:
            raise InputError(f"`--{name}` must be at least {least}, got {getattr(arguments, name)}")
    if arguments.write_as and not arguments.write:
        raise InputError("`--write_as` must be given with `--write FILE`")
    if arguments.manifest and not (arguments.by or arguments.group):
        raise InputError("`--manifest` must be given with `--by KEYS` or `--group KEY`")
    if arguments.write and len(arguments.hypotheses) > 1:
        raise InputError(f"`--write` must be given with one file of hypotheses, got {len(arguments.hypotheses)}")
    if arguments.manifest == STDIN in (arguments.references, *arguments.more, *arguments.hypotheses):
        raise InputError("`-`, standard input, must be one file only, got it more than once")
    corpus = read_corpus([arguments.references, *arguments.more], arguments.hypotheses, arguments.format)
    result = _result(arguments, corpus)
    if arguments.write:
        write_results(arguments.write, corpus.ids, corpus.systems[0], arguments.write_as)
    if arguments.html:
        with atomic_write(arguments.html) as file:
            file.write(as_page(result).encode())
    if arguments.json:
        print(*(f"remark: {printable(text)}\n" for text in result.remarks), sep="", end="", file=sys.stderr)
        print(json.dumps(as_json(result), indent=1, allow_nan=False))
        return
    print(as_text(result))
    for system in result.systems if arguments.details else ():
        shown = system._replace(worst=system.worst[: arguments.details])
        print("", as_details(shown, next(iter(system.scores)), terminal_width()), sep="\n")


def _result(arguments: argparse.Namespace, corpus: Corpus) -> Result:
    """Scores, tests and breaks down what the files hold."""
    given = TextOptions(
        arguments.lowercase,
        not arguments.no_punctuation,
        arguments.tokenize,
        arguments.vqa_script,
        arguments.wordnet,
        arguments.raw,
        tuple(name.strip() for name in arguments.normalizer.split(",") if name.strip()),
        arguments.language,
    )
    options = options_for(corpus.references, given)
    names = arguments.metric.split(",")
    breakdowns, group, groups_N, notes = _groups(arguments, corpus)
    tallies = [statistics(names, corpus.references, system, options) for system in corpus.systems]
    draws = {"groups_N": groups_N, "resamples": arguments.resamples, "seed": arguments.seed}
    pairs = with_holm([paired_tests(tallies[0], other, **draws) for other in tallies[1:]])
    files = ["standard input" if path == STDIN else str(path) for path in arguments.hypotheses]
    worst = max(arguments.details, WORST if arguments.html else 0)
    remarked, systems = [*corpus.remarks, *notes], []
    for place, (file, texts, found) in enumerate(zip(files, corpus.systems, tallies, strict=True)):
        first = next(iter(found.items()))
        own = remarks(found, corpus.references, texts, options)
        remarked += [text if len(files) == 1 or text.startswith("references") else f"{file}: {text}" for text in own]
        unit, most = unit_of(first[0]), arguments.confusions
        systems.append(
            SystemResult(
                file,
                scores_with_intervals(found, **draws),
                {key: scores_by_group(found, own, **draws) for key, own in breakdowns.items()},
                confusions(corpus.references, texts, options, unit=unit, most=most) if most else None,
                worst_items(corpus.ids, corpus.references, texts, first, options, worst) if worst else (),
                pairs[place - 1] if place else {},
            )
        )
    return Result(len(corpus.ids), corpus.matched, systems, list(dict.fromkeys(remarked)), group)


def _groups(
    arguments: argparse.Namespace, corpus: Corpus
) -> tuple[dict[str, Groups], tuple[str, int] | None, NDArray[np.intp] | None, list[str]]:
    """The groups of every breakdown, the key and number of what is resampled, its numbers, and remarks."""
    keys, said = corpus.keys, []
    if arguments.manifest:
        lines = list(read_stdin() if arguments.manifest == STDIN else read_lines(arguments.manifest))
        keys = matched_keys(arguments.manifest, lines, corpus.ids)
    breakdowns: dict[str, Groups] = {}
    for key in (key.strip() for keys_given in arguments.by for key in keys_given.split(",")):
        breakdowns[key] = groups_of(key, keys, corpus.references)
        if lacking := breakdowns[key].count(None):
            said.append(f"by {key}: {lacking:,} of {len(corpus.ids):,} items have no `{key}` and are left out")
    if not arguments.group:
        return breakdowns, None, None, said
    groups_N = numbered(groups_of(arguments.group, keys, corpus.references, "--group"))
    count = int(groups_N.max()) + 1
    if count < ROUGH:
        most = f"no p-value can be below {2 / 2**count:.2g}" if count < 10 else "they are rough"
        said.append(f"{count} groups of one `{arguments.group}` are few for intervals and tests: {most}")
    largest = np.bincount(groups_N).max() / len(groups_N)
    if largest > 0.5:
        share = f"one `{arguments.group}` has {100 * largest:.0f} % of the items"
        said.append(f"{share}, which decides intervals and tests of whole groups")
    for key, groups in breakdowns.items():
        inside = [len({int(n) for n, own in zip(groups_N, groups, strict=True) if own == g}) for g in in_order(groups)]
        if alone := inside.count(1):
            said.append(
                f"by {key}: {alone} of {len(inside)} lie in one `{arguments.group}` each; their intervals are of items"
            )
    return breakdowns, (arguments.group, count), groups_N, said
