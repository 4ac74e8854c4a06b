"""What evaluation reports beside error rates: conditions of noise and modality, word positions, phonemes confused by
LipNet, and how late words are.

Phonemes are those of ARPAbet, by viseme: phonemes of one viseme look alike on the lips (classes of Neti et al. 2000,
"Audio-visual speech recognition", as in LipNet, Assael et al. 2016, arXiv:1611.01599, section 5.4). Pronunciations are
our own, of the words of GRID's sentences.

P phonemes.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data.manifest import Item
from seqkit.errors import InputError
from seqkit.recipes.lipreading.input_config import Modality
from seqkit.recipes.lipreading.item_times import has_word_times
from seqkit.score.error_rate import align
from seqkit.score.metric import Score
from seqkit.score.prediction import Prediction, Word
from seqkit.score.terminal import columns, figure

DIFFERENT = 20  # items shown on which the modalities differ
DEFAULT_SNR = ("clean", "10", "0")

VISEMES = {
    "open or rounded": "aa ah ao aw er oy hh",
    "rounded": "ow uh uw",
    "spread": "ae ay eh ey",
    "narrow": "ax ih iy",
    "semivowel": "l r y",
    "s": "s z",
    "alveolar": "d n t",
    "palatal": "ch jh sh zh",
    "bilabial": "b m p",
    "dental": "dh th",
    "labiodental": "f v",
    "velar": "g k ng w",
}
PHONEMES = [phoneme for own in VISEMES.values() for phoneme in own.split()]

PRONUNCIATIONS = {
    "bin": "b ih n",
    "lay": "l ey",
    "place": "p l ey s",
    "set": "s eh t",
    "blue": "b l uw",
    "green": "g r iy n",
    "red": "r eh d",
    "white": "w ay t",
    "at": "ae t",
    "by": "b ay",
    "in": "ih n",
    "with": "w ih dh",
    "zero": "z ih r ow",
    "one": "w ah n",
    "two": "t uw",
    "three": "th r iy",
    "four": "f ao r",
    "five": "f ay v",
    "six": "s ih k s",
    "seven": "s eh v ax n",
    "eight": "ey t",
    "nine": "n ay n",
    "again": "ax g eh n",
    "now": "n aw",
    "please": "p l iy z",
    "soon": "s uw n",
    "a": "ey",
    "b": "b iy",
    "c": "s iy",
    "d": "d iy",
    "e": "iy",
    "f": "eh f",
    "g": "jh iy",
    "h": "ey ch",
    "i": "ay",
    "j": "jh ey",
    "k": "k ey",
    "l": "eh l",
    "m": "eh m",
    "n": "eh n",
    "o": "ow",
    "p": "p iy",
    "q": "k y uw",
    "r": "aa r",
    "s": "eh s",
    "t": "t iy",
    "u": "y uw",
    "v": "v iy",
    "x": "eh k s",
    "y": "w ay",
    "z": "z eh d",
}


def conditions(own: Modality, snr: Sequence[str] | None, items: Sequence[Item]) -> list[tuple[Modality, str]]:
    """Modality and signal-to-noise ratio of everything to score; video has no noise.

    `snr` None: DEFAULT_SNR where there is audio. Raises InputError for a ratio that is neither `clean` nor a number,
    and for any where there is no audio.
    """
    modalities: list[Modality] = ["audio", "video", "both"] if own == "both" else [own]
    has_audio = own != "video" and any(item.audio for item in items)
    if snr is not None and not has_audio:
        raise InputError(f"`snr` must be left out where no audio is read, got {', '.join(snr)}")
    noisy = [ratio for ratio in snr or DEFAULT_SNR if ratio != "clean"] if has_audio else []
    for ratio in noisy:
        try:
            float(ratio)
        except ValueError:
            raise InputError(f"`snr` must be of `clean` and numbers in dB, got {ratio!r}") from None
    return [
        (modality, ratio) for modality in modalities for ratio in ("clean", *(noisy if modality != "video" else ()))
    ]


def word_positions(
    items: Sequence[Item], predictions: Sequence[Prediction]
) -> dict[str, list[tuple[Item, Prediction]]]:
    """The reference's word of each position and what was read in its place, where all sentences have as many words."""
    counts = {len(item.references[0].split()) for item in items}
    if len(counts) != 1 or counts == {1}:
        return {}
    found: dict[str, list[tuple[Item, Prediction]]] = {}
    for item, prediction in zip(items, predictions, strict=True):
        pairs = align(item.references[:1], prediction.text)
        said = [(word, read) for word, read in pairs if word is not None]
        for position, (word, read) in enumerate(said, 1):
            one = Item(id=item.id, references=(word,)), prediction._replace(text=read or "")
            found.setdefault(str(position), []).append(one)
    return found


def table(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """As table 5 of Chung et al. 2017: a line for every modality and ratio."""
    rows = [["modality", "SNR", "CER", "WER", "BLEU-1"]]
    for name, metrics in groups.items():
        shown = [figure(Score(**metrics[metric])) for metric in ("cer", "wer", "bleu1")]
        rows.append([*name.split("/"), *shown])
    return columns(rows, left=2)


def disagreements(items: Sequence[Item], found: Mapping[str, Sequence[Prediction]]) -> str:
    """As table 7 of Chung et al. 2017: reference and each modality's output, for items on which they differ."""
    lines = ["outputs of the modalities for the same item, where they differ:"]
    shown = 0
    for item, *together in zip(items, *found.values(), strict=True):
        texts = [prediction.text for prediction in together]
        if shown < DIFFERENT and len(set(texts)) > 1:
            shown += 1
            named = zip(("reference", *found), (item.references[0], *texts), strict=True)
            lines += [f"{name:>9}  {text}" for name, text in named] + [""]
    return "\n".join(lines).rstrip()


def visemes() -> list[tuple[str, int]]:
    """Every viseme and how many of PHONEMES it has, in their order."""
    return [(name, len(own.split())) for name, own in VISEMES.items()]


def phonemes(text: str) -> list[str] | None:
    """The phonemes of a text; None where a word has no pronunciation here."""
    words = [PRONUNCIATIONS.get(word) for word in text.lower().split()]
    return None if None in words else [phoneme for word in words if word for phoneme in word.split()]


def phoneme_confusions(references: Sequence[str], hypotheses: Sequence[str]) -> NDArray[np.int64]:
    """(P, P): how often the row's phoneme was read as the column's, in texts whose words all have a pronunciation."""
    numbers = {phoneme: n for n, phoneme in enumerate(PHONEMES)}
    counts_PP = np.zeros((len(PHONEMES), len(PHONEMES)), np.int64)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        said, read = phonemes(reference), phonemes(hypothesis)
        if said and read:
            for one, other in align([" ".join(said)], " ".join(read)):
                if one is not None and other is not None:
                    counts_PP[numbers[one], numbers[other]] += 1
    return counts_PP


def lateness(read: Sequence[Sequence[Word]], items: Sequence[Item]) -> dict[str, float]:
    """Medians, in seconds, by which words start and end late (negative: early), over items whose words have times.

    The first start and the last end, beside silence, are apart, and counted where that word is right; others where the
    numbers of words are equal, right or wrong.
    """
    found: dict[str, list[float]] = {"first start": [], "other starts": [], "other ends": [], "last end": []}
    for own, item in zip(read, items, strict=True):
        if not own or not has_word_times(item):
            continue
        times = [(word.start or 0.0, word.end or 0.0) for word in own]
        if own[0].text == item.words[0][0]:
            found["first start"].append(times[0][0] - item.words[0][1])
        if own[-1].text == item.words[-1][0]:
            found["last end"].append(times[-1][1] - item.words[-1][2])
        if len(own) == len(item.words):
            pairs = list(zip(times, item.words, strict=True))
            found["other starts"] += [start - said for (start, _), (_, said, _) in pairs[1:]]
            found["other ends"] += [end - said for (_, end), (_, _, said) in pairs[:-1]]
    return {name: median(some) for name, some in found.items() if some}


def lateness_line(late: Mapping[str, float]) -> str:
    """The medians in a line for a terminal; empty without any."""
    shown = ", ".join(f"{name} {value:+.2f}" for name, value in late.items())
    return f"words are late by, in seconds: {shown}" if late else ""
