"""Which sounds a reader of lips takes for which others, among those that look alike.

Phonemes are ARPAbet's. Those of one viseme look alike on the lips: the classes of Neti et al. 2000, "Audio-visual
speech recognition", as in LipNet (Assael et al. 2016, arXiv:1611.01599, section 5.4). Pronunciations are ours, of the
words of GRID's sentences.

P phonemes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqkit.score.error_rate import align

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


def groups() -> list[tuple[str, int]]:
    """Every viseme and how many of PHONEMES it has, in their order."""
    return [(name, len(own.split())) for name, own in VISEMES.items()]


def spell(text: str) -> list[str] | None:
    """The phonemes of a text; None where a word has no pronunciation here."""
    words = [PRONUNCIATIONS.get(word) for word in text.lower().split()]
    return None if None in words else [phoneme for word in words if word for phoneme in word.split()]


def confusions(references: Sequence[str], hypotheses: Sequence[str]) -> NDArray[np.int64]:
    """(P, P): how often the phoneme of a row was read as that of a column, in texts whose words are all known here."""
    numbers = {phoneme: n for n, phoneme in enumerate(PHONEMES)}
    counts_PP = np.zeros((len(PHONEMES), len(PHONEMES)), np.int64)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        said, read = spell(reference), spell(hypothesis)
        if said and read:
            for one, other in align([" ".join(said)], " ".join(read)):
                if one is not None and other is not None:
                    counts_PP[numbers[one], numbers[other]] += 1
    return counts_PP
