"""Subtitles and TextGrids, opened again by readers of others: the same words at the same times, to a millisecond."""

from pathlib import Path

import pytest
import srt
import webvtt
from praatio import textgrid

from seqkit.recipes.lipreading.subtitles import JOINER, write_subtitles
from seqkit.recipes.lipreading.text_grid import fill, word_spans
from seqkit.score.prediction import Word

WORDS = [
    Word('"so"', 0.0, 0.4567, 0.91),
    Word("b&n", 0.5, 0.78, 0.5),
    Word("grün", 0.78, 1.0004, 0.001),
    Word("--", 3600.25, 3601.0, 1.0),
]
TIMES = [(word.start, word.end) for word in WORDS]


def milliseconds(text: str) -> float:
    hours, minutes, seconds = text.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def test_two_subtitles_and_a_text_grid_are_read_by_others(tmp_path: Path) -> None:
    write_subtitles(tmp_path / "a", WORDS, 3602.5)
    cues = list(srt.parse((tmp_path / "a.srt").read_text(encoding="utf-8")))
    assert [cue.content.replace(JOINER, "") for cue in cues] == [word.text for word in WORDS]
    times = [(cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues]
    assert times == [pytest.approx(own, abs=1e-3) for own in TIMES]
    vtt = webvtt.read(str(tmp_path / "a.vtt"))
    assert [caption.text.replace("&amp;", "&") for caption in vtt] == [word.text for word in WORDS]
    times = [(milliseconds(caption.start), milliseconds(caption.end)) for caption in vtt]
    assert times == [pytest.approx(own, abs=1e-3) for own in TIMES]
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=False)
    assert grid.tierNames == ("words", "probability") and (grid.minTimestamp, grid.maxTimestamp) == (0, 3602.5)
    words = grid.getTier("words").entries
    assert [label.replace('""', '"') for _, _, label in words] == [word.text for word in WORDS]
    assert [(start, end) for start, end, _ in words] == [pytest.approx(own, abs=1e-3) for own in TIMES]
    assert [float(label) for _, _, label in grid.getTier("probability").entries] == [0.91, 0.5, 0.001, 1.0]


def test_every_moment_is_in_one_interval(tmp_path: Path) -> None:
    crossing = [Word("a", 0.5, 1.0), Word("b", 0.8, 1.2), Word("c", 0.7, 0.7), Word("d", 5.0, 6.0)]
    spans = word_spans(crossing)
    assert spans[0] == (0.5, 0.9) and spans[3] == (5.0, 6.0)
    filled = fill([(*span, word.text) for span, word in zip(spans, crossing, strict=True)], 7.0)
    assert filled[0][0] == 0.0 and filled[-1][1] == 7.0
    assert all(start < end for start, end, _ in filled)
    assert all(one[1] == other[0] for one, other in zip(filled, filled[1:], strict=False))
    assert [label for *_, label in filled if label] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("words", [[], [Word("a", 0.0, 2.0)]])
def test_a_recording_without_words_or_pauses_is_a_text_grid(tmp_path: Path, words: list[Word]) -> None:
    write_subtitles(tmp_path / "a", words, 2.0)
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=True)
    (tier,) = (grid.getTier(name) for name in grid.tierNames)
    assert [(entry[0], entry[1], entry[2]) for entry in tier.entries] == [(0, 2, "a" if words else "")]
