"""Text normalizers by name, which change references and hypotheses alike before they are compared.

- `lower`: lower case. `punctuation`: without characters of the Unicode categories P*. The two are the options
  `lowercase` and `punctuation` of `TextOptions` by other names.
- `whisper`: the English normalizer of Whisper (Radford et al. 2022, arXiv:2212.04356, appendix C), as leader boards of
  English speech recognition use it. It removes words in brackets, fillers and punctuation, writes contractions out and
  British words in American spelling, and turns number words into figures. What is spoken digit by digit is joined:
  `one two three` is the one word `123`, the letter `o` is the digit `0` and `w o o d` is `w 00 d`. Of texts that are
  spelled, word counts and so error rates are not those of the words spoken.
- `whisper_basic`: its normalizer of other languages: lower case, without brackets and punctuation. Vowel signs of Indic
  scripts and of Thai count as punctuation to it.
- `module:NAME`: a function of one's own from text to text.

Both of Whisper's are taken from the package whisper_normalizer, less the four rules by which its version 0.1.15 departs
from openai-whisper 20250625: `a cause` would become `a because`.
"""

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata

from seqkit.errors import InputError
from seqkit.score.import_object import import_object

NORMALIZERS = ("lower", "punctuation", "whisper", "whisper_basic")
_ADDED = (r"\bkinda\b", r"\bsorta\b", r"\bdunno\b", r"\bcause\b")  # rules that OpenAI's normalizer has not
Normalizer = Callable[[str], str]


def without_punctuation(text: str) -> str:
    """Removes every character of the Unicode categories P*, and the white space that is left over."""
    kept = "".join(character for character in text if not unicodedata.category(character).startswith("P"))
    return " ".join(kept.split())


@lru_cache
def normalizer(name: str) -> Normalizer:
    """Returns the normalizer of a name. Raises InputError for an unknown one, and where its package is missing."""
    if name == "lower":
        return str.lower
    if name == "punctuation":
        return without_punctuation
    if name in NORMALIZERS:
        return _whisper(english=name == "whisper")
    if ":" not in name:
        raise InputError(f"a normalizer must be one of {' '.join(NORMALIZERS)} or module:NAME, got {name!r}")
    found: Normalizer = import_object(name, "a normalizer of your own")
    if not callable(found):
        raise InputError(f"{name!r} must be a function from text to text, got {type(found).__name__}")
    return found


@lru_cache(maxsize=2**16)
def normalized(text: str, name: str) -> str:
    """Applies a normalizer, cached since the same references are compared with several systems.

    Raises InputError where one of the user's own gives something else than text.
    """
    found = normalizer(name)(text)
    if not isinstance(found, str):
        raise InputError(f"{name!r} must give text, got {found!r} for {text!r}")
    return " ".join(found.split())


def tag(name: str) -> str:
    """Names a normalizer as signatures do, with the version of its package."""
    if name in ("whisper", "whisper_basic"):
        return f"{name}@{metadata.version('whisper_normalizer')}"
    return name


def _whisper(*, english: bool) -> Normalizer:
    try:
        from whisper_normalizer.basic import BasicTextNormalizer
        from whisper_normalizer.english import EnglishTextNormalizer
    except ModuleNotFoundError as error:
        raise InputError(
            f"the normalizer `whisper` must find the package whisper_normalizer, got no {error.name}: "
            'pip install "seqkit[score]"'
        ) from None
    if not english:
        basic: Normalizer = BasicTextNormalizer()
        return basic
    found = EnglishTextNormalizer()
    found.replacers = {rule: text for rule, text in found.replacers.items() if rule not in _ADDED}
    whole: Normalizer = found
    return whole
