"""Any parallel text, such as the WMT news task, to manifests: plain or gzipped, one sentence a line.

    python data_prep/wmt.py --raw DIR --out DIR --source en --target de \\
        --train europarl-v7.de-en commoncrawl.de-en --val newstest2013 --test newstest2014 newstest2015

A name stands for the two files NAME.en and NAME.de (or with .gz) anywhere under --raw. All of --train becomes
`train.jsonl`, all of --val `val.jsonl`, each of --test a manifest named after its files. Training pairs are cleaned
by length and by ratio of lengths; validation and test are kept line for line as published, so that scores compare.
Lines stream through: memory grows only with --dedupe, by some 100 bytes a pair.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqkit.cli import Parser, parse
from seqkit.data_prep.common.outputs import write_stats
from seqkit.data_prep.translation.pairs import Corpus, Reject, empty, find, write_split
from seqkit.errors import InputError


def cleaning(max_length: int, max_ratio: float, *, characters: bool = False, dedupe: bool = False) -> Reject:
    """Why a training pair is dropped: an empty side, too long, too unequal, or seen before.

    Lengths are words between spaces, or characters, which suit languages written without spaces.
    """
    seen: set[int] = set()

    def reject(source: str, target: str) -> str | None:
        reason = empty(source, target)
        if reason:
            return reason
        lengths = (len(source), len(target)) if characters else (len(source.split()), len(target.split()))
        if max(lengths) > max_length:
            return "too_long"
        if max(lengths) > max_ratio * min(lengths):
            return "too_unequal"
        if dedupe:
            key = hash((source, target))
            if key in seen:
                return "repeated"
            seen.add(key)
        return None

    return reject


def keep(source: str, target: str) -> None:
    """Drops nothing."""


def prepare(
    raw: Path, out: Path, source: str, target: str, splits: Mapping[str, Sequence[str]], clean: Reject
) -> dict[str, dict[str, object]]:
    """Writes every split from the corpora that it names; `clean` sees the split `train` alone. Statistics by split.

    Raises InputError for a name whose two files are not under `raw`, before anything is written.
    """
    if source == target:
        raise InputError(f"--source and --target must be two languages, got {source} twice")
    wanted = {name: None for names in splits.values() for name in names}
    if not wanted:
        raise InputError("one of --train, --val and --test must name a corpus, got none")
    corpora, _ = find(raw, "|".join(map(re.escape, wanted)), source, target)
    by_name: dict[str, Corpus] = {corpus.name: corpus for corpus in corpora}
    missing = ", ".join(f"{name}.{{{source},{target}}}" for name in wanted if name not in by_name)
    if missing:
        raise InputError(f"{raw}: must hold, at any depth, both files of each corpus, plain or .gz; missing: {missing}")
    stats = {
        split: write_split(out / f"{split}.jsonl", [by_name[n] for n in names], clean if split == "train" else keep)
        for split, names in splits.items()
    }
    write_stats(out, stats)
    return stats


def main(argv: Sequence[str]) -> None:
    parser = Parser("wmt", "Parallel text to manifests; training pairs are cleaned, others kept as published.")
    parser.add_argument("--raw", type=Path, required=True, help="folder with the files at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    parser.add_argument("--source", required=True, help="ending of the files to translate from, as in NAME.en")
    parser.add_argument("--target", required=True, help="ending of the files to translate into")
    for split in ("train", "val", "test"):
        parser.add_argument(f"--{split}", nargs="+", default=[], metavar="NAME", help=f"corpora of the {split} part")
    parser.add_argument("--split", help="put everything named into one split of this name")
    parser.add_argument("--max_length", type=int, default=100, help="longest training side, in words (default: 100)")
    parser.add_argument("--max_ratio", type=float, default=3.0, help="longer side over shorter (default: 3)")
    parser.add_argument("--characters", action="store_true", help="lengths in characters, for text without spaces")
    parser.add_argument("--dedupe", action="store_true", help="drop training pairs seen before")
    given = parse(parser, argv)
    if given.max_length < 1 or given.max_ratio < 1:
        raise InputError(f"--max_length and --max_ratio must be at least 1, got {given.max_length}, {given.max_ratio}")
    splits = {"train": given.train, "val": given.val} | {name: [name] for name in given.test}
    if given.split:
        splits = {given.split: [name for names in splits.values() for name in names]}
    splits = {split: names for split, names in splits.items() if names}
    clean = cleaning(given.max_length, given.max_ratio, characters=given.characters, dedupe=given.dedupe)
    for split, counts in prepare(given.raw, given.out, given.source, given.target, splits, clean).items():
        print(split, *(f"{key}={value}" for key, value in counts.items() if key != "files"))
