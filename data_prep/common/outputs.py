"""What a preparation writes: a manifest a split, and `stats.json` with counts and the names of what was dropped."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit.data.files import atomic_write, strict_json
from seqkit.data.manifest import Item, write_manifest
from seqkit.errors import InputError
from seqkit.share import is_part, or_end

Stats = dict[str, dict[str, Any]]  # by split
MAX_NAMED = 100  # at most so many dropped items a reason are named in the statistics
HIDDEN = ("files", "named", "reasons", "remarks", "shared_texts", "unread_texts")  # long values: in stats.json alone


class PreparedSplit(NamedTuple):
    """The items of a split that are kept, and its statistics."""

    items: list[Item]
    counts: dict[str, Any]


def write_splits(
    out: Path, splits: Iterable[tuple[str, PreparedSplit]], read: Sequence[str], more: Mapping[str, dict[str, Any]]
) -> Stats:
    """Writes a manifest for every split with at least one item, and `stats.json`, with `more` in it.

    `read` names the published files that list the items. Returns statistics by split. Raises InputError where no item
    is left at all.
    """
    stats: Stats = {}
    for split, prepared in or_end(list(splits)) if is_part() else splits:
        if prepared.items:
            write_manifest(out / f"{split}.jsonl", prepared.items)
        stats[split] = {**prepared.counts, "files": list(read)}
    if not any(counts["items"] for counts in stats.values()):
        dropped = ", ".join(f"{split} {counts['dropped']}" for split, counts in stats.items())
        raise InputError(f"{', '.join(read)}: must name readable images under --raw, got none; dropped: {dropped}")
    stats |= more
    write_stats(out, stats)
    return stats


def write_stats(folder: Path, stats: Mapping[str, object]) -> None:
    """`stats.json` by split; splits that an earlier run put in the same folder stay."""
    path = folder / "stats.json"
    try:
        earlier = strict_json(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        earlier = None
    earlier = earlier if isinstance(earlier, dict) else {}
    with atomic_write(path) as file:
        file.write(json.dumps({**earlier, **stats}, indent=2).encode() + b"\n")


def print_stats(stats: Mapping[str, Mapping[str, object]]) -> None:
    """A line a split; names are in stats.json."""
    for split, counts in stats.items():
        print(split, *(f"{key}={value}" for key, value in counts.items() if key not in HIDDEN))
