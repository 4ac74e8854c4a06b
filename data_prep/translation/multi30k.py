"""Multi30k task 1 (Elliott et al. 2016, arXiv:1605.00459): captions of photographs and their translations.

    seqkit prepare multi30k --raw DIR --out DIR [--source en] [--target de] [--split NAME]

Reads train, val and every test set (`test_2016_flickr.en.gz`, `test_2017_mscoco.de`, ...) as published, wherever they
lie under --raw, plain or gzipped. Writes `train.jsonl`, `val.jsonl`, `test_2016_flickr.jsonl`, ... and `stats.json`:
`source`, `references`. A test set of which the source alone was published becomes a manifest without references. Text
stays cased and untokenized.
"""

from collections.abc import Sequence
from pathlib import Path

from seqkit.data_prep.common.outputs import Stats, print_stats, write_stats
from seqkit.data_prep.translation.pairs import Corpus, find_corpora, write_sources, write_split
from seqkit.errors import InputError
from seqkit.flags import Parser, parse

NAMES = r"train|val|test\w*"  # whole names: tokenized copies and task 2 have dots in theirs


def prepare(raw: Path, out: Path, source: str, target: str, split: str | None = None) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for nothing found or halves that do not match."""
    if source == target:
        raise InputError(f"--source and --target must be two languages, got {source} twice")
    corpora, alone = find_corpora(raw, NAMES, source, target)
    if not corpora:
        raise InputError(
            f"{raw}: no pair of files train, val or test_* ending in .{source} and .{target} (or with .gz) in it or "
            f"below; found without partner: {', '.join(alone) or 'none'}"
        )
    splits: dict[str, list[Corpus]] = {}
    for corpus in corpora:
        splits.setdefault(split or corpus.name, []).append(corpus)
    stats = {name: write_split(out / f"{name}.jsonl", found, drop_empty=True) for name, found in splits.items()}
    for name, found in alone.items():
        if name.startswith("test") and source in found and not split:
            stats[name] = write_sources(out / f"{name}.jsonl", found[source], name)
        else:
            files = [[path.name for path in found.values()]]
            stats.setdefault(name, {"pairs": 0, "left_out": "one language only", "files": files})
    write_stats(out, stats)
    return stats


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare multi30k", __doc__ or "")
    parser.add_argument("--raw", type=Path, required=True, help="folder with the published files at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    parser.add_argument("--source", default="en", help="language to translate from: en, de, fr or cs (default: en)")
    parser.add_argument("--target", default="de", help="language to translate into (default: de)")
    parser.add_argument("--split", metavar="NAME", help="put everything found into one split of this name")
    given = parse(parser, argv)
    print_stats(prepare(given.raw, given.out, given.source, given.target, given.split))
