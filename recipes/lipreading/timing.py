"""How late words are read, beside when they are said."""

from collections.abc import Sequence
from statistics import median

from seqkit.data.manifest import Item
from seqkit.recipes.lipreading.ctc_model import Words
from seqkit.recipes.lipreading.data import spoken


def lateness(read: Sequence[Words], items: Sequence[Item]) -> dict[str, float]:
    """Medians, in seconds, by which words start and end late, below 0 early, over the items whose words have times.

    The first start and the last end, beside silence, are apart, and counted where that word is read as it is said;
    others where as many words are read as are said, right or wrong.
    """
    found: dict[str, list[float]] = {"first start": [], "other starts": [], "other ends": [], "last end": []}
    for own, item in zip(read, items, strict=True):
        if not own or not spoken(item):
            continue
        (first, start, _), (last, _, end) = own[0], own[-1]
        if first == item.words[0][0]:
            found["first start"].append(start - item.words[0][1])
        if last == item.words[-1][0]:
            found["last end"].append(end - item.words[-1][2])
        if len(own) == len(item.words):
            pairs = list(zip(own, item.words, strict=True))
            found["other starts"] += [start - said for (_, start, _), (_, said, _) in pairs[1:]]
            found["other ends"] += [end - said for (_, _, end), (_, _, said) in pairs[:-1]]
    return {name: median(some) for name, some in found.items() if some}
