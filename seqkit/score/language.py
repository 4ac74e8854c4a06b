"""The tokenizer that fits the language of the references: words where spaces separate them, else characters.

Chinese is tokenized by sacrebleu's `zh`; Japanese, Thai and other scripts without spaces by `char`; all else by `13a`.
References whose words somebody has separated by spaces, as corpora of segmented Japanese have them, count as spaced.
"""

import re
from collections.abc import Sequence

from seqkit.errors import InputError
from seqkit.score.language_names import HAN, JAPANESE, KOREAN, SPACED, UNSPACED, tokenizer_of
from seqkit.score.metric import AS_IT_IS, References, TextOptions

WORD = 6  # letters: with a space at least as often, words are separated
FEW = 0.1  # share of kana and other letters up to which a text is Chinese

_HAN = "\u2e80-\u2fdf\u3005\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Thai, Lao, Tibetan; Burmese; Khmer; Tai scripts; Balinese, Javanese; kana
_OTHER = (
    "\u0e01-\u0fff\u1000-\u109f\u1780-\u17dd\u1950-\u19df\u1a20-\u1aad\u1b00-\u1b4b\ua980-\ua9c0\ua9e0-\ua9fe"
    "\uaa60-\uaadf\u3041-\u3096\u309d-\u309f\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f"
)
_COUNTED = {
    "han": re.compile(f"[{_HAN}]+"),
    "other": re.compile(f"[{_OTHER}]+"),
    "spaced": re.compile(rf"(?:(?![{_HAN}{_OTHER}])[^\W\d_])+"),
    "gaps": re.compile(rf"(?<=[{_HAN}{_OTHER}])\s(?=\s*[{_HAN}{_OTHER}])"),
}
_CHARACTER = re.compile(f"([{_HAN}{_OTHER}])")
_BETWEEN = re.compile(rf"(?<!\S)([{_HAN}{_OTHER}]) (?=[{_HAN}{_OTHER}](?!\S))")


def tokenizer_for(texts: Sequence[str]) -> str:
    """Chooses the tokenizer of BLEU: `13a`, `zh` or `char`."""
    counts = {
        name: sum(len(run) for text in texts for run in pattern.findall(text)) for name, pattern in _COUNTED.items()
    }
    unspaced = counts["han"] + counts["other"]
    if unspaced <= counts["spaced"] or WORD * counts["gaps"] >= unspaced:
        return SPACED
    return HAN if counts["other"] <= FEW * unspaced else UNSPACED


def options_for(references: References, options: TextOptions = AS_IT_IS) -> TextOptions:
    """Settles what `options` leaves open: the tokenizer by the language or else by the references, and its synonyms.

    The normalizers `lower` and `punctuation` become the fields of that meaning, which apply last. A tokenizer of None
    becomes what `tokenizer_of` or `tokenizer_for` chooses; `ptb` becomes `ptb+char` for scripts without spaces.
    Raises InputError for an unknown language, and for a language beside a tokenizer that leaves it nothing to choose.
    """
    names = options.normalizers
    if isinstance(names, str):
        raise InputError(f"`normalizers` must be a tuple of names, got the text {names!r}")
    options = options._replace(
        lowercase=options.lowercase or "lower" in names,
        punctuation=options.punctuation and "punctuation" not in names,
        normalizers=tuple(name for name in names if name not in ("lower", "punctuation")),
    )
    if options.tokenizer not in (None, "ptb"):
        if options.language is not None:
            raise InputError(
                f"one of language and tokenizer must be given, got {options.language!r} and {options.tokenizer!r}"
            )
        return options
    if options.language is not None:
        chosen = tokenizer_of(options.language)
    else:
        chosen = tokenizer_for([text for texts in references for text in texts])
    if options.tokenizer == "ptb":
        chosen = "ptb" if chosen in (SPACED, KOREAN) else "ptb+char"
    return options._replace(tokenizer=chosen, language=None)


def by_character(options: TextOptions) -> bool:
    """Tells whether the tokens of captions are characters, given options that `options_for` has settled."""
    return options.tokenizer in (HAN, JAPANESE, UNSPACED, "ptb+char")


def unspaced(character: str) -> bool:
    """Tells whether a character is a letter of a script that puts no spaces between words."""
    return _CHARACTER.fullmatch(character) is not None


def separate_characters(text: str) -> str:
    """Puts spaces around every letter of a script that has none between words."""
    return _CHARACTER.sub(r" \1 ", text)


def join_characters(text: str) -> str:
    """Undoes `separate_characters`: no space between two letters that stand alone, of a script without spaces."""
    return _BETWEEN.sub(r"\1", text)
