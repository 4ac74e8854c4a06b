"""`seqkit check DIR`: checks a folder of manifests before training.

Problems would stop or spoil training and end the command with status 2; remarks are for a person to judge. Each
names file, line, id and key, and says what to do.
"""

import argparse
import difflib
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from seqkit.data.check_boxes import boxes
from seqkit.data.check_files import features, images, sounds, videos
from seqkit.data.check_media import Finding, Line, media, times
from seqkit.data.files import read_lines
from seqkit.data.manifest import MEDIA, Item, parse_line
from seqkit.data.manifest_keys import KEYS, Reads, keys_of, unread
from seqkit.data.text import is_blank, normalize_whitespace, printable
from seqkit.errors import InputError

LONG = 250  # words; longer texts are remarked on


def check(
    folder: Path, reads: Reads | None = None, recipe: str = "a recipe"
) -> tuple[dict[str, list[Line]], list[Finding]]:
    """Reads every manifest in `folder`; returns its items and all findings, with `reads` as the recipe of that name
    sees them. Raises InputError where there is no manifest."""
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise InputError(f"{folder}: must be a folder with manifests such as train.jsonl, got no *.jsonl in it")
    findings = [
        Finding(False, "missing split", f"{folder}: has no {name}, which training needs")
        for name in ("train.jsonl", "val.jsonl")
        if not (folder / name).exists()
    ]
    files = {path.name: _read(path, findings) for path in paths}
    lines = [line for file in files.values() for line in file]
    for rule in (_texts, _characters, _keys, media, images, boxes, videos, sounds, times, features, _leaks):
        try:
            findings += rule(lines)
        except ModuleNotFoundError as error:  # installed for texts alone
            without = f"{folder}: not all media were opened, there is no package {error.name}; pip install seqkit"
            findings.append(Finding(False, "not opened", without))
    findings += _unread(lines, reads, recipe)
    return files, findings


def _read(path: Path, findings: list[Finding]) -> list[Line]:
    """Reads the valid lines; faults of the others go to `findings`."""
    lines: list[Line] = []
    first: dict[str, int] = {}
    try:
        for number, text in read_lines(path):
            if not text.strip():
                continue
            try:
                line = Line(path.name, number, parse_line(text, path.parent, f"{path.name}, line {number}"))
            except InputError as error:
                findings.append(Finding(True, "not an item", str(error)))
                continue
            if line.item.id in first:
                text = f"{line.at('id')}: line {first[line.item.id]} has it too; rename one of the two"
                findings.append(Finding(True, "repeated id", text))
            first.setdefault(line.item.id, number)
            lines.append(line)
    except InputError as error:
        findings.append(Finding(True, "unreadable file", str(error)))
    if not lines:
        findings.append(Finding(True, "no items", f"{path.name}: holds no valid item; fill it or remove it"))
    return lines


def texts(item: Item) -> Iterator[tuple[str, str]]:
    """Yields (key, text) of every text that a model may read or write."""
    for key, text in (("source", item.source), ("question", item.question)):
        if text is not None:
            yield key, text
    for key, several in (("references", item.references), ("answers", item.answers)):
        for text in several:
            yield key, text


def _texts(lines: Sequence[Line]) -> Iterator[Finding]:
    for line in lines:
        for key, text in texts(line.item):
            words = len(text.split())
            if is_blank(text):
                fault = f"{line.at(key)}: is empty; fill it in or remove the item"
                yield Finding(key in ("source", "question"), "empty text", fault)
            elif words > LONG:
                yield Finding(False, "long text", f"{line.at(key)}: has {words} words; split it to save memory")
            if words and normalize_whitespace(text) != text:
                fault = f"{line.at(key)}: is not in NFC with single spaces, the form in which it is learned and scored"
                yield Finding(False, "not in normal form", fault)
        if not line.item.references and not line.item.answers:
            fault = f"{line.at('references')}: is missing; add it, or keep the item out of training and scoring"
            yield Finding(line.file == "train.jsonl", "no reference", fault)


def _characters(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds characters that are rarely meant: control, private, unassigned, invisible, or the replacement character."""
    names = {"Cc": "control", "Co": "private", "Cn": "unassigned", "Cf": "invisible"}
    meant = set("\t\n\u200c\u200d")  # the last two spell words in some scripts
    for line in lines:
        for key, text in texts(line.item):
            for char in sorted(set(text) - meant):
                name = "lost" if char == "\ufffd" else names.get(unicodedata.category(char))
                if name:
                    fault = f"{line.at(key)}: holds U+{ord(char):04X}, {name} character; remove it if not meant"
                    yield Finding(False, "unusual character", fault)


def _keys(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds inputs that only some items of a file have."""
    inputs = ("source", "question", *MEDIA)
    counts = Counter((line.file, key) for line in lines for key in inputs if getattr(line.item, key) is not None)
    sizes = Counter(line.file for line in lines)
    for line in lines:
        for key in inputs:
            if getattr(line.item, key) is None and counts[line.file, key]:
                others = f"{counts[line.file, key]} of {sizes[line.file]} items have it"
                yield Finding(False, "uneven keys", f"{line.at(key)}: is missing, {others}; a recipe needs it in all")


def _unread(lines: Sequence[Line], reads: Reads | None, recipe: str) -> Iterator[Finding]:
    """Finds keys that nothing reads, once a file, and items that lack what the recipe needs."""
    counts = Counter((line.file, key) for line in lines for key in keys_of(line.item))
    told = set()
    for line in lines:
        for key in unread(keys_of(line.item), reads):
            if (line.file, key) not in told:
                told.add((line.file, key))
                near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.8) if key not in KEYS else []
                advice = f"; rename it if you meant `{near[0]}`" if near else ""
                who = "nothing reads it" if reads is None or key not in KEYS else f"{recipe} does not read it"
                many = f" ({counts[line.file, key]} items of the file have it)"
                yield Finding(False, "unread key", f"{line.at(key)}: {who}{advice}{many}")
        if reads and (lack := reads.missing(line.item)):
            place = f'{line.file}, line {line.number}, id "{line.item.id}"'
            fault = f"{place}: {recipe} needs {lack}; add it, or take the item out"
            yield Finding(True, "missing key", fault)


def _leaks(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds what stands in two manifests: leakage between splits."""
    first: dict[Hashable, Line] = {}
    for line in lines:
        for key, value in _identity(line.item):
            other = first.setdefault((key, value), line)
            if other.file != line.file:
                fault = f"{line.at(key)}: {other.file}, line {other.number} has the same; keep it in one of them"
                yield Finding(False, f"same {key} in two files", fault)


def _identity(item: Item) -> Iterator[tuple[str, Hashable]]:
    """Yields (key, value) that no item of another split should share."""
    yield "id", item.id
    media = [key for key in MEDIA if getattr(item, key) is not None]
    for key in media:
        yield key, (os.path.abspath(getattr(item, key)), item.start, item.end, item.rows)
    if item.source and not media:
        yield "source", normalize_whitespace(item.source)


def summary(file: str, lines: Sequence[Line]) -> Iterator[str]:
    """Yields lines with counts and lengths of one manifest."""
    items = [line.item for line in lines]
    counts = Counter(key for item in items for key in MEDIA if getattr(item, key) is not None)
    counts["speakers"] = len({item.speaker for item in items} - {None})
    counts = Counter(items=len(items), references=sum(len(item.references) for item in items)) + counts
    yield f"{file}: " + ", ".join(f"{number} {name}" for name, number in counts.items())
    lengths: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for item in items:
        for key, text in texts(item):
            lengths[key].append((len(text.split()), len(text)))
    spans = (item.seconds if item.end is None else item.end - (item.start or 0.0) for item in items)
    seconds = [span for span in spans if span is not None]
    if seconds:
        yield f"  seconds: {_spread(seconds)}, {sum(seconds) / 3600:.2f} hours in all"
    for key, pairs in lengths.items():
        words, characters = zip(*pairs, strict=True)
        yield f"  {key}: words {_spread(words)}; characters {_spread(characters)}"


def _spread(values: Iterable[float]) -> str:
    low, middle, high, most = np.quantile(np.array(list(values)), (0, 0.5, 0.99, 1), method="higher")
    return f"{low:g} to {most:g}, median {middle:g}, 99 percent at most {high:g}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the manifests, *.jsonl")
    parser.add_argument(
        "--recipe", metavar="NAME", help="check for this recipe: what it needs, and what it does not read"
    )
    parser.add_argument("--show", type=int, default=10, metavar="N", help="findings of one kind to list [10]")


def run(arguments: argparse.Namespace, reads: Reads | None = None) -> None:
    """Prints counts, problems and remarks, for the recipe that `reads`. Raises InputError where there are problems."""
    files, findings = check(arguments.folder, reads, arguments.recipe)
    for file, lines in files.items():
        print(*summary(file, lines), sep="\n")
    for problem, title in ((True, "problems, to be put right before training"), (False, "remarks")):
        kinds: dict[str, list[str]] = defaultdict(list)
        for finding in (found for found in findings if found.problem == problem):
            kinds[finding.kind].append(finding.text)
        print(f"\n{title}: {sum(map(len, kinds.values())) or 'none'}")
        for kind, faults in kinds.items():
            more = [f"and {len(faults) - arguments.show} more (--show lists more)"] * (len(faults) > arguments.show)
            print(f"  {kind} ({len(faults)})", *map(printable, faults[: arguments.show]), *more, sep="\n    ")
    if problems := sum(finding.problem for finding in findings):
        raise InputError(f"{arguments.folder}: {problems} problems, listed above; put them right and check again")
