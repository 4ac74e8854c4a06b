"""Sentences whose words have times: the curriculum, segments and silence, and how late words are."""

import numpy as np
import pytest

from seqkit.data.manifest import Item
from seqkit.errors import InputError
from seqkit.recipes.lipreading.augmentation import frames_outside_words, trim_silence
from seqkit.recipes.lipreading.curriculum import Curriculum, Segment, segments
from seqkit.recipes.lipreading.data import segment
from seqkit.recipes.lipreading.evaluation import lateness
from seqkit.score.prediction import Word

WORDS = tuple((word, 0.5 + 0.2 * n, 0.7 + 0.2 * n) for n, word in enumerate(["bin", "blue", "at", "f", "two", "now"]))
SENTENCE = Item(id="a", video="a.mp4", references=("bin blue at f two now",), seconds=3.0, words=WORDS)
UNTIMED = Item(id="b", video="b.mp4", references=("lay red",), seconds=3.0)
CURRICULUM = Curriculum(curriculum_words=(1, 3), curriculum_epochs=(2, 1))


def test_stages_end_after_their_epochs():
    assert [CURRICULUM.words(epoch) for epoch in range(5)] == [1, 1, 3, 0, 0]
    assert Curriculum(curriculum_words=(), curriculum_epochs=()).words(0) == 0


def test_an_epoch_has_every_word_once_in_segments_of_the_stage():
    items, timed = [SENTENCE, UNTIMED, SENTENCE], {0: 3.0, 2: 3.0}
    for epoch, most in ((0, 1), (2, 3)):
        found = segments(CURRICULUM, items, timed, epoch, seed=3)
        assert {own.item for own in found} == {0, 2} and max(own.words for own in found) <= most
        said = [word for own in found if own.item == 0 for word in own.text.split()]
        assert said == ["bin", "blue", "at", "f", "two", "now"]
        for own in found:
            cut = segment(items[own.item], own.first, own.words)
            assert cut.references == (own.text,) and own.share == pytest.approx(cut.seconds / 3.0)
    whole = [Segment(0, *SENTENCE.references), Segment(1, *UNTIMED.references), Segment(2, *SENTENCE.references)]
    assert segments(CURRICULUM, items, timed, 3, seed=3) == whole
    again = segments(CURRICULUM, items, timed, 2, 3)
    assert again == segments(CURRICULUM, items, timed, 2, 3) != segments(CURRICULUM, items, timed, 2, 4)


def test_without_times_all_epochs_are_of_whole_sentences():
    assert segments(CURRICULUM, [UNTIMED], {}, 0, seed=1) == [Segment(0, "lay red")]
    assert Segment(0, "lay red").share == 1


def test_a_segment_is_cut_and_its_times_begin_with_it():
    found = segment(SENTENCE, 1, 2)
    assert found.references == ("blue at",) and found.id == "a:2-3"
    assert (found.start, found.end, found.seconds) == pytest.approx((0.7, 1.1, 0.4))
    assert [word for word, _, _ in found.words] == ["blue", "at"]
    assert [times for _, *times in found.words] == [pytest.approx(pair) for pair in ([0, 0.2], [0.2, 0.4])]
    assert segment(found, 1, 1).start == pytest.approx(0.9)


def test_a_trimmed_sentence_keeps_what_is_said_and_its_times():
    for seed in range(9):
        found = trim_silence(SENTENCE, np.random.default_rng(seed))
        assert 0.1 <= found.start <= 0.5 and 1.7 <= found.end <= 2.1 and found.references == SENTENCE.references
        assert found.seconds == pytest.approx(found.end - found.start)
        assert found.start + found.words[0][1] == pytest.approx(0.5) and found.words[-1][2] <= found.seconds
    assert trim_silence(UNTIMED, np.random.default_rng(0)) == UNTIMED


def test_frames_outside_words_are_further_from_them_than_the_margin():
    frames = frames_outside_words(SENTENCE, 30, 0.2)  # of 0.1 seconds, words from 0.5 to 1.7
    assert frames.nonzero()[:, 0].tolist() == [0, 1, 2, *range(19, 30)]
    assert not frames_outside_words(SENTENCE, 30, 0.0).any() and not frames_outside_words(UNTIMED, 30, 0.2).any()
    assert not frames_outside_words(segment(SENTENCE, 1, 2), 4, 0.01).any()


def test_words_are_late_by_the_median_of_those_that_can_be_told():
    read = [Word(word, start + (0.3 if n else -0.1), end + 0.02 * n) for n, (word, start, end) in enumerate(WORDS)]
    misread = [Word("x", 0.0, 0.5), *read[1:-1], Word("x", 9.0, 9.0)]
    found = lateness([read, misread, read[:1], []], [SENTENCE, SENTENCE, SENTENCE, UNTIMED])
    assert found == pytest.approx({"first start": -0.1, "other starts": 0.3, "other ends": 0.04, "last end": 0.1})
    untold = [[Word("x", 9.0, 9.0)], [Word("lay", 0.0, 1.0), Word("red", 1.0, 2.0)], []]
    assert lateness(untold, [SENTENCE, UNTIMED, SENTENCE]) == {}


def test_a_segment_of_features_is_cut_by_rows(tmp_path):
    np.save(tmp_path / "f.npy", np.zeros((100, 2)))
    item = Item(id="a", features=tmp_path / "f.npy", rows=(10, 85), references=("bin blue",), seconds=3.0, words=WORDS)
    assert segment(item, 0, 1).rows == (10 + 12, 10 + 18)
    whole = Item(id="a", features=tmp_path / "f.npy", references=("bin blue",), seconds=4.0, words=WORDS)
    assert segment(whole, 0, 2).rows == (12, 23)


def test_stages_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="`curriculum_words` and `curriculum_epochs` must have the same length, got"):
        Curriculum((1,), ())
