"""Questions and phrases about images: what the preparation of VQA and of grounding share.

Several items may be about one image: it is found and decoded once, and with it go all of its items. No image may be
in two splits.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from seqkit.data.manifest import Item
from seqkit.data_prep.common.image_check import check_images
from seqkit.data_prep.common.outputs import MAX_NAMED, PreparedSplit
from seqkit.data_prep.common.raw_files import Files
from seqkit.errors import InputError


class Split(NamedTuple):
    """A split as a corpus lists it."""

    items: list[Item]  # `image` is the name of the image's file, perhaps with the published folder before it
    dropped: dict[str, list[str]]  # what could be no item, by reason: ids, or places in files

    @classmethod
    def empty(cls) -> "Split":
        return cls([], defaultdict(list))

    def add(self, other: "Split") -> None:
        self.items.extend(other.items)
        for reason, places in other.dropped.items():
            self.dropped[reason] += places


def merge(splits: Iterable[Split]) -> Split:
    """All of them as one."""
    whole = Split.empty()
    for split in splits:
        whole.add(split)
    return whole


def image_names(items: Iterable[Item]) -> Iterator[str]:
    """The names of their images, each once, in the order of the items."""
    return iter(dict.fromkeys(str(item.image) for item in items))


def check_disjoint(
    splits: Mapping[str, Split], advice: str = "take another publication, or take them out of one of the two"
) -> None:
    """Raises InputError for an image in two splits; several test sets may share theirs."""
    first: dict[str, str] = {}
    for title, split in splits.items():
        group = "test" if title.startswith("test") else title
        for name in image_names(split.items):
            other = first.setdefault(name, group)
            if other != group:
                places = f"questions or phrases about it in {other} and in {group}"
                raise InputError(f"{name}: must be in one split, got {places}; {advice}")


def keep_readable(
    files: Files, split: Split, *, workers: int, title: str, finish: Callable[[Item], Item | str] = lambda item: item
) -> PreparedSplit:
    """The items whose images are there and readable, as `finish` leaves them; a text is why it drops one."""
    report = check_images(files, image_names(split.items), workers, title)
    fault_of = {name: fault for fault, faulty in report.dropped.items() for name in faulty}
    dropped = Counter({reason: len(places) for reason, places in split.dropped.items()})
    named = {**split.dropped, **report.named()}
    items: list[Item] = []
    for item in split.items:
        name = str(item.image)
        result = fault_of[name] if name in fault_of else finish(replace(item, image=report.paths[name]))
        if isinstance(result, Item):
            items.append(result)
        else:
            dropped[result] += 1
            if name not in fault_of:
                named[result] = [*named.get(result, ()), item.id]
    return PreparedSplit(
        items,
        {
            "images": len(report.paths) + len(fault_of),
            "items": len(items),
            "references": sum(len(item.references) for item in items),
            "dropped": dict(dropped),
            "not_rgb": {mode: len(found) for mode, found in report.not_rgb.items()},
            **report.more(),
            "named": {reason: found[:MAX_NAMED] for reason, found in named.items()},
            "reasons": dict(list(report.reasons.items())[:MAX_NAMED]),
        },
    )
