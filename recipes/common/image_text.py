"""Short texts about images: their normal form, and pairs of image and text on the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqkit.data.text import normalize_whitespace
from seqkit.errors import InputError


def normalize_text(text: str) -> str:
    """Lower case, single spaces, no question mark at the end."""
    return normalize_whitespace(text).lower().rstrip(" ?")


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
    if not normalize_text(text):
        raise InputError(f"the text about {path} must have at least one word, got {text!r}")
