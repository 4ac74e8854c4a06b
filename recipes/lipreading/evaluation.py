"""How a model of lips and sound is scored: in every modality and noise, word by word, and where its senses differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from seqkit.data.manifest import Item
from seqkit.errors import InputError
from seqkit.recipes.lipreading.attention_model import Modality
from seqkit.score.error_rate import align
from seqkit.score.metric import Score
from seqkit.score.report import ScoredItem
from seqkit.score.terminal import columns, figure

DIFFERENT = 20  # items shown for which the senses differ


def conditions(own: Modality, ratios: Sequence[str], items: Sequence[Item]) -> list[tuple[Modality, str]]:
    """Modality and ratio of everything that is to be scored: what only sees is the same in any noise.

    Raises InputError for a ratio that is neither `clean` nor a number.
    """
    wanted: list[Modality] = ["audio", "video", "both"] if own == "both" else [own]
    heard = [ratio for ratio in ratios if ratio != "clean"] if any(item.audio for item in items) else []
    for ratio in heard:
        try:
            float(ratio)
        except ValueError:
            raise InputError(f"`snr` must be of `clean` and numbers in dB, got {ratio!r}") from None
    return [(modality, ratio) for modality in wanted for ratio in ("clean", *(heard if modality != "video" else ()))]


def slots(evaluated: Sequence[ScoredItem]) -> dict[str, list[ScoredItem]]:
    """Word by word, by place, where all sentences have as many words: what stands there in the truth and was read."""
    counts = {len(item.references[0].split()) for item in evaluated}
    if len(counts) != 1 or counts == {1}:
        return {}
    found: dict[str, list[ScoredItem]] = {}
    for item in evaluated:
        place = 0
        for said, read in align(item.references[:1], item.hypothesis):
            if said is not None:
                place += 1
                found.setdefault(str(place), []).append(ScoredItem(item.id, [said], read or ""))
    return found


def table(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """As table 5 of Chung et al. 2017: a line for every modality and ratio."""
    rows = [["modality", "SNR", "CER", "WER", "BLEU-1"]]
    for name, metrics in groups.items():
        shown = [figure(Score(**metrics[metric])) for metric in ("cer", "wer", "bleu1")]
        rows.append([*name.split("/"), *shown])
    return columns(rows, left=2)


def disagreements(found: Mapping[str, Sequence[ScoredItem]]) -> str:
    """As table 7 of Chung et al. 2017: truth, and what each modality made of it, for items where they differ."""
    lines = ["what the modalities make of the same item, where they differ:"]
    shown = 0
    for together in zip(*found.values(), strict=True):
        if shown < DIFFERENT and len({item.hypothesis for item in together}) > 1:
            shown += 1
            texts = [together[0].references[0], *(item.hypothesis for item in together)]
            lines += [f"{name:>6}  {text}" for name, text in zip(("truth", *found), texts, strict=True)] + [""]
    return "\n".join(lines).rstrip()
