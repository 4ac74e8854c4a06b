"""Splits of own files, where nobody published any: by a stable hash of what must not be in two of them.

A unit is a speaker, a picture, a recording or a document; where none is known, the text itself, so that no sentence is
in two splits. All items of a unit are in one split, the same one on every machine, whatever the order of the files and
whatever is added later.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.manifest import Item, write_manifest
from seqkit.data_prep.common.holdout import stable_hash
from seqkit.data_prep.common.outputs import MAX_NAMED, Stats, write_stats
from seqkit.errors import InputError
from seqkit.flags import Parser
from seqkit.share import or_end

SPLITS = ("train", "val", "test")
VAL, TEST = 0.1, 0.1

Units = Mapping[str, Sequence[str | None]]  # a kind of unit to that of every item; the finest, `text`, last


class Shares(NamedTuple):
    """How own files are to be split."""

    val: float = VAL
    test: float = TEST
    split: str | None = None  # all into this one
    by: str | None = None  # kind of unit; None: the first that is known


def add_arguments(parser: Parser, kinds: Sequence[str]) -> None:
    """The flags of every preparation of own files; `shares_of` reads them."""
    parser.add_argument("--val", type=float, default=VAL, metavar="SHARE", help=f"share of val (default: {VAL})")
    parser.add_argument("--test", type=float, default=TEST, metavar="SHARE", help=f"share of test (default: {TEST})")
    parser.add_argument("--split", metavar="NAME", help="put everything into one split of this name")
    told = ", ".join(kinds)
    parser.add_argument("--by", choices=kinds, help=f"what is never in two splits (default: the first known of {told})")


def shares_of(given: Any) -> Shares:
    """The shares as given. Raises InputError where nothing would be left for training."""
    if not (0 <= given.val < 1 and 0 <= given.test < 1 and given.val + given.test < 1):
        raise InputError(f"--val and --test must be shares with less than 1 together, got {given.val}, {given.test}")
    if given.split and given.by:
        raise InputError("--by must be given without --split, which makes one split of all, got both")
    return Shares(given.val, given.test, given.split, given.by)


def hash_share(text: str) -> float:
    """A stable hash as a number from 0 to 1."""
    return int.from_bytes(stable_hash(text)[:6], "big") / 2**48


def split_units(keys: Sequence[str], shares: Shares) -> dict[str, str]:
    """The split of every unit: by its hash alone, but that each split with a share has at least one unit."""
    order = sorted(set(keys), key=lambda key: (hash_share(key), key))
    tests = sum(hash_share(key) < shares.test for key in order)
    vals = sum(hash_share(key) < shares.test + shares.val for key in order) - tests
    tests, vals = max(tests, shares.test > 0), max(vals, shares.val > 0)
    while tests + vals >= len(order) and tests + vals:
        tests, vals = (tests - 1, vals) if tests >= vals else (tests, vals - 1)
    return {
        key: "test" if place < tests else "val" if place < tests + vals else "train" for place, key in enumerate(order)
    }


def split_items(units: Units, shares: Shares) -> tuple[list[str], str]:
    """The split of every item, and by what it was made, in words. Raises InputError for a unit that is not known."""
    (*_, count) = map(len, units.values())
    if shares.split:
        return [shares.split] * count, f"all into {shares.split}"
    known = {kind: [key for key in keys if key] for kind, keys in units.items()}
    if shares.by and len(known.get(shares.by, ())) < count:
        raise InputError(
            f"--by {shares.by} must be known of every item, got {len(known.get(shares.by, ()))} of {count}"
        )
    wanted = 1 + bool(shares.val) + bool(shares.test)
    usable = [kind for kind, keys in known.items() if len(keys) == count and len(set(keys)) >= wanted]
    kind = shares.by or next(iter(usable), "text")
    number = len(set(known[kind]))
    splits = split_units(known[kind], shares)
    told = f"by {kind}, of which there are {number}"
    others = [other for other, keys in known.items() if keys and other != kind]
    if others and not shares.by and kind == "text":
        told += f"; not known of all, or too few: {', '.join(others)}"
    return [splits[key] for key in known[kind]], told


def split_named(units: Units, shares: Shares, named: Sequence[str | None]) -> tuple[list[str], str]:
    """As `split_items`, but that items whose split is known stay in it, and what is known to be `train` gives of val
    and test what no file does."""
    given = set(named) - {None}
    if shares.split or not given:
        return split_items(units, shares)
    free = [n for n, name in enumerate(named) if name in (None, "train")]
    left = shares._replace(val=0.0 if "val" in given else shares.val, test=0.0 if "test" in given else shares.test)
    names = [name or "train" for name in named]
    told = f"{', '.join(sorted(map(str, given)))} by the names of files"
    if not free or not (left.val or left.test):
        return names, told
    split, by = split_items({kind: [keys[n] for n in free] for kind, keys in units.items()}, left)
    for n, name in zip(free, split, strict=True):
        names[n] = name
    return names, f"{told}; the rest {by}"


def write_own(
    out: Path,
    items: Sequence[Item],
    units: Units,
    shares: Shares,
    about: Mapping[str, Any],
    dropped: "Dropped",
    named: Sequence[str | None] = (),
) -> Stats:
    """Writes a manifest a split and `stats.json`; returns statistics by split, and of all under `all`. `named` gives
    the split of items that a file's name puts in one.

    Splits that an earlier run wrote are removed unless this one writes them, or only one split was asked for. Raises
    InputError where no item is left.
    """
    if not or_end(items):
        raise InputError(f"--raw must hold items to keep, got none{dropped.told()}")
    check_ids(items)
    names, by = split_named(units, shares, named or [None] * len(items))
    parts: dict[str, list[Item]] = defaultdict(list)
    for item, name in zip(items, names, strict=True):
        parts[name].append(item)
    stats: Stats = {}
    for name in SPLITS if not shares.split else [shares.split]:
        path = out / f"{name}.jsonl"
        if parts[name]:
            write_manifest(path, parts[name])
        else:
            path.unlink(missing_ok=True)
        stats[name] = split_counts(parts[name])
    stats["all"] = {**about, "items": len(items), "split": by, **dropped.stats()}
    write_stats(out, stats)
    return stats


def unique_stems(names: Sequence[str]) -> list[str]:
    """For each file below a folder a name of which ids and outputs are made: without its ending, or with it where two
    would have the same. Raises InputError, naming both, for two that are alike all the same (x/a.jpg and x-a.jpg)."""
    stems = [os.path.splitext(name)[0] for name in names]
    while True:
        places: dict[str, list[int]] = defaultdict(list)
        for number, stem in enumerate(stems):
            places[id_of(stem)].append(number)
        alike = [number for group in places.values() if len(group) > 1 for number in group]
        if all(stems[number] == names[number] for number in alike):
            break
        for number in alike:
            stems[number] = names[number]
    if alike:
        one, two = next(group for group in places.values() if len(group) > 1)[:2]
        raise InputError(f"{names[one]} and {names[two]} must have names of their own; rename one of them")
    return stems


def id_of(name: str) -> str:
    """The name of a file below a folder as an id."""
    return re.sub(r"[\\/]", "-", name)


def check_ids(items: Sequence[Item]) -> None:
    """Raises InputError, with both places, for two items of one id."""
    known: dict[str, Item] = {}
    for item in items:
        if (first := known.setdefault(item.id, item)) is not item:
            one, two = (own.image or own.video or own.audio or own.source for own in (first, item))
            raise InputError(
                f"{one} and {two} must have ids of their own, got {item.id!r} for both; rename one of them"
            )


def split_counts(items: Sequence[Item]) -> dict[str, Any]:
    """Counts of the items of a split; what none of them has is left out."""
    counts = {
        "items": len(items),
        "references": sum(len(item.references) for item in items),
        "pictures": len({item.image for item in items} - {None}),
        "speakers": len({item.speaker for item in items} - {None}),
        "seconds": round(sum(item.seconds or 0.0 for item in items), 2),
    }
    return {name: value for name, value in counts.items() if value or name == "items"}


class Dropped:
    """What could be no item: places by reason, and what was said of the first of them."""

    def __init__(self) -> None:
        self.named: dict[str, list[str]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}

    def add(self, reason: str, place: str, text: str = "") -> None:
        self.counts[reason] += 1
        if len(self.named[reason]) < MAX_NAMED:
            self.named[reason].append(place)
        if text and len(self.reasons) < MAX_NAMED:
            self.reasons[place] = text

    def told(self) -> str:
        """The counts and the first reason, as the end of a sentence."""
        counts = ", ".join(f"{count} {reason}" for reason, count in self.counts.items())
        first = next(iter(self.reasons.values()), "") or next((names[0] for names in self.named.values()), "")
        return f"; dropped: {counts}; the first: {first}" if counts else ""

    def stats(self) -> dict[str, Any]:
        return {"dropped": dict(self.counts), "named": dict(self.named), "reasons": self.reasons}
