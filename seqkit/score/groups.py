"""Groups of items by a key of the manifest: for tables `--by KEY`, and to resample whole groups by `--group KEY`.

Texts and true or false are groups as they are. Numbers are too for `--group`, and where few differ; else they are cut
into bins of about equally many items, each named by its lowest and highest value. Beside the keys of the files there is
always `length`: the number of words of an item's first reference, or of its letters where words are not separated.

N items.
"""

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data.files import parse_json, shown
from seqkit.data.text import normalize_whitespace
from seqkit.errors import InputError
from seqkit.score.language import tokenizer_for
from seqkit.score.language_names import SPACED
from seqkit.score.metric import References

BINS = 5
FEW = 8  # different numbers that are groups as they are
LENGTH = "length"
Keys = Sequence[Mapping[str, Any]]  # of every item
Groups = Sequence[str | None]  # of every item; None: of no group


def lengths(references: References) -> list[int]:
    """Counts the words of every item's first reference, or its letters where words are not separated by spaces."""
    first = [normalize_whitespace(texts[0]) for texts in references]
    spaced = tokenizer_for(first) == SPACED
    return [len(text.split() if spaced else text.replace(" ", "")) for text in first]


def groups_of(key: str, keys: Keys, references: References, flag: str = "--by") -> list[str | None]:
    """Names the group of every item by the values of a key, which some items may lack; for `--group` none is cut.

    Raises InputError for a key that no item has, for values that are no texts or numbers, and for one group an item.
    """
    present = dict.fromkeys([name for item in keys for name in item])
    if key not in present and key != LENGTH:
        known = [*present, LENGTH]
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        meant = f"; did you mean `{close[0]}`?" if close else ""
        what = f"one of {', '.join(known)}" if present else f"{LENGTH}, or a key of a file given by --manifest"
        raise InputError(f"`{flag}` must be {what}, got `{key}`{meant}")
    values = [item.get(key) for item in keys] if key in present else lengths(references)
    found = group_names(values, f"{flag} {key}", bins=BINS if flag == "--by" else None)
    if len(set(found)) == len(values) > FEW:
        raise InputError(f"`{flag} {key}` must be shared by some items, got another value in each of {len(values):,}")
    return found


def group_names(values: Sequence[Any], name: str = "by", bins: int | None = BINS) -> list[str | None]:
    """Names the group of every item by its value; numbers are cut into bins unless that is None.

    Raises InputError for values that are no texts or numbers.
    """
    for item, value in enumerate(values, 1):
        known = value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
        if not known:
            raise InputError(f"`{name}` must be a text or a number, got {shown(value)} in item {item}")
    if bins and all(map(_is_number, values)):
        return binned(values, bins)
    return [_named(value) for value in values]


def binned(values: Sequence[float | None], bins: int = BINS) -> list[str | None]:
    """Cuts numbers into at most `bins` groups of about equally many items, equal numbers always into one.

    A number goes where the middle of its ranks is, so that one that most items have is a group of its own.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    different, inverse, count = np.unique(known, return_inverse=True, return_counts=True)
    places = np.arange(len(different))
    if len(different) > FEW:
        places = ((np.cumsum(count) - count / 2) * bins / len(known)).astype(np.intp)
    own = {place: different[places == place].tolist() for place in places.tolist()}
    named = iter([_range(own[place][0], own[place][-1]) for place in places[inverse].tolist()])
    return [None if value is None else next(named) for value in values]


def in_order(groups: Groups) -> list[str]:
    """Lists the groups that there are: by number where all begin with one, else 9 before 10 in names too."""
    present = {group for group in groups if group is not None}
    try:
        return sorted(present, key=lambda group: float(group.split(" to ")[0]))
    except ValueError:
        return sorted(present, key=_natural)


def numbered(groups: Groups, flag: str = "--group") -> NDArray[np.intp]:
    """Numbers (N,) the groups from 0. Raises InputError where an item has none, and for fewer than two groups."""
    for item, group in enumerate(groups, 1):
        if group is None:
            raise InputError(f"`{flag}` must be given in every item, got none in item {item}")
    number = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    if len(number) < 2:
        raise InputError(f"`{flag}` must be a key of at least two groups, got one: {groups[0]!r}")
    return np.array([number[group] for group in groups], dtype=np.intp)


def read_keys(path: Path, lines: Sequence[tuple[int, str]]) -> dict[str, dict[str, Any]]:
    """Reads the keys of every id: a manifest of JSON lines, or Kaldi's utt2spk, an id and its `speaker` on a line.

    Raises InputError, naming the line, for what is neither and for an id that comes twice.
    """
    found: dict[str, dict[str, Any]] = {}
    for number, line in lines:
        if not line.strip():
            continue
        place, words = f"{path}, line {number}", line.split()
        if line.lstrip().startswith("{"):
            values = parse_json(line, place)
        else:
            values = {"id": words[0], "speaker": words[1]} if len(words) == 2 else {}
        name = values.pop("id", None)
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise InputError(f"{place}: must be a JSON object with an `id`, or an id and a speaker, got {line[:60]!r}")
        if str(name) in found:
            raise InputError(f'{place}: every id must come once, got "{name}" again')
        found[str(name)] = values
    return found


def matched_keys(path: Path, lines: Sequence[tuple[int, str]], ids: Sequence[str]) -> list[dict[str, Any]]:
    """Reads the keys of the items with these ids; of items that have line numbers for ids, line by line.

    Raises InputError where the file lacks some of them.
    """
    found = read_keys(path, lines)
    missing = [name for name in ids if name not in found]
    if not missing:
        return [found[name] for name in ids]
    if len(found) == len(ids) and list(ids) == [str(number) for number in range(1, len(ids) + 1)]:
        return list(found.values())
    raise InputError(f"{path}: must have the ids of the references, got none of {len(missing)}, such as {missing[0]}")


def _range(low: float, high: float) -> str:
    return _written(low) if low == high else f"{_written(low)} to {_written(high)}"


def _written(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:.4g}"


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float) and not isinstance(value, bool)


def _named(value: Any) -> str | None:
    return None if value is None else json.dumps(value) if isinstance(value, bool) else str(value)


def _natural(text: str) -> list[tuple[int, str]]:
    """Natural sort key: 9 before 10."""
    parts = re.split(r"(0*\d+)", text)
    return [(len(p.lstrip("0")) if p.isdecimal() else -1, p.lstrip("0") if p.isdecimal() else p) for p in parts]
