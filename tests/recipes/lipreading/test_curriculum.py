"""Sentences whose words have times: the curriculum, what is cut out of them, and words that come late."""

import numpy as np
import pytest

from seqkit.data.manifest import Item
from seqkit.errors import InputError
from seqkit.recipes.lipreading.curriculum import Course, Piece, pieces
from seqkit.recipes.lipreading.data import part, silence, trimmed
from seqkit.recipes.lipreading.timing import lateness

WORDS = tuple((word, 0.5 + 0.2 * n, 0.7 + 0.2 * n) for n, word in enumerate(["bin", "blue", "at", "f", "two", "now"]))
SENTENCE = Item(id="a", video="a.mp4", references=("bin blue at f two now",), seconds=3.0, words=WORDS)
UNTIMED = Item(id="b", video="b.mp4", references=("lay red",), seconds=3.0)
COURSE = Course(stages=(1, 3), stage_epochs=(2, 1))


def test_stages_end_after_their_epochs():
    assert [COURSE.words(epoch) for epoch in range(5)] == [1, 1, 3, 0, 0]
    assert Course(stages=(), stage_epochs=()).words(0) == 0 and COURSE.epochs == 3


def test_an_epoch_holds_every_word_once_in_pieces_of_the_stage():
    items = [SENTENCE, UNTIMED, SENTENCE]
    for epoch, most in ((0, 1), (2, 3)):
        found = pieces(COURSE, items, epoch, seed=3)
        assert {piece.item for piece in found} == {0, 2} and max(piece.count for piece in found) <= most
        said = [word for piece in found if piece.item == 0 for word in piece.of(items).references[0].split()]
        assert said == ["bin", "blue", "at", "f", "two", "now"]
    assert pieces(COURSE, items, 3, seed=3) == [Piece(0), Piece(1), Piece(2)]
    assert pieces(COURSE, items, 2, 3) == pieces(COURSE, items, 2, 3) != pieces(COURSE, items, 2, 4)


def test_without_times_all_epochs_are_of_whole_sentences():
    course = COURSE.through([UNTIMED])
    assert course.words(0) == course.epochs == 0 and COURSE.through([UNTIMED, SENTENCE]) == COURSE
    assert pieces(course, [UNTIMED], 0, seed=1) == [Piece(0)] and Piece(0).share([UNTIMED]) == 1


def test_a_part_is_cut_and_its_times_begin_with_it():
    found = part(SENTENCE, 1, 2)
    assert found.references == ("blue at",) and found.id == "a:2-3"
    assert (found.start, found.end, found.seconds) == pytest.approx((0.7, 1.1, 0.4))
    assert [word for word, _, _ in found.words] == ["blue", "at"]
    assert [times for _, *times in found.words] == [pytest.approx(pair) for pair in ([0, 0.2], [0.2, 0.4])]
    assert Piece(0, 1, 2).share([SENTENCE]) == pytest.approx(0.4 / 3)
    assert part(found, 1, 1).start == pytest.approx(0.9)


def test_a_trimmed_sentence_keeps_what_is_said_and_its_times():
    for seed in range(9):
        found = trimmed(SENTENCE, np.random.default_rng(seed))
        assert 0.1 <= found.start <= 0.5 and 1.7 <= found.end <= 2.1 and found.references == SENTENCE.references
        assert found.seconds == pytest.approx(found.end - found.start)
        assert found.start + found.words[0][1] == pytest.approx(0.5) and found.words[-1][2] <= found.seconds
    assert trimmed(UNTIMED, np.random.default_rng(0)) == UNTIMED


def test_silence_is_what_lies_further_from_the_words_than_allowed():
    frames = silence(SENTENCE, 30, 0.2)  # of 0.1 seconds, words from 0.5 to 1.7
    assert frames.nonzero()[:, 0].tolist() == [0, 1, 2, *range(19, 30)]
    assert not silence(SENTENCE, 30, 0.0).any() and not silence(UNTIMED, 30, 0.2).any()
    assert not silence(part(SENTENCE, 1, 2), 4, 0.01).any()


def test_words_are_late_by_the_median_of_those_that_can_be_told():
    read = [(word, start + (0.3 if n else -0.1), end + 0.02 * n) for n, (word, start, end) in enumerate(WORDS)]
    misread = [("x", 0.0, 0.5), *read[1:-1], ("x", 9.0, 9.0)]
    found = lateness([read, misread, read[:1], []], [SENTENCE, SENTENCE, SENTENCE, UNTIMED])
    assert found == pytest.approx({"first start": -0.1, "other starts": 0.3, "other ends": 0.04, "last end": 0.1})
    untold = [[("x", 9.0, 9.0)], [("lay", 0.0, 1.0), ("red", 1.0, 2.0)], []]
    assert lateness(untold, [SENTENCE, UNTIMED, SENTENCE]) == {}


def test_a_part_of_features_is_cut_by_rows(tmp_path):
    np.save(tmp_path / "f.npy", np.zeros((100, 2)))
    item = Item(id="a", features=tmp_path / "f.npy", rows=(10, 85), references=("bin blue",), seconds=3.0, words=WORDS)
    assert part(item, 0, 1).rows == (10 + 12, 10 + 18)
    whole = Item(id="a", features=tmp_path / "f.npy", references=("bin blue",), seconds=4.0, words=WORDS)
    assert part(whole, 0, 2).rows == (12, 23)


@pytest.mark.parametrize("wrong", [{"stages": (1,), "stage_epochs": ()}, {"stages": (0,), "stage_epochs": (1,)}])
def test_stages_that_do_not_fit_are_named(wrong):
    with pytest.raises(InputError, match="`stages` and `stage_epochs` must be as many, each at least 1, got"):
        Course(**wrong)
