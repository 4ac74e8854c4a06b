"""Text before it becomes ids: named normalisations, characters, and words that can be put together again.

A word-level token keeps the knowledge of where spaces were by a joiner mark (as in OpenNMT's tokeniser,
Klein et al. 2017, arXiv:1701.02810): `join_words(words(text))` is `normalize_whitespace(text)`, exactly.
"""

import re
import unicodedata
from collections.abc import Iterable

from seqkit.errors import InputError

JOINER = "￭"  # on the side of a token where no space was: "Well, yes" is `Well` `￭,` `yes`

# Marks of category M (vowel signs, accents that have no composed form) belong to the word that they follow.
_MARKS = "".join(c for c in map(chr, range(0x300, 0x1F000)) if unicodedata.category(c)[0] == "M")
_LETTER = rf"[\w{_MARKS}]"
_WORD = re.compile(_LETTER)
# A word keeps its apostrophes (don't), a number its separators (1,000.5); all else is one token a character.
_TOKEN = re.compile(rf"{_LETTER}+(?:['’]{_LETTER}+|(?<=\d)[.,]\d{_LETTER}*)*|\S")


def normalize_whitespace(text: str) -> str:
    """Composed Unicode (NFC), every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def strip_punctuation(text: str) -> str:
    """Punctuation (Unicode category P) becomes white space, except an apostrophe between two letters."""

    def kept(place: int, char: str) -> bool:
        inside = char in "'’" and text[place - 1 : place].isalpha() and text[place + 1 : place + 2].isalpha()
        return inside or unicodedata.category(char)[0] != "P"

    return " ".join("".join(c if kept(i, c) else " " for i, c in enumerate(text)).split())


NORMALISATIONS = {"squeeze": normalize_whitespace, "lower": str.lower, "strip_punctuation": strip_punctuation}


def normalise(text: str, names: Iterable[str]) -> str:
    """`text` after the named normalisations, in the order given. Raises InputError for an unknown name."""
    for name in names:
        if name not in NORMALISATIONS:
            raise InputError(f"`normalise` must be among {', '.join(NORMALISATIONS)}, got {name!r}")
        text = NORMALISATIONS[name](text)
    return text


def words(text: str) -> list[str]:
    """Words and single marks of punctuation, each with the joiner on a side where no space was.

    Between two tokens that touch, the mark of punctuation carries it; where both are punctuation, the later.
    A joiner in the text itself is read as a black square, which it resembles.
    """
    tokens: list[str] = []
    end = 0
    for match in _TOKEN.finditer(normalize_whitespace(text).replace(JOINER, "■")):
        token, touches = match.group(), match.start() == end and end > 0
        if touches and not _WORD.match(token):
            token = JOINER + token
        elif touches:  # two words never touch, so the token before is punctuation
            tokens[-1] += JOINER
        tokens.append(token)
        end = match.end()
    return tokens


def join_words(tokens: Iterable[str]) -> str:
    """The text whose `words` the tokens are; a joiner that has no neighbour on its side disappears."""
    text, joined = "", True
    for token in tokens:
        core = token.removeprefix(JOINER).removesuffix(JOINER)
        text += core if joined or token.startswith(JOINER) else " " + core
        joined = token.endswith(JOINER)
    return text
