"""Two text files that are translations of each other, line by line, to manifests for translation.

    seqkit prepare pairs --source corpus.en --target corpus.de --out DIR [--documents FILE] [--val SHARE] [--test SHARE]

Reads one sentence a line, plain or gzipped, or the XML and SGM of published test sets. Writes `train.jsonl`,
`val.jsonl`, `test.jsonl` and `stats.json`: `source`, `references`. Pairs of which a side is empty are dropped, and
those that came before, with their lines. Which split a pair is in is decided by a hash of its document, where
`--documents` names a file with the name of one on each line, else of its source sentence: never by its line.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from seqkit.data.files import read_lines
from seqkit.data.manifest import Item
from seqkit.data.text import normalize_whitespace
from seqkit.data_prep.common.outputs import Stats, print_stats
from seqkit.data_prep.own.shares import Dropped, Shares, add_arguments, shares_of, write_own
from seqkit.data_prep.translation.lengths import empty_side
from seqkit.data_prep.translation.pairs import Corpus, Pair, read_pairs
from seqkit.errors import InputError
from seqkit.flags import Parser, parse


def documents_of(path: Path | None, pairs: Iterator[Pair]) -> Iterator[tuple[Pair, str | None]]:
    """Every pair with the name of its document. Raises InputError for a file of another length."""
    if path is None:
        yield from ((pair, None) for pair in pairs)
        return
    names = read_lines(path)
    for pair in pairs:
        line = next(names, None)
        if line is None:
            raise InputError(f"{path}: must have a line for each pair, got fewer: none for {pair.place}")
        yield pair, line[1].strip() or None
    if more := next(names, None):
        raise InputError(f"{path}: must have a line for each pair, got more: line {more[0]}")


def prepare(source: Path, target: Path, out: Path, shares: Shares, documents: Path | None = None) -> Stats:
    """Writes what it finds; statistics by split. Raises InputError for files of different lengths, or one for both."""
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"--source and --target must be two files, got {source} for both")
    dropped, seen = Dropped(), set()
    items: list[Item] = []
    units: dict[str, list[str | None]] = {"document": [], "text": []}
    pairs = read_pairs(Corpus(source.name, source, target))
    read = 0
    for pair, document in tqdm(documents_of(documents, pairs), desc=source.name, unit=" pairs", disable=None):
        read += 1
        text = normalize_whitespace(pair.source)
        reason = empty_side(pair.source, pair.target) or ("repeated" if (text, pair.target) in seen else "")
        if reason:
            dropped.add(reason, pair.place)
            continue
        seen.add((text, pair.target))
        items.append(Item(id=f"{source.stem}-{pair.number:06d}", source=pair.source, references=(pair.target,)))
        units["document"].append(document)
        units["text"].append(text)
    return write_own(out, items, units, shares, {"pairs": read, "files": [source.name, target.name]}, dropped)


def main(argv: Sequence[str]) -> None:
    parser = Parser("seqkit prepare pairs", __doc__ or "")
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="sentences to translate from")
    parser.add_argument("--target", type=Path, required=True, metavar="FILE", help="their translations, line by line")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests and stats.json")
    parser.add_argument("--documents", type=Path, metavar="FILE", help="the document of each pair, line by line")
    add_arguments(parser, ("document", "text"))
    given = parse(parser, argv)
    print_stats(prepare(given.source, given.target, given.out, shares_of(given), given.documents))
