"""Text normalizers: what each does, that signatures and remarks say so, and one's own."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from seqkit.errors import InputError
from seqkit.score import TextOptions, score
from seqkit.score.evaluate import statistics
from seqkit.score.normalizer import NORMALIZERS, normalized, normalizer
from seqkit.score.remarks import remarks

WHISPER = [
    ("set white in b nine again", "set white in b 9 again"),
    ("one two three", "123"),
    ("w o o d", "w 00 d"),
    ("Twenty-one dollars and fifty cents, Mr. Smith won't colour it [laughs]", "$21.50 mister smith will not color it"),
    ("uh hmm", ""),
    ("the cause, 'cause I dunno", "the cause cause i dunno"),  # rules of whisper_normalizer alone would change it
]


@pytest.mark.parametrize(("text", "expected"), WHISPER)
def test_whispers_english_normalizer_is_openais(text: str, expected: str) -> None:
    pytest.importorskip("whisper_normalizer")
    assert normalized(text, "whisper") == expected


def test_the_rules_that_openais_normalizer_has_not_are_there_to_be_removed() -> None:
    english = pytest.importorskip("whisper_normalizer.english")
    assert english.EnglishTextNormalizer()("a cause") == "a because"
    assert len(english.EnglishTextNormalizer().replacers) == 4 + len(normalizer("whisper").replacers)  # type: ignore[attr-defined]


def test_the_signature_names_it_with_the_version_of_its_package() -> None:
    pytest.importorskip("whisper_normalizer")
    version = metadata.version("whisper_normalizer")
    for name in ("whisper", "whisper_basic"):
        found = score("wer,bleu,ser", ["It's nine (nine)."], ["it's nine"], TextOptions(normalizers=(name,)))
        assert found["wer"].value == found["ser"].value == 0
        assert all(f"|normalizer:{name}@{version}|" in metric.signature for metric in found.values())


def test_what_it_does_to_the_number_of_words_is_remarked() -> None:
    pytest.importorskip("whisper_normalizer")
    texts, options = [["one two three four"], ["a b c"]], TextOptions(normalizers=("whisper",))
    found = remarks(statistics(["wer"], texts, ["one", "a"], options), texts, ["one", "a"], options)
    assert "references have 4 words after the normalizer whisper, 7 before it: rates are of those" in found
    texts = [["a cat sat"], ["a b c"]]
    assert not [text for text in remarks({}, texts, ["a", "b"], options) if "normalizer" in text]


def test_lower_and_punctuation_are_the_options_of_that_meaning() -> None:
    texts = ["The cat, «sat»."], ["the cat sat"]
    flags = score("wer,cider,ter,bleu", *texts, TextOptions(lowercase=True, punctuation=False))
    assert score("wer,cider,ter,bleu", *texts, TextOptions(normalizers=("punctuation", "lower"))) == flags
    assert flags["wer"].value == 0


def test_ones_own_is_named_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_texts.py").write_text(
        "def no_hash(text):\n    return text.replace('#', '')\nnothing = len\nsize = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = score("wer", ["a #b"], ["a b"], TextOptions(normalizers=("my_texts:no_hash",)))["wer"]
    assert found.value == 0 and "|normalizer:my_texts:no_hash|" in found.signature
    with pytest.raises(InputError, match="'my_texts:nothing' must give text, got 4 for 'a #b'"):
        score("wer", ["a #b"], ["a b"], TextOptions(normalizers=("my_texts:nothing",)))
    with pytest.raises(InputError, match="'my_texts:size' must be a function from text to text, got int"):
        normalizer("my_texts:size")


def test_faults_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"a normalizer must be one of lower .* or module:NAME, got 'wisper'"):
        score("wer", ["a"], ["a"], TextOptions(normalizers=("wisper",)))
    with pytest.raises(InputError, match="`normalizers` must be a tuple of names, got the text 'lower'"):
        score("wer", ["a"], ["a"], TextOptions(normalizers="lower"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`iou_0.5` must be taken with punctuation kept"):
        score("iou_0.5", ["0 0 1 1"], ["0 0 1 1"], TextOptions(normalizers=("lower", "whisper")))
    normalizer.cache_clear()
    monkeypatch.setitem(sys.modules, "whisper_normalizer.basic", None)
    with pytest.raises(InputError, match=r'must find the package whisper_normalizer.*pip install "seqkit\[score\]"'):
        normalizer("whisper")
    assert NORMALIZERS == ("lower", "punctuation", "whisper", "whisper_basic")
