"""The tokenizer that fits the language of the references: words where spaces separate them, else characters.

Chinese is tokenized by sacrebleu's `zh`; Japanese, Thai and other scripts without spaces by `char`; all else by `13a`.
References whose words somebody has separated by spaces, as corpora of segmented Japanese have them, count as spaced.
"""

import re
from collections.abc import Sequence

from seqkit.score.metric import AS_IT_IS, References, TextOptions

SPACED, HAN, UNSPACED = "13a", "zh", "char"
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
    """Settles the tokenizer of `options` by the references, where it is left open.

    None becomes what `tokenizer_for` chooses; `ptb` becomes `ptb+char` for scripts without spaces.
    """
    if options.tokenizer not in (None, "ptb"):
        return options
    chosen = tokenizer_for([text for texts in references for text in texts])
    if options.tokenizer == "ptb":
        chosen = "ptb" if chosen == SPACED else "ptb+char"
    return options._replace(tokenizer=chosen)


def unspaced(character: str) -> bool:
    """Tells whether a character is a letter of a script that puts no spaces between words."""
    return _CHARACTER.fullmatch(character) is not None


def separate_characters(text: str) -> str:
    """Puts spaces around every letter of a script that has none between words."""
    return _CHARACTER.sub(r" \1 ", text)


def join_characters(text: str) -> str:
    """Undoes `separate_characters`: no space between two letters that stand alone, of a script without spaces."""
    return _BETWEEN.sub(r"\1", text)
