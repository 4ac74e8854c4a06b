"""Normalizations, and words that join to the very text they came from."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqkit.data.text import JOINER, join_words, normalize, normalize_whitespace, printable, strip_punctuation, words
from seqkit.errors import InputError

TEXT = st.text(st.characters(exclude_characters=JOINER, exclude_categories=["Cs"]))
PROSE = st.text(alphabet="aé1 .,'’\"-()?", max_size=30)


@given(TEXT | PROSE)
@settings(deadline=None)
@example("3.5 .5 5. a.5 1,000.50,")
@example("don't ''don't'' rock'n'roll l’homme d'")
@example("हिन्दी, ไทย e\u0301!")
@example("a\u0300\u0300 \u0300b")
def test_words_join_to_the_text_with_single_spaces(text):
    tokens = words(text)
    assert join_words(tokens) == normalize_whitespace(text)
    assert all(token.strip(JOINER) and " " not in token for token in tokens)


@given(TEXT)
@settings(deadline=None)
def test_normalizing_white_space_is_a_projection(text):
    once = normalize_whitespace(text)
    assert normalize_whitespace(once) == once == unicodedata.normalize("NFC", once) and "  " not in once


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Well, I don't.", ["Well", "￭,", "I", "don't", "￭."]),
        ("(a) 1,000.5 -b", ["(￭", "a", "￭)", "1,000.5", "-￭", "b"]),
        ("a-b", ["a", "￭-￭", "b"]),
        ('a " b', ["a", '"', "b"]),
        ("हिन्दी", ["हिन्दी"]),
        (" ", []),
        ("x ￭y", ["x", "■￭", "y"]),
    ],
)
def test_published_looks(text, tokens):
    assert words(text) == tokens


def test_a_joiner_without_neighbor_disappears():
    assert join_words(["￭,", "a", "b￭"]) == ", a b" and join_words([]) == ""


def test_normalizations_apply_in_order():
    assert normalize("  DON'T,  Stop-it\u00a0e\u0301 ", ["normalize_whitespace", "lower"]) == "don't, stop-it é"
    assert normalize("'Don't', 'stop'!", ["strip_punctuation", "lower"]) == "don't stop"
    assert strip_punctuation("5 € + “x”") == "5 € + x"
    assert normalize(" as it is ", []) == " as it is "


def test_squeeze_composes_and_replaces_nothing():
    assert normalize_whitespace("e\u0301 ﬁ ½ … Ａ") == "é ﬁ ½ … Ａ"


def test_an_unknown_normalization_is_named():
    with pytest.raises(
        InputError, match="`normalize` must be among normalize_whitespace, lower, strip_punctuation, got 'upper'"
    ):
        normalize("x", ["upper"])


def test_what_a_terminal_would_obey_is_escaped_and_letters_stay():
    assert printable("a\x1b[31mb\r\n\x9b\u202e") == "a\\x1b[31mb\\r\\n\\x9b\\u202e"
    for text in ("नमस्ते, می\u200cخواهم", "日本 é ¿", "a b"):
        assert printable(text) == text
