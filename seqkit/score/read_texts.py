"""Reads references and hypotheses from files and matches them.

Formats: plain lines; Kaldi's `id text`; JSON lines with `id` and `references` (a list of texts) or `hypothesis` (a
text), so that a manifest and an evaluation's `hypotheses.jsonl` can be given as they are; sclite's `text (id)`; results
and annotations of COCO and VQA. JSON and sclite are told by their content (`seqkit.score.file_formats`). What the other
files are is read off the first of them: Kaldi's when each of its lines begins with a likely id, which is a word with a
digit or `_` in it that is no number as people write them (`utt1`, `spk-03_b` and `007`, not `12`, `1.` or `[0,`), or
when at least half begin with an id of another file given; else plain lines. Two files with ids are matched by id,
others line by line. Annotated items for which there is no hypothesis are left out, as in the official evaluations of
COCO, and remarked. One of the files may be `-`, standard input. Beside the texts, the other keys of the references are
kept: those of a manifest, and of the annotations of VQA such as `answer_type`.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seqkit.data.files import STDIN, parse_json, read_lines, read_stdin, shown
from seqkit.errors import InputError
from seqkit.score.file_formats import JsonItem, is_json, is_json_lines, is_trn, read_json, read_trn, refuse_others

Format = Literal["auto", "plain", "kaldi", "trn", "jsonl", "json"]
FORMATS: tuple[Format, ...] = ("auto", "plain", "kaldi", "trn", "jsonl", "json")
_ID = re.compile(r"(?![-+]?([1-9][\d.,:]*|0([.,]\d*)?)[.,:)]?$)(?=.*[\d_])[^\s\[({<,;=][^\s,;=]*(?<!:)")
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: JSON can spell it, no terminal can show it
_SHOWN = 10  # ids in a message


class Corpus(NamedTuple):
    """References and hypotheses of the same items, in the order of the first file of references."""

    ids: list[str]  # line numbers from 1 where the files have no ids
    references: list[list[str]]  # of every item
    systems: list[list[str]]  # of every file of hypotheses, one an item
    matched: str  # "by id" or "line by line"
    remarks: tuple[str, ...] = ()
    keys: Sequence[Mapping[str, Any]] = ()  # of every item, those of the references beside their texts


class _File(NamedTuple):
    path: Path
    ids: list[str] | None
    texts: list[list[str]]  # of every item its references, or its one hypothesis
    annotations: bool = False  # of a data set, of which systems may have written a part
    keys: Mapping[str, Mapping[str, Any]] = {}  # of every id, where the format has any


def read_corpus(references: Sequence[Path], hypotheses: Sequence[Path], form: Format = "auto") -> Corpus:
    """Reads the items of the files; several files of references each add theirs.

    Raises InputError, naming file and line, for a file that cannot be read, is empty or has an id twice, and for files
    that have not the same ids or, where they have none, the same number of lines.
    """
    places = [(path, "references") for path in references] + [(path, "hypothesis") for path in hypotheses]
    if sum(path == STDIN for path, _ in places) > 1:
        raise InputError("`-`, standard input, must be one file only, got it more than once")
    lines = {_named(path): list(read_stdin() if path == STDIN else read_lines(path)) for path, _ in places}
    places = [(_named(path), key) for path, key in places]
    for path in lines:
        if not lines[path]:
            raise InputError(f"{path}: must hold at least one line, got an empty file")
    forms = _formats(places, lines) if form == "auto" else dict.fromkeys(lines, form)
    files = [PARSERS[forms[path]](path, lines[path], key) for path, key in places]
    lines.clear()
    files, remarks = _answered(files, len(references))
    remarks = (*remarks, *_perhaps_ids(files))
    matched = [_matched(files[0], file) for file in files]
    targets = matched[0]
    if len(references) > 1:
        targets = [[text for texts in item for text in texts] for item in zip(*matched[: len(references)], strict=True)]
    systems = [[text for (text,) in texts] for texts in matched[len(references) :]]
    ids = files[0].ids or [str(number) for number in range(1, len(targets) + 1)]
    how = "by id" if all(file.ids for file in files) else "line by line"
    keys = [{k: v for file in reversed(files[: len(references)]) for k, v in file.keys.get(i, {}).items()} for i in ids]
    return Corpus(ids, targets, systems, how, remarks, keys if any(keys) else ())


def _named(path: Path) -> Path:
    return Path("standard input") if path == STDIN else path


def _answered(files: list[_File], count: int) -> tuple[list[_File], tuple[str, ...]]:
    """Cuts annotations, the first `count` files, to the items that the hypotheses have."""
    first = files[count]
    if not all(file.annotations for file in files[:count]) or first.ids is None:
        return files, ()
    answered = set(first.ids)
    cut = [
        file._replace(ids=[i for i in ids if i in answered], texts=[t for i, t in pairs if i in answered])
        for file in files[:count]
        for ids, pairs in [(file.ids or [], list(zip(file.ids or [], file.texts, strict=True)))]
    ]
    left = len(files[0].ids or []) - len(cut[0].ids or [])
    if not cut[0].ids or not left:
        return files, ()
    return [*cut, *files[count:]], (f"{left:,} items of {files[0].path} have no hypothesis and are left out",)


def _formats(places: Sequence[tuple[Path, str]], lines: Mapping[Path, Sequence[tuple[int, str]]]) -> dict[Path, Format]:
    forms: dict[Path, Format] = {}
    for path in lines:
        if is_json_lines(path, lines[path]):
            forms[path] = "jsonl"
        elif is_trn(path, lines[path]):
            forms[path] = "trn"
        elif is_json(path, lines[path]):
            forms[path] = "json"
        else:
            refuse_others(path, lines[path], table=not _has_ids([line for _, line in lines[path]], set()))
    parsed = [PARSERS[forms[path]](path, lines[path], key) for path, key in places if path in forms]
    known = set[str]().union(*(file.ids or () for file in parsed))
    others = [path for path in lines if path not in forms]
    rest: Format = "kaldi" if others and _has_ids([line for _, line in lines[others[0]]], known) else "plain"
    return dict.fromkeys(others, rest) | forms


def _are_ids(words: Sequence[str]) -> bool:
    """Whether the first words of all lines are ids, each another one, or count the lines."""
    if len(words) < 2 or len(set(words)) < len(words):
        return False
    numbers = [word.strip(".:)") for word in words]
    counted = any(numbers == [str(number + first) for number in range(len(words))] for first in (0, 1))
    return counted or all(map(_ID.fullmatch, words))


def _perhaps_ids(files: Sequence[_File]) -> Iterator[str]:
    """Remarks where lines of files without ids begin with what may be one: with ids or numbers in some of the files
    alone, or with the same words in another order."""
    firsts = [[sys.intern(_id_and_text(text)[0]) for (text, *_) in file.texts] for file in files if file.ids is None]
    numbered = [_are_ids(words) for words in firsts]
    if any(numbered) and not all(numbered) and len(firsts) == len(files):
        path = files[numbered.index(True)].path
        yield (
            f"every line of {path} begins with an id or a number, such as {firsts[numbered.index(True)][0]!r}, which "
            "counts as a word: take it out, or give references with the same ids"
        )
    once = len(firsts) == len(files) and all(len(set(words)) == len(words) for words in firsts)
    if once and len({frozenset(words) for words in firsts}) == 1 < len({tuple(words) for words in firsts}):
        yield "lines of the files begin with the same words in another order; if those are ids, give `--format kaldi`"


def _has_ids(lines: Sequence[str], known: set[str]) -> bool:
    filled = [line for line in lines if line.strip()]
    if not filled or all(_ID.fullmatch(_id_and_text(line)[0]) for line in filled):
        return bool(filled)
    return bool(known) and 2 * sum(_id_and_text(line)[0] in known for line in filled) >= len(filled)


def _id_and_text(line: str) -> tuple[str, str]:
    name, *text = re.split("[ \t]+", line.strip(" \t"), maxsplit=1)
    return name, "".join(text)


def _parse_plain(path: Path, lines: Sequence[tuple[int, str]], key: str) -> _File:
    return _File(path, None, [[line] for _, line in lines])


def _parse_kaldi(path: Path, lines: Sequence[tuple[int, str]], key: str) -> _File:
    items: dict[str, list[str]] = {}
    for number, line in lines:
        name, text = _id_and_text(line)
        if not name:
            raise InputError(f"{path}, line {number}: must be an id and a text, got an empty line")
        _add(items, name, [text], f"{path}, line {number}")
    return _File(path, list(items), list(items.values()))


def _parse_json(path: Path, lines: Sequence[tuple[int, str]], key: str) -> _File:
    items: dict[str, list[str]] = {}
    keys: dict[str, Mapping[str, Any]] = {}
    for number, line in lines:
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        values = parse_json(line, place)
        name = values.get("id") if isinstance(values, dict) else None
        if not isinstance(name, str) or not _is_text(name):
            raise InputError(f"{place}: must be a JSON object with a text as `id`, got {line[:60]}")
        texts = values.get(key) if key == "references" else [values.get(key)]
        if not isinstance(texts, list) or not texts or not all(map(_is_text, texts)):
            wanted = "a list of at least one text" if key == "references" else "a text"
            raise InputError(f'{place}, id "{name}": `{key}` must be {wanted}, got {shown(values.get(key))}')
        _add(items, name, texts, place)
        keys[name] = {
            other: value for other, value in values.items() if other not in ("id", "references", "hypothesis")
        }
    if not items:
        raise InputError(f"{path}: must hold at least one item, got only empty lines")
    return _File(path, list(items), list(items.values()), keys=keys)


def _parse_trn(path: Path, lines: Sequence[tuple[int, str]], key: str) -> _File:
    return _file(path, read_trn(path, lines))


def _parse_annotations(path: Path, lines: Sequence[tuple[int, str]], key: str) -> _File:
    return _file(path, read_json(path, lines), several=key == "references")


def _file(path: Path, entries: Sequence[JsonItem], several: bool = False) -> _File:
    """Gathers the texts of every id; one text an id unless `several`."""
    items: dict[str, list[str]] = {}
    for place, name, text, _ in entries:
        if not _is_text(text) or not _is_text(name):
            raise InputError(f"{place}: must be text, got half a character")
        if name not in items or not several:
            _add(items, name, [text], place)
        else:
            items[name].append(text)
    if not items:
        raise InputError(f"{path}: must hold at least one item, got only empty lines")
    keys = {entry.id: entry.keys for entry in reversed(entries)}
    return _File(path, list(items), list(items.values()), annotations=several, keys=keys)


PARSERS: dict[str, Callable[[Path, Sequence[tuple[int, str]], str], _File]] = {
    "plain": _parse_plain,
    "kaldi": _parse_kaldi,
    "trn": _parse_trn,
    "jsonl": _parse_json,
    "json": _parse_annotations,
}


def _add(items: dict[str, list[str]], name: str, texts: list[str], place: str) -> None:
    if name in items:
        raise InputError(
            f'{place}: every id must come once, got "{name}" again, as item {[*items].index(name) + 1} has it'
        )
    items[name] = texts


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not _SURROGATE.search(value)


def _matched(first: _File, other: _File) -> list[list[str]]:
    """Puts the texts of `other` into the order of the items of `first`."""
    if first.ids is None or other.ids is None:
        if len(first.texts) != len(other.texts):
            must = f"must have as many lines as {first.path}, {len(first.texts)}"
            raise InputError(f"{other.path}: {must}, got {len(other.texts)}")
        return other.texts
    texts = dict(zip(other.ids, other.texts, strict=True))
    missing = [name for name in first.ids if name not in texts]
    extra = sorted(texts.keys() - set(first.ids))
    if missing or extra:
        lists = {"missing": missing, "extra": extra}
        faults = "; ".join(f"{what} {_listed(names)}" for what, names in lists.items() if names)
        raise InputError(f"{other.path}: must have the ids of {first.path}, got {faults}")
    return [texts[name] for name in first.ids]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)}: {', '.join(names[:_SHOWN])}{more}"
