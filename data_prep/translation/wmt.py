"""Parallel text of any kind, such as WMT's news task or IWSLT's talks: two files, one a language.

    seqkit prepare wmt --raw DIR --out DIR --source en --target de \\
        --train europarl-v7.de-en commoncrawl.de-en --val newstest2013 --test newstest2014 newstest2015

Reads for every name the two files NAME.en and NAME.de anywhere under --raw: one sentence a line, plain or gzipped; or
the XML and SGM of test sets, NAME.en.xml, NAME-src.en.sgm and NAME-ref.de.sgm; or the tagged lines of IWSLT's
training files (`--train train.tags.de-en`), of which those that are markup are left out and named. Test sets of WMT
since 2021 are one file, NAME.xml, NAME.en-de.xml or NAME.en-de.all.xml: every translator's text is a reference. A test
set of which the source alone is there becomes a manifest without references.

Writes all of --train to `train.jsonl`, all of --val to `val.jsonl`, each of --test to a manifest named after its files,
and `stats.json`: `source`, `references`. Training pairs are cleaned by length and by ratio of lengths; validation and
test are kept line for line as published, so that scores compare. Lengths are words; where a side has hardly any spaces
they are characters, --max_length is six times as many of them, and the ratio of a pair is taken to the usual ratio of
its corpus. Lines stream through: memory grows only with --dedupe, by some 100 bytes a pair.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqkit.data_prep.common.outputs import Stats, print_stats, write_stats
from seqkit.data_prep.translation.lengths import Cleaning
from seqkit.data_prep.translation.pairs import Corpus, find_corpora, write_sources, write_split
from seqkit.errors import InputError
from seqkit.flags import Parser, parse


def prepare(
    raw: Path, out: Path, source: str, target: str, splits: Mapping[str, Sequence[str]], clean: Cleaning
) -> Stats:
    """Writes every split from the corpora that it names; `clean` sees the split `train` alone. Statistics by split.

    Raises InputError for a name whose two files are not under `raw`, before anything is written.
    """
    if source == target:
        raise InputError(f"--source and --target must be two languages, got {source} twice")
    wanted = Counter(name for names in splits.values() for name in names)
    if not wanted:
        raise InputError("one of --train, --val and --test must name a corpus, got none")
    twice = [name for name, count in wanted.items() if count > 1]
    if twice:
        raise InputError(f"--train, --val and --test must name a corpus once, got {', '.join(twice)} twice")
    corpora, alone = find_corpora(raw, "|".join(map(re.escape, wanted)), source, target)
    by_name: dict[str, Corpus] = {corpus.name: corpus for corpus in corpora}
    unanswered = {
        split: alone[names[0]][source]
        for split, names in splits.items()
        if split not in ("train", "val") and len(names) == 1 and source in alone.get(names[0], {})
    }
    lacking = (name for split, names in splits.items() if split not in unanswered for name in names)
    missing = ", ".join(f"{name}.{{{source},{target}}}" for name in lacking if name not in by_name)
    if missing:
        raise InputError(
            f"{raw}: must hold, at any depth, both files of each corpus, plain or packed; missing: {missing}"
        )
    stats = {
        split: write_sources(out / f"{split}.jsonl", unanswered[split], split)
        if split in unanswered
        else write_split(
            out / f"{split}.jsonl", [by_name[name] for name in names], clean=clean if split == "train" else None
        )
        for split, names in splits.items()
    }
    write_stats(out, stats)
    return stats


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare wmt", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with the files at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    parser.add_argument("--source", required=True, help="ending of the files to translate from, as in NAME.en")
    parser.add_argument("--target", required=True, help="ending of the files to translate into")
    for split in ("train", "val", "test"):
        parser.add_argument(f"--{split}", nargs="+", default=[], metavar="NAME", help=f"corpora of the {split} part")
    parser.add_argument("--split", metavar="NAME", help="put everything named into one split of this name")
    parser.add_argument("--max_length", type=int, default=100, help="longest training side, in words (default: 100)")
    parser.add_argument("--max_ratio", type=float, default=3.0, help="longer side over shorter (default: 3)")
    parser.add_argument("--characters", action="store_true", help="lengths in characters, for text without spaces")
    parser.add_argument("--dedupe", action="store_true", help="drop training pairs seen before")
    given = parse(parser, argv)
    if given.max_length < 1 or given.max_ratio < 1:
        raise InputError(f"--max_length and --max_ratio must be at least 1, got {given.max_length}, {given.max_ratio}")
    reserved = {"train", "val"} & {*given.test}
    if reserved and not given.split and (given.train or given.val):
        raise InputError(f"--test must not be named as another manifest, got {', '.join(reserved)}; rename its files")
    splits = {"train": given.train, "val": given.val} | {name: [name] for name in given.test}
    if given.split:
        splits = {given.split: [name for names in splits.values() for name in names]}
    splits = {split: names for split, names in splits.items() if names}
    clean = Cleaning(given.max_length, given.max_ratio, characters=given.characters, dedupe=given.dedupe)
    print_stats(prepare(given.raw, given.out, given.source, given.target, splits, clean))
