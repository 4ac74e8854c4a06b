"""How late words are read, beside when they are said."""

from collections.abc import Sequence
from statistics import median

from recipes.lip_reader import Words
from recipes.utterances import spoken
from seqkit.data.manifest import Item


def lateness(read: Sequence[Words], items: Sequence[Item]) -> dict[str, float]:
    """Medians, in seconds, by which starts and ends of words come late, over the items whose words have times and that
    are read in as many words, right or wrong; below 0 is early. The first start and the last end, beside silence, are
    apart.
    """
    found: dict[str, list[float]] = {"first start": [], "other starts": [], "other ends": [], "last end": []}
    for own, item in zip(read, items, strict=True):
        if not spoken(item) or len(own) != len(item.words):
            continue
        begins = [start - said for (_, start, _), (_, said, _) in zip(own, item.words, strict=True)]
        ends = [end - said for (_, _, end), (_, _, said) in zip(own, item.words, strict=True)]
        for name, some in zip(found, (begins[:1], begins[1:], ends[:-1], ends[-1:]), strict=True):
            found[name] += some
    return {name: median(some) for name, some in found.items() if some}
