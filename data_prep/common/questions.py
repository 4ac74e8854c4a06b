"""Questions and phrases about pictures to manifests: what daquar.py, vqa2.py and referit.py share.

Several items may be about one picture: it is found and decoded once, and with it go all of its items. Each split is
checked to have pictures of its own.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from seqkit.data.manifest import Item
from seqkit.data_prep.common.raw_files import Files, Kept, examine
from seqkit.errors import InputError

NAMED = 100  # at most so many of each fault are named in the statistics


class Part(NamedTuple):
    """A split as a corpus lists it."""

    items: list[Item]  # `image` is the name of the picture's file, perhaps with the published folder before it
    dropped: dict[str, list[str]]  # what could be no item, by reason: ids, or places in files

    @classmethod
    def empty(cls) -> "Part":
        return cls([], defaultdict(list))

    def add(self, other: "Part") -> None:
        self.items.extend(other.items)
        for reason, places in other.dropped.items():
            self.dropped[reason] += places


def merged(parts: Iterable[Part]) -> Part:
    """All of them as one."""
    whole = Part.empty()
    for part in parts:
        whole.add(part)
    return whole


def names(items: Iterable[Item]) -> Iterator[str]:
    """Of their pictures, each once, in the order of the items."""
    return iter(dict.fromkeys(str(item.image) for item in items))


def disjoint(parts: Mapping[str, Part]) -> None:
    """Raises InputError for a picture in two splits; several test sets may share theirs."""
    first: dict[str, str] = {}
    for split, part in parts.items():
        group = "test" if split.startswith("test") else split
        for name in names(part.items):
            other = first.setdefault(name, group)
            if other != group:
                raise InputError(
                    f"{name}: must be in one split, got questions or phrases about it in {other} and in {group}; "
                    "take another publication, or take them out of one of the two"
                )


def keep(
    files: Files, part: Part, *, workers: int, title: str, finish: Callable[[Item], Item | str] = lambda item: item
) -> Kept:
    """The items whose pictures are there and readable, as `finish` leaves them; a text is why it drops one."""
    pictures = examine(files, names(part.items), workers, title)
    fault_of = {name: fault for fault, faulty in pictures.dropped.items() for name in faulty}
    dropped = Counter({reason: len(places) for reason, places in part.dropped.items()})
    named = {**part.dropped, **pictures.dropped, **pictures.not_rgb}
    items: list[Item] = []
    for item in part.items:
        name = str(item.image)
        made = fault_of[name] if name in fault_of else finish(replace(item, image=pictures.paths[name]))
        if isinstance(made, Item):
            items.append(made)
        else:
            dropped[made] += 1
    return Kept(
        items,
        {
            "images": len(pictures.paths) + len(fault_of),
            "items": len(items),
            "references": sum(len(item.references) for item in items),
            "dropped": dict(dropped),
            "not_rgb": {mode: len(found) for mode, found in pictures.not_rgb.items()},
            "named": {reason: found[:NAMED] for reason, found in named.items()},
            "reasons": dict(list(pictures.reasons.items())[:NAMED]),
        },
    )
