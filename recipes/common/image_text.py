"""Short texts about images: their normal form, and pairs of image and text on the command line."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqkit.data.text import JOINER, is_blank, normalize_whitespace
from seqkit.data.vocab import Vocab, WordVocab
from seqkit.errors import InputError
from seqkit.score.language import separate_characters, tokenizer_for
from seqkit.score.language_names import SPACED


def normalize_text(text: str) -> str:
    """Lower case, single spaces, no question mark at the end."""
    return normalize_whitespace(text).lower().rstrip(" ?？؟")


def has_words(text: str) -> bool:
    """Whether anything of a text is left to be read."""
    return not is_blank(normalize_text(text))


def separate_words(text: str) -> str:
    """`normalize_text`, and where it is written without spaces, each of its letters as a word."""
    text = normalize_text(text)
    return text if tokenizer_for([text]) == SPACED else normalize_whitespace(separate_characters(text))


def train_text_vocab(texts: Sequence[str], min_count: int) -> Vocab:
    """A vocabulary of words; where the texts are of a script without spaces, of its letters."""
    texts = [normalize_text(text) for text in texts]
    if tokenizer_for(texts) != SPACED:
        texts = [separate_characters(text) for text in texts]
    return WordVocab.train(texts, min_count=min_count)


def text_tokens(vocab: Vocab, text: str) -> list[str]:
    """The words of a text; letters of scripts without spaces one by one, where the vocabulary has them so."""
    text = normalize_text(text)
    return vocab.tokens(text if _has_unspaced_words(vocab) else separate_characters(text))


def text_ids(vocab: Vocab, text: str) -> list[int]:
    """The ids of `text_tokens`."""
    text = normalize_text(text)
    return vocab.encode(text if _has_unspaced_words(vocab) else separate_characters(text))


@functools.lru_cache(maxsize=8)
def _has_unspaced_words(vocab: Vocab) -> bool:
    """Whether some word has several letters of a script without spaces: somebody has put spaces between its words."""
    tokens = (vocab.token(i).strip(JOINER) for i in range(len(vocab)))
    return any(len(separate_characters(token).split()) > 1 for token in tokens)


def parse_pairs(words: Sequence[str]) -> list[tuple[Path, str]]:
    """Pairs of image and text: the two in turn, or on one line with a tab between them.

    Raises InputError for an image without a text, a text without a word, and a pair the wrong way round.
    """
    parts = [part for line in words for part in line.split("\t")]
    pairs = [(Path(path), text) for path, text in zip(parts[::2], parts[1::2], strict=False)]
    for path, text in pairs:
        if not path.is_file() and Path(text).is_file():
            raise InputError(f"INPUT must be an image and then a text about it, got {str(path)!r} before {text!r}")
        check_text(path, text)
    if len(parts) % 2 or not parts:
        raise InputError(f"INPUT must be images and texts in turn, got {len(parts)} in all; put each text in quotes")
    return pairs


def as_pair(given: Any) -> tuple[Path, str]:
    """An input of `predict` as a pair of image path and text. Raises InputError for anything else."""
    match given:
        case (str() | Path() as image, str(text)):
            check_text(Path(image), text)
            return Path(image), text
    raise InputError(f"an input must be a pair (path of an image, text about it), got {given!r}")


def check_text(path: Path, text: str) -> None:
    """Raises InputError for a text without a word."""
    if not has_words(text):
        raise InputError(f"the text about {path} must have at least one word, got {text!r}")
