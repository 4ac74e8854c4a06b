"""Parallel text as published, one sentence a line and one file a language, to manifests."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from seqkit.data.files import atomic_write, read_lines
from seqkit.data.manifest import Item, write_manifest
from seqkit.errors import InputError

Reject = Callable[[str, str], str | None]  # source, target: why the pair is dropped, or None


class Corpus(NamedTuple):
    """Two files whose lines are translations of each other."""

    name: str  # the files' common name without language
    source: Path
    target: Path


def find(raw: Path, pattern: str, source: str, target: str) -> tuple[list[Corpus], list[str]]:
    """Corpora anywhere under `raw` by a regular expression for the whole of their name, and names without a partner.

    A name found several times is taken once, where possible from a folder that has both languages.
    """
    if not raw.is_dir():
        raise InputError(f"{raw}: must be a folder that holds the published files, got no folder")
    languages = "|".join(map(re.escape, (source, target)))
    wanted = re.compile(rf"(?P<name>{pattern})\.(?P<language>{languages})(\.gz)?")
    files: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(raw.rglob("*")):
        match = wanted.fullmatch(path.name)
        if match and path.is_file():
            files.setdefault(match["name"], {}).setdefault(match["language"], []).append(path)
    corpora = []
    for name, found in files.items():
        if len(found) == 2:
            both = itertools.product(found[source], found[target])
            corpora.append(Corpus(name, *min(both, key=lambda pair: (pair[0].parent != pair[1].parent, pair))))
    return corpora, [name for name, found in files.items() if len(found) < 2]


def pairs(corpus: Corpus) -> Iterator[tuple[int, str, str]]:
    """(line number, source text, target text), stripped. Raises InputError for files of different length."""
    for ours, theirs in itertools.zip_longest(read_lines(corpus.source), read_lines(corpus.target)):
        if ours is None or theirs is None:
            short, long, line = (
                (corpus.source, corpus.target, theirs[0]) if ours is None else (corpus.target, corpus.source, ours[0])
            )
            raise InputError(
                f"{short}: must have as many lines as {long}, got {line - 1} and more; take both from one publication"
            )
        yield ours[0], ours[1].strip(), theirs[1].strip()


def empty(source: str, target: str) -> str | None:
    """A pair with an empty side can be neither translated nor scored."""
    return "empty_source" if not source else "empty_target" if not target else None


def write_split(path: Path, corpora: Sequence[Corpus], reject: Reject) -> dict[str, object]:
    """The pairs of all corpora, one after the other, as one manifest; how many there were and why some were dropped."""
    dropped: Counter[str] = Counter()

    def kept() -> Iterator[Item]:
        for corpus in corpora:
            for number, source, target in tqdm(pairs(corpus), desc=corpus.name, unit=" pairs", disable=None):
                reason = reject(source, target)
                if reason:
                    dropped[reason] += 1
                else:
                    yield Item(id=f"{corpus.name}-{number:05d}", source=source, references=(target,))

    items = write_manifest(path, kept())
    files = [[corpus.source.name, corpus.target.name] for corpus in corpora]
    return {"pairs": items + dropped.total(), "items": items, "dropped": dict(dropped), "files": files}


def write_stats(folder: Path, stats: Mapping[str, object]) -> None:
    """`stats.json` by split; splits that an earlier run put in the same folder stay."""
    path = folder / "stats.json"
    try:
        earlier = json.loads(path.read_bytes())
    except (OSError, ValueError):
        earlier = {}
    with atomic_write(path) as file:
        file.write(json.dumps({**earlier, **stats}, indent=2).encode() + b"\n")
