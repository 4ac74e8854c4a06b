"""Parallel text to manifests: one file a language, a sentence a line or a segment of XML or SGM; or one of both."""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from seqkit.data.files import read_lines
from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.common.outputs import MAX_NAMED
from seqkit.data_prep.common.raw_files import check_copy
from seqkit.data_prep.translation.lengths import Cleaning, Writing, empty_side, writing_of
from seqkit.data_prep.translation.markup import Sentence, read_sentences
from seqkit.data_prep.translation.wmt_xml import is_dataset, read_dataset
from seqkit.errors import InputError

PACKED = r"(\.(gz|bz2|xz))?"  # endings of packed files


class Corpus(NamedTuple):
    """Two files whose sentences are translations of each other, or one that holds both sides."""

    name: str  # the files' common name without language
    source: Path
    target: Path
    copies: tuple[Path, ...] = ()  # left out, and not the same
    languages: tuple[str, str] = ("", "")  # of the one file


def find_corpora(raw: Path, pattern: str, source: str, target: str) -> tuple[list[Corpus], dict[str, dict[str, Path]]]:
    """Corpora anywhere under `raw` by a regular expression for the whole of their name.

    Of names without a partner the only language and its file.

    A name found several times is taken once, where possible from a folder that has both languages. Raises InputError
    for two such folders whose files differ.
    """
    if not raw.is_dir():
        raise InputError(f"{raw}: must be a folder that holds the published files, got no folder")
    languages = "|".join(map(re.escape, (source, target)))
    wanted = re.compile(rf"(?P<name>{pattern})(-src|-ref)?\.(?P<language>{languages})(\.(xml|sgml?))?{PACKED}")
    files: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(raw.rglob("*")):
        match = wanted.fullmatch(path.name)
        if match and path.is_file():
            files.setdefault(match["name"], {}).setdefault(match["language"], []).append(path)
    complete = {name: found for name, found in files.items() if len(found) == 2}
    corpora = [_choose(name, found[source], found[target]) for name, found in complete.items()]
    both = re.compile(rf"(?P<name>{pattern})(\.{re.escape(source)}-{re.escape(target)})?(\.(all|source))?\.xml{PACKED}")
    corpora += _single_files(raw, both, {corpus.name: corpus for corpus in corpora}, (source, target))
    complete |= {corpus.name: {} for corpus in corpora}
    others = {name: found for name, found in files.items() if name not in complete}
    alone = {name: {language: _only(paths) for language, paths in found.items()} for name, found in others.items()}
    return corpora, alone


def _single_files(
    raw: Path, wanted: re.Pattern[str], known: Mapping[str, Corpus], languages: tuple[str, str]
) -> list[Corpus]:
    """Corpora of one file that holds both languages; those that are there as two files, too, are left out."""
    found: dict[str, Path] = {}
    for path in sorted(raw.rglob("*.xml*")):
        match = wanted.fullmatch(path.name)
        if match and match["name"] not in known and is_dataset(path):
            check_copy(found.setdefault(match["name"], path), path)
    return [Corpus(name, path, path, languages=languages) for name, path in found.items()]


def _choose(name: str, sources: Sequence[Path], targets: Sequence[Path]) -> Corpus:
    both = sorted(itertools.product(sources, targets), key=lambda pair: (pair[0].parent != pair[1].parent, pair))
    chosen = both[0]
    others = [path for path in (*sources, *targets) if path not in chosen]
    twin = {path: chosen[path in targets] for path in others}
    copies = tuple(path for path in others if not _same_lines(path, twin[path]))
    together = {path for pair in both if pair[0].parent == pair[1].parent for path in pair} or {*sources, *targets}
    for path in copies:
        if path in together:
            _only((twin[path], path))
    return Corpus(name, *chosen, copies)


def _only(paths: Sequence[Path]) -> Path:
    """The first of some files. Raises InputError where another differs."""
    for path in paths[1:]:
        if not _same_lines(paths[0], path):
            raise InputError(f"{path}: must be as {paths[0]}, its namesake, got other content; keep one of the two")
    return paths[0]


def _same_lines(one: Path, other: Path) -> bool:
    pairs = itertools.zip_longest(read_lines(one), read_lines(other))
    return all(first == second for first, second in pairs)


class Pair(NamedTuple):
    """A sentence and its translation, stripped."""

    number: int  # in the corpus: of its line, or of its segment
    source: str
    references: tuple[str, ...]  # one, or none or several of a file that holds both languages
    place: str  # file and line of the source
    drop: str = ""  # why it can be no item

    @property
    def target(self) -> str:
        return self.references[0] if self.references else ""


def read_pairs(corpus: Corpus, note: Callable[[str], object] = len) -> Iterator[Pair]:
    """Reads both files side by side; `note` hears of every line of the source that is markup.

    Raises InputError for files of different length, and for segments that are not of one document and number.
    """
    if any(corpus.languages):
        for number, segment in enumerate(read_dataset(corpus.source, *corpus.languages), 1):
            yield Pair(number, segment.source, segment.references, segment.place, segment.drop)
        return

    others: dict[str, list[str]] = defaultdict(list)  # what further translators wrote, by segment
    for sentence in read_sentences(corpus.target):
        if sentence.again:
            others[sentence.key].append(sentence.text)
        elif not sentence.key:  # lines, not segments
            break

    def sentences(path: Path) -> Iterator[Sentence]:
        for sentence in read_sentences(path):
            if sentence.again and path == corpus.source:
                place = f"{path}, line {sentence.line}"
                raise InputError(f"{place}: the segment {sentence.key!r} must come once in a source, got it again")
            if not sentence.tag and not sentence.again:
                yield sentence
            elif path == corpus.source:
                note(f"{path.name}, line {sentence.line}: <{sentence.tag}>")

    ours_of, theirs_of = sentences(corpus.source), sentences(corpus.target)
    for count, (ours, theirs) in enumerate(itertools.zip_longest(ours_of, theirs_of)):
        if ours is None or theirs is None:
            short, long = (corpus.source, corpus.target) if ours is None else (corpus.target, corpus.source)
            raise InputError(
                f"{short}: must have as many lines as {long}, got {count} and more; take both from one publication"
            )
        if ours.key != theirs.key:
            raise InputError(
                f"{corpus.target}, line {theirs.line}: must be the segment {ours.key!r} (document and `id`), as line "
                f"{ours.line} of {corpus.source}, got {theirs.key!r}; take both from one publication"
            )
        place = f"{corpus.source.name}, line {ours.line}"
        yield Pair(count + 1 if ours.key else ours.line, ours.text, (theirs.text, *others.get(ours.key, ())), place)


def write_sources(path: Path, file: Path, name: str) -> dict[str, Any]:
    """Writes the sentences of a test set of which no translation was published; empty ones are dropped and named."""
    texts = [sentence for sentence in read_sentences(file) if not sentence.tag]
    kept = [(number, sentence) for number, sentence in enumerate(texts, 1) if sentence.text]
    write_manifest(path, (Item(id=f"{name}-{number:05d}", source=sentence.text) for number, sentence in kept))
    empty = [f"{file.name}, line {sentence.line}" for sentence in texts if not sentence.text]
    dropped, named = ({"empty_source": len(empty)}, {"empty_source": empty}) if empty else ({}, {})
    counts = {"sources": len(texts), "items": len(kept), "references": 0, "dropped": dropped}
    return {**counts, "named": named, "files": [[file.name]]}


def write_split(
    path: Path, corpora: Sequence[Corpus], *, clean: Cleaning | None = None, drop_empty: bool = False
) -> dict[str, Any]:
    """Writes the pairs of all corpora, one after the other, as one manifest; counts, and places of what was dropped.

    `clean` or `drop_empty` decide what is. Raises InputError where no pair is left.
    """
    dropped: Counter[str] = Counter()
    named: dict[str, list[str]] = defaultdict(list)
    unspaced: list[str] = []
    markup: list[str] = []

    def reason_to_drop(pair: Pair, writing: Writing) -> str | None:
        if pair.drop or not pair.references:
            return pair.drop or ("no_reference" if clean else None)
        if clean:
            return clean.reject(pair.source, pair.target, writing)
        return empty_side(pair.source, pair.target) if drop_empty else None

    def kept() -> Iterator[Item]:
        read = 0
        for corpus in corpora:
            writing = writing_of((pair.source, pair.target) for pair in read_pairs(corpus)) if clean else Writing()
            sides = [f"{path.name} {side}".strip() for path, side in zip(corpus[1:3], corpus.languages, strict=True)]
            unspaced.extend(itertools.compress(sides, writing.unspaced))
            pairs = read_pairs(corpus, markup.append)
            for pair in tqdm(pairs, desc=corpus.name, unit=" pairs", disable=None):
                read += 1
                reason = reason_to_drop(pair, writing)
                if not reason:
                    name = f"{corpus.name}-{pair.number:05d}"
                    yield Item(id=name, source=pair.source, references=pair.references)
                    continue
                dropped[reason] += 1
                if dropped[reason] <= MAX_NAMED:
                    named[reason].append(pair.place)
        if read == dropped.total():
            places = ", ".join(str(corpus.source) for corpus in corpora)
            raise InputError(f"{places}: must hold pairs to keep, got {read} pairs, all dropped: {dict(dropped)}")

    items = write_manifest(path, kept())
    counts: dict[str, Any] = {"pairs": items + dropped.total(), "items": items, "dropped": dict(dropped)}
    if unspaced:
        counts["lengths"] = f"in characters: hardly any spaces in {', '.join(unspaced)}"
    if markup:
        counts["markup"], named["markup"] = len(markup), markup[:MAX_NAMED]
    copies = [str(copy) for corpus in corpora for copy in corpus.copies]
    if copies:
        counts["copies_left_out"] = copies
    return {
        **counts,
        "named": dict(named),
        "files": [list(dict.fromkeys((c.source.name, c.target.name))) for c in corpora],
    }
