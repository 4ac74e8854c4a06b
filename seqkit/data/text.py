"""Text normalization and reversible word tokenization.

A token marks with a joiner the side on which no space was (as in OpenNMT's tokenizer,
Klein et al. 2017, arXiv:1701.02810): `join_words(words(text))` is `normalize_whitespace(text)`, exactly.
"""

import re
import unicodedata
from collections.abc import Iterable

from seqkit.errors import InputError

_JOINING = "\u200c\u200d"  # these spell words in some scripts
JOINER = "￭"  # on the side of a token where no space was: "Well, yes" is `Well` `￭,` `yes`

# Marks of category M (vowel signs, accents that have no composed form) belong to the word that they follow.
_MARKS = "".join(c for c in map(chr, range(0x300, 0x1F000)) if unicodedata.category(c)[0] == "M")
_LETTER = rf"[\w{_MARKS}]"
_WORD = re.compile(_LETTER)
# A word keeps its apostrophes (don't), a number its separators (1,000.5); all else is one token a character.
_TOKEN = re.compile(rf"{_LETTER}+(?:['’]{_LETTER}+|(?<=\d)[.,]\d{_LETTER}*)*|\S")


def normalize_whitespace(text: str) -> str:
    """Normalizes to NFC with single spaces: every run of white space is one space, none at the ends."""
    return single_spaces(unicodedata.normalize("NFC", text))


def single_spaces(text: str) -> str:
    """Replaces every run of white space by one space, and leaves none at the ends."""
    return " ".join(text.split())


def strip_punctuation(text: str) -> str:
    """Replaces punctuation (Unicode category P) by white space, except an apostrophe between two letters."""

    def kept(place: int, char: str) -> bool:
        inside = char in "'’" and text[place - 1 : place].isalpha() and text[place + 1 : place + 2].isalpha()
        return inside or unicodedata.category(char)[0] != "P"

    return single_spaces("".join(c if kept(i, c) else " " for i, c in enumerate(text)))


NORMALIZATIONS = {
    "normalize_whitespace": normalize_whitespace,
    "lower": str.lower,
    "strip_punctuation": strip_punctuation,
}


def normalize(text: str, names: Iterable[str]) -> str:
    """Applies the named normalizations in the order given. Raises InputError for an unknown name."""
    for name in names:
        if name not in NORMALIZATIONS:
            raise InputError(f"`normalize` must be among {', '.join(NORMALIZATIONS)}, got {name!r}")
        text = NORMALIZATIONS[name](text)
    return text


def invisible(text: str) -> list[str]:
    """Lists the characters that nobody sees and no word needs: marks of direction, zero-width spaces, controls."""
    if text.isprintable():
        return []
    return [c for c in text if not c.isprintable() and not c.isspace() and c not in _JOINING]


def is_blank(text: str) -> bool:
    """Tells whether nothing of a text can be seen: it has no characters but white space and `invisible` ones."""
    return all(c.isspace() or not c.isprintable() for c in text)


def printable(text: str) -> str:
    """Escapes what a terminal would obey or not show: control characters, line breaks, marks of direction."""
    return "".join(c if c.isprintable() or c in _JOINING else c.encode("unicode_escape").decode() for c in text)


def words(text: str) -> list[str]:
    """Splits into words and single punctuation marks, each with the joiner on a side where no space was.

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
    """Joins the tokens of `words` to the text; a joiner without a neighbor on its side disappears."""
    text, joined = "", True
    for token in tokens:
        core = token.removeprefix(JOINER).removesuffix(JOINER)
        text += core if joined or token.startswith(JOINER) else " " + core
        joined = token.endswith(JOINER)
    return text
