"""Talking mouths: what lips show and hide, one clock for lips, sound and words, the files that are written."""

import itertools
import json
import random

import numpy as np
import pytest

from seqkit.data.audio import log_mel, read_audio
from seqkit.data.manifest import read_manifest
from seqkit.data.video_file import read_clip
from seqkit.data_prep.synthetic import speech
from seqkit.data_prep.synthetic.speech import SHORT, SLOTS, TALKERS, lipreading, speak, visemes_of
from seqkit.data_prep.synthetic.speech_audio import PHONEMES, VOWELS, Voice, synthesize
from seqkit.data_prep.synthetic.speech_video import VISEME_OF, VISEMES, Face, draw_mouth, mouth_shapes
from seqkit.errors import InputError

FACE = Face((220, 170, 140), (170, 80, 80), 1.0)


def sound(words, talker=TALKERS[0], seed=0):
    """Float samples, and the speech."""
    speech = speak(words.split(), talker, random.Random(seed))
    samples = synthesize(speech.phones, speech.frames * 640, talker.voice, np.random.default_rng(seed))
    return samples.astype(np.float32) / 32768, speech


def pictures(words, seed=0, size=60):
    speech = speak(words.split(), TALKERS[0], random.Random(seed))
    return draw_mouth(mouth_shapes(speech.phones, speech.frames), FACE, np.random.default_rng(seed), size), speech


def test_every_phoneme_is_seen_and_heard():
    used = {phoneme for slot in SLOTS for said in slot.values() for phoneme in said.split()}
    assert used | {"sil"} <= set(VISEME_OF) == set(PHONEMES)
    assert set(VOWELS) < set(VISEME_OF)
    words = [word for slot in SLOTS for word in slot]
    assert len(set(words)) == len(words) and all(word.isalpha() for word in words)


def test_lips_alone_cannot_tell_these_pairs_and_no_others_apart():
    alike = [
        (one, other)
        for slot in SLOTS
        for one, other in itertools.combinations(slot, 2)
        if visemes_of(one) == visemes_of(other)
    ]
    assert not {word for pair in alike for word in pair} & {word for slot in SHORT for word in slot}
    assert alike == [("mark", "park"), ("b", "p"), ("d", "t")]
    assert all(one in speech.__doc__ and other in speech.__doc__ for one, other in alike)


@pytest.mark.parametrize(("one", "other"), [("mark", "park"), ("b", "p"), ("d", "t")])
def test_what_looks_alike_is_the_same_picture_and_another_sound(one, other):
    rest = " six now" if len(one) == 1 else " red at e six now"
    seen, again = pictures(one + rest), pictures(other + rest)
    np.testing.assert_array_equal(seen[0], again[0])
    assert [times for _, *times in seen[1].words] == [times for _, *times in again[1].words]
    (heard, speech), (other_heard, _) = sound(one + rest), sound(other + rest)
    _, start, end = speech.words[0]
    frames = slice(int(start * 100), int(end * 100))
    assert np.abs(log_mel(heard)[frames] - log_mel(other_heard)[frames]).max() > 3


def test_other_words_look_different():
    seen, again = pictures("f six now")[0], pictures("v six now")[0]
    length = min(len(seen), len(again))
    assert np.abs(seen[:length].astype(int) - again[:length]).max() > 60


@pytest.mark.parametrize("seed", range(20))
def test_a_sentence_has_one_clock(seed):
    words = [random.Random(seed).choice(list(slot)) for slot in SLOTS][-(seed % 6 + 1) :]
    speech = speak(words, TALKERS[seed % 8], random.Random(seed))
    assert [word for word, _, _ in speech.words] == words
    phones = speech.phones
    assert phones[0][1] == 0 and phones[-1][2] == speech.frames / 25
    assert phones[0][0] == phones[-1][0] == "sil" and min(phones[0][2], phones[-1][2] - phones[-1][1]) > 0.15
    assert all(one[2] == other[1] and one[1] < one[2] for one, other in itertools.pairwise(phones))
    for number, (word, start, end) in enumerate(speech.words, 6 - len(words)):
        said = [name for name, first, last in phones if start - 1e-3 < first and last < end + 1e-3]
        assert said == SLOTS[number][word].split()


def test_a_slow_talker_takes_longer():
    lengths = [
        speak(["now"], talker._replace(rate=rate), random.Random(0)).words[0]
        for rate in (0.5, 1.0)
        for talker in TALKERS[:1]
    ]
    assert lengths[0][2] - lengths[0][1] == pytest.approx(2 * (lengths[1][2] - lengths[1][1]), abs=2e-3)


def test_shapes_blend_and_closures_close():
    phones = [
        ("sil", 0, 0.2),
        ("aa", 0.2, 0.4),
        ("p", 0.4, 0.5),
        ("aa", 0.5, 0.7),
        ("k", 0.7, 0.8),
        ("aa", 0.8, 1.0),
        ("sil", 1.0, 1.2),
    ]
    opening = mouth_shapes(phones, 30)[:, 0]
    assert opening[0] < 0.1 and opening[-1] < 0.1
    assert opening[7] > 0.7  # the middle of aa
    assert opening[10:12].min() < 0.1 < 0.5 < opening[17:20].min()  # lips close for p; k leaves them open
    assert np.abs(np.diff(opening)).max() < 0.85
    low, high = (np.array([v.shape for v in VISEMES.values()]).__getattribute__(end)(0) for end in ("min", "max"))
    assert (mouth_shapes(phones, 30) >= low - 1e-6).all() and (mouth_shapes(phones, 30) <= high + 1e-6).all()


def mouth(viseme, size=100):
    return draw_mouth(np.array([VISEMES[viseme].shape], np.float32), FACE, np.random.default_rng(1), size)[0].astype(
        int
    )


def test_mouths_show_what_their_numbers_say():
    dark = {name: int((mouth(name).sum(2) < 160).sum()) for name in VISEMES}
    white = {name: int((mouth(name).min(2) > 180).sum()) for name in VISEMES}
    assert max(dark, key=dark.get) == "open" and dark["oval"] > 50 > dark["lips"]
    assert max(white, key=white.get) in ("spread", "hiss", "teeth") and white["lips"] == white["round"] == 0

    def width(name):
        red = mouth(name)[..., 0] - mouth(name)[..., 1] > 70
        return int(red.any(0).sum())

    assert width("round") < width("bent") < width("rest") < width("spread")
    assert all(np.abs(mouth(a) - mouth(b)).max() > 30 for a, b in itertools.combinations(VISEMES, 2))


def test_pictures_have_a_steady_middle_and_the_size_asked_for():
    made, speech = pictures("now", size=48)
    assert made.shape == (speech.frames, 48, 48, 3) and made.dtype == np.uint8
    still = made[:, 0, 0].astype(int)
    assert np.abs(still - still[0]).max() <= 3  # light stays
    dark = np.argwhere(made[speech.frames // 2].sum(-1) < 200)
    assert len(dark) and (np.abs(dark.mean(0) - 24) < 5).all()


def test_talkers_differ():
    assert len({talker.name for talker in TALKERS}) == len(TALKERS) == 8
    for part in ("rate", "voice", "face"):
        assert len({getattr(talker, part) for talker in TALKERS}) >= 7


def power(samples, start, end):
    part = samples[int(start * 16000) : int(end * 16000)]
    return np.fft.rfftfreq(len(part), 1 / 16000), np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2


@pytest.mark.parametrize("vowel", VOWELS)
def test_a_vowel_is_loud_at_its_formants(vowel):
    phones = [("sil", 0, 0.2), (vowel, 0.2, 0.6), ("sil", 0.6, 0.8)]
    samples = synthesize(phones, 12800, Voice(100.0, 1.0), np.random.default_rng(0)).astype(float)
    hertz, found = power(samples, 0.25, 0.55)

    def around(place):
        return 10 * np.log10(found[abs(hertz - place) < 110].mean())

    first, second, third = VOWELS[vowel]
    assert around(first) > around((first + second) / 2) - 1 or second - first < 500
    assert around(second) > around((second + third) / 2) - 1 or third - second < 500
    assert around(first) > around(4500) + 20
    loud = 20 * np.log10(np.std(samples[4000:8800]) / np.std(samples[:2400]))
    assert 35 < loud < 65


def test_pitch_and_tract_are_the_talkers():
    phones = [("sil", 0, 0.1), ("ah", 0.1, 0.9), ("sil", 0.9, 1.0)]
    for pitch in (90.0, 220.0):
        samples = synthesize(phones, 16000, Voice(pitch, 1.0), np.random.default_rng(0)).astype(float)[6000:10000]
        lag = np.correlate(samples, samples, "full")[len(samples) + 40 :][:300].argmax() + 41
        assert 16000 / lag == pytest.approx(pitch, rel=0.12)
    centres = []
    for tract in (1.0, 1.2):
        hertz, found = power(
            synthesize(phones, 16000, Voice(90.0, tract), np.random.default_rng(0)).astype(float), 0.2, 0.8
        )
        near = (hertz > 400) & (hertz < 1000)
        centres.append((hertz * found)[near].sum() / found[near].sum())
    assert 1.05 < centres[1] / centres[0] < 1.3


def test_sounds_are_what_they_should_be():
    def centre(phoneme):
        phones = [("sil", 0, 0.2), (phoneme, 0.2, 0.6), ("sil", 0.6, 0.8)]
        hertz, found = power(
            synthesize(phones, 12800, Voice(120.0, 1.0), np.random.default_rng(0)).astype(float), 0.25, 0.55
        )
        return (hertz * found).sum() / found.sum()

    assert centre("s") > 5000 > 4800 > centre("f") > 3000 and centre("m") < 600 < centre("aa") < 1500
    quiet, loud = [], []
    for stop in "ptkbdg":
        phones = [("aa", 0, 0.3), (stop, 0.3, 0.6), ("aa", 0.6, 0.9)]
        samples = synthesize(phones, 14400, Voice(120.0, 1.0), np.random.default_rng(0)).astype(float)
        hertz, found = power(samples, 0.35, 0.45)
        (quiet if stop in "ptk" else loud).append(found.sum())
        assert np.std(samples[int(0.5 * 16000) : int(0.58 * 16000)]) > 50  # the burst
    assert max(quiet) < 0.1 * min(loud)  # only the voiced ones murmur while they are closed


def test_nothing_clips():
    for talker in TALKERS:
        samples, _ = sound("find white near c seven please", talker)
        assert 0.1 < np.abs(samples).max() < 0.95


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talkers")
    lipreading(folder, 12, 1, words=3, size=40)
    return folder


def test_items_have_all_that_a_recipe_needs(corpus):
    counts = {}
    for split in ("train", "val", "test"):
        items = read_manifest(corpus / f"{split}.jsonl", needed=("video", "audio", "references", "words", "speaker"))
        counts[split] = len(items)
        for item in items:
            words = item.references[0].split()
            assert [word for word, _, _ in item.words] == words
            assert all(word in slot for word, slot in zip(words, SLOTS[3:], strict=True))
            assert all(0 <= start < end <= item.seconds for _, start, end in item.words)
        frames, samples = read_clip(items[0].video), read_audio(items[0].audio)
        assert frames.shape == (round(items[0].seconds * 25), 40, 40, 3) and len(samples) == 640 * len(frames)
        assert frames[..., 0].mean() > frames[..., 2].mean() + 15  # red comes first
        assert {item.speaker for item in items} == {talker.name for talker in TALKERS}
    assert counts == {"train": 12, "val": 20, "test": 20}
    stats = json.loads((corpus / "stats.json").read_text())
    assert stats["test"] == {"clips": 20, "items": 20, "dropped": {}}


def test_held_out_sentences_are_new(corpus):
    train, val, test = (
        [item.references[0] for item in read_manifest(corpus / f"{split}.jsonl")] for split in ("train", "val", "test")
    )
    assert not {*train} & {*val, *test} and len({*val, *test}) == 40


def test_the_same_seed_gives_the_same_bytes(corpus, tmp_path):
    lipreading(tmp_path, 12, 1, words=3, size=40)
    files = sorted(path.relative_to(corpus) for path in corpus.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert all((corpus / name).read_bytes() == (tmp_path / name).read_bytes() for name in files)
    lipreading(tmp_path / "other", 12, 2, words=3, size=40)
    assert (tmp_path / "other" / "train.jsonl").read_bytes() != (corpus / "train.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("items", "words", "message"),
    [
        (10, 0, r"`words` must be from 1 to 6, got 0"),
        (10, 7, r"`words` must be from 1 to 6, got 7"),
        (10, 2, r"`items` must hold out at most half of 40 sentences, got 10 items, which hold out 40; take fewer"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, items, words, message):
    with pytest.raises(InputError, match=message):
        lipreading(tmp_path, items, 1, words=words)
    assert not any(tmp_path.iterdir())
