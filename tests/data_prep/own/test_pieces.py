"""Long recordings are cut at cues, at pauses between words, or at pauses of the sound; what cannot be cut is told."""

import numpy as np
import pytest

from seqkit.data_prep.own.pieces import Piece, plan_pieces, quiet_spans, split_at_pauses
from seqkit.data_prep.own.spoken_texts import Cue


def never():
    raise AssertionError("the sound is not asked for")


def level(*parts: tuple[float, float]) -> np.ndarray:
    """Decibels a frame of parts (seconds, decibels), with noise."""
    levels = np.concatenate([np.full(round(25 * seconds), decibels) for seconds, decibels in parts])
    return levels + np.random.default_rng(0).normal(0, 2, len(levels))


def test_every_cue_with_times_is_a_piece_and_the_others_say_why_not():
    cues = [Cue("one", 1.0, 2.0, "ann"), Cue("", 2, 3), Cue("two", 2.9, 3.05), Cue("three", 9.0, 30.0)]
    cues.append(Cue("four", 39.5, 40.3))
    plan = plan_pieces([*cues, Cue("five", 41, 42)], 0.0, 40.0, never)
    assert plan.pieces == [Piece(1.0, 2.0, "one", "ann"), Piece(39.5, 40.0, "four")]
    assert [reason for reason, _ in plan.faults] == ["short", "long", "beyond_the_end"]
    assert "'three' at 9 to 30 seconds: longer than 12 seconds" in plan.faults[1][1]
    assert len(plan_pieces(cues[3:4], 0.0, 40.0, never, longest=21.5).pieces) == 1
    assert plan_pieces([Cue("")], 0.0, 40.0, never).faults[0][0] == "no_text"
    assert plan_pieces([Cue("\u200b", 1.0, 2.0)], 0.0, 40.0, never).faults[0][0] == "no_text"


def test_cues_that_come_twice_are_one_piece_and_told():
    cues = [Cue("one", 1.0, 2.0), Cue("two", 2.0, 3.0), Cue("one", 1.0, 2.0), Cue("one", 5.0, 6.0)]
    plan = plan_pieces(cues, 0.0, 40.0, never)
    assert [(piece.text, piece.start) for piece in plan.pieces] == [("one", 1.0), ("two", 2.0), ("one", 5.0)]
    assert plan.faults == [("repeated", "1 cues with the text and times of others")]


def words(*times: tuple[float, float]) -> list[Cue]:
    return [Cue(f"w{n}", a, b, None, ((f"w{n}", a, b),)) for n, (a, b) in enumerate(times)]


def test_words_are_joined_and_cut_at_pauses():
    cues = words((1, 1.4), (1.5, 2), (2.6, 3), (3.1, 3.5))
    plan = plan_pieces(cues, 0.0, 10.0, never)
    assert [(piece.start, piece.end, piece.text) for piece in plan.pieces] == [(1, 2, "w0 w1"), (2.6, 3.5, "w2 w3")]
    steady = words(*((n, n + 0.95) for n in range(30)))
    plan = plan_pieces(steady, 0.0, 40.0, never)
    assert " ".join(piece.text for piece in plan.pieces) == " ".join(f"w{n}" for n in range(30))
    assert max(piece.end - piece.start for piece in plan.pieces) <= 12 and len(plan.pieces) <= 4
    pause = words(*((n, n + 0.9) for n in range(8)), *((n + 0.3, n + 1.1) for n in range(8, 14)))
    assert [piece.text.split()[0] for piece in plan_pieces(pause, 0.0, 40.0, never).pieces] == ["w0", "w8"]


def test_a_long_cue_whose_words_are_known_is_cut_between_them():
    spoken = tuple((f"w{n}", n * 1.5, n * 1.5 + 1) for n in range(10))
    text = " ".join(word for word, _, _ in spoken)
    plan = plan_pieces([Cue(text, 0.0, 15.0, "ann", spoken)], 0.0, 15.0, never)
    assert " ".join(piece.text for piece in plan.pieces) == text and {piece.speaker for piece in plan.pieces} == {"ann"}
    others = plan_pieces([Cue("other words", 0.0, 15.0, None, spoken)], 0.0, 15.0, never)
    assert others.faults[0][0] == "long"


def test_a_text_without_times_is_that_of_a_short_recording():
    assert plan_pieces([Cue("a"), Cue("b")], 0.1, 5.0, never).pieces == [Piece(0.1, 5.0, "a b")]
    assert plan_pieces([Cue("a")], 0.0, 50.0, never).faults[0][0] == "long"


def test_lines_of_a_long_recording_are_what_is_said_between_its_longest_pauses():
    speech = [(2.0, 70.0), (0.2, 40.0), (1.5, 70.0)]
    heard = level((1, 40), *speech, (1.2, 40), *speech, (0.9, 40), *speech, (2, 40))
    plan = plan_pieces([Cue("one"), Cue("two"), Cue("three")], 10.0, 10.0 + len(heard) / 25, lambda: heard)
    starts, ends = [11.0, 15.9, 20.5], [14.7, 19.6, 24.2]
    for piece, start, end in zip(plan.pieces, starts, ends, strict=True):
        assert piece.start <= start + 0.05 and piece.start > start - 0.4
        assert piece.end >= end - 0.05 and piece.end < end + 0.4
    assert [piece.text for piece in plan.pieces] == ["one", "two", "three"]
    two = plan_pieces([Cue("one"), Cue("two")], 0.0, len(heard) / 25, lambda: heard)
    assert two.faults[0][0] == "pauses_unclear" and "give times, as .srt or TextGrid" in two.faults[0][1]
    assert plan_pieces([Cue("x")] * 9, 0.0, len(heard) / 25, lambda: heard).faults[0][0] == "pauses_unclear"


def test_a_piece_between_pauses_may_be_too_long():
    heard = level((14, 70), (1.5, 40), (2.5, 70))
    plan = plan_pieces([Cue("one"), Cue("two")], 0.0, 18.0, lambda: heard)
    assert [piece.text for piece in plan.pieces] == ["two"] and plan.faults[0][0] == "long"


@pytest.mark.parametrize("burst", [0.04, 0.08])
def test_clicks_in_a_pause_are_no_speech(burst):
    heard = level((2, 70), (0.5, 40), (burst, 75), (0.5, 40), (2, 70))
    assert len(quiet_spans(heard)) == 1 and len(split_at_pauses(heard, 2)) == 2
