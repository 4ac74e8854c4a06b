"""Lengths of training pairs: words, or characters where a side is written without spaces."""

from pathlib import Path

import pytest

from seqkit.data_prep.translation import wmt
from seqkit.data_prep.translation.lengths import Cleaning, Writing, is_unspaced, writing_of
from seqkit.errors import InputError
from tests.raw_files import stats, write_lines

ENGLISH = [f"this is sentence number {number} of a small corpus" for number in range(40)]
JAPANESE = [f"これは小さなコーパスの第{number}番目の文です" for number in range(40)]


@pytest.mark.parametrize(
    ("text", "unspaced"),
    [
        ("私はこの会議にとても感動しました", True),
        ("私はこの会議に とても感動しました また来ます", True),  # phrases
        ("私 は この 会議 に とても 感動 し まし た", False),  # words
        ("ฉันไปตลาดกับแม่ของฉันทุกวันอาทิตย์", True),
        ("今天天气很好我们去公园散步吧", True),
        ("epäjärjestelmällistyttämättömyys on pitkä sana ja tämä on lyhyt", False),
        ("she had your dark suit in greasy wash water", False),
        ("", False),
    ],
)
def test_scripts_without_spaces_are_told_from_words(text, unspaced):
    assert is_unspaced([text] * 5) is unspaced


def test_the_usual_ratio_is_that_of_the_corpus():
    assert writing_of([("a b c", "x y")] * 9) == Writing()
    writing = writing_of(zip(ENGLISH, JAPANESE, strict=True))
    assert writing.unspaced == (False, True) and 0.3 < writing.ratio < 0.6
    clean = Cleaning()
    assert all(clean.reject(a, b, writing) is None for a, b in zip(ENGLISH, JAPANESE, strict=True))
    assert clean.reject(ENGLISH[0], "これ", writing) == "too_unequal" and clean.reject("a", JAPANESE[0], writing)
    assert clean.reject("a" * 601, JAPANESE[0], writing) == "too_long"


def prepare(raw: Path, out: Path, *argv: str) -> dict:
    wmt.main(["--raw", str(raw), "--out", str(out), "--source", "en", "--target", "ja", "--train", "train", *argv])
    return stats(out)["train"]


def test_a_corpus_without_spaces_is_kept_and_it_is_said(tmp_path, capsys):
    write_lines(tmp_path / "train.en", *ENGLISH)
    write_lines(tmp_path / "train.ja", *JAPANESE[:-1], "短い")
    found = prepare(tmp_path, tmp_path / "out")
    assert found["items"] == 39 and found["named"] == {"too_unequal": ["train.en, line 40"]}
    assert "lengths=in characters: hardly any spaces in train.ja" in capsys.readouterr().out


def test_a_corpus_of_which_nothing_is_left_is_an_error(tmp_path):
    write_lines(tmp_path / "train.en", "a b c d e f g h", "a b c d e f g")
    write_lines(tmp_path / "train.ja", "x", "y")
    with pytest.raises(
        InputError, match=r"train.en: must hold pairs to keep, got 2 pairs, all dropped: {'too_unequal': 2}"
    ):
        prepare(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_japanese_as_it_is_written(real_data, tmp_path):
    for language in ("en", "ja"):
        lines = (real_data / "enja" / f"train.{language}").read_text(encoding="utf-8").splitlines()[:5000]
        write_lines(
            tmp_path / f"train.{language}", *(line if language == "en" else line.replace(" ", "") for line in lines)
        )
    assert prepare(tmp_path, tmp_path / "out")["items"] > 4990
    assert prepare(tmp_path, tmp_path / "words", "--characters")["items"] < 4700


def test_a_repeated_pair_is_known_by_the_same_number_in_any_process(monkeypatch):
    monkeypatch.setattr("builtins.hash", lambda _: 0)  # whose numbers differ by process, and may be equal by chance
    cleaning = Cleaning(dedupe=True)
    reasons = [cleaning.reject(*pair, Writing()) for pair in (("a", "b"), ("a", "c"), ("ab", "b"), ("a", "b"))]
    assert reasons == [None, None, None, "repeated"]
