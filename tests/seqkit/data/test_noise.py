"""Noise: its level against the definition, its samples by the item's name alone."""

import math

import numpy as np
import pytest

from seqkit.data.noise import Babble, Recording, add_noise, generator, speech_rms, white

RATE = 16000


def speech(seed: int = 0, level: float = 0.05) -> np.ndarray:
    """A second: silence, a word from 0.25 to 0.5, silence, a softer word from 0.6 to 0.8, silence."""
    samples = np.zeros(RATE, np.float32)
    rng = np.random.default_rng(seed)
    samples[4000:8000] = rng.normal(0, level, 4000)
    samples[9600:12800] = rng.normal(0, level / 2, 3200)
    return samples


WORDS = (("one", 0.25, 0.5), ("two", 0.6, 0.8))
NOISES = {
    "white": white,
    "recording": Recording(np.random.default_rng(9).normal(0, 1, 3000).astype(np.float32)),
    "babble": Babble([str(i) for i in range(9)], lambda name: speech(int(name))),
}


def rms(samples: np.ndarray) -> float:
    return math.sqrt(np.mean(samples.astype(np.float64) ** 2))


@pytest.mark.parametrize("words", [(), WORDS])
@pytest.mark.parametrize("snr", [10.0, 0.0, -5.0])
@pytest.mark.parametrize("kind", NOISES)
def test_the_ratio_is_the_one_asked_for(kind, snr, words):
    samples = speech()
    added = add_noise(samples, snr, key="3", noise=NOISES[kind], words=words) - samples
    said = np.concatenate([samples[4000:8000], samples[9600:12800]])
    assert 20 * math.log10(rms(said) / rms(added)) == pytest.approx(snr, abs=0.05)


def test_the_ratio_is_to_the_words_alone():
    samples = speech()
    added = add_noise(samples, 3.0, key="a", words=WORDS[1:]) - samples
    assert 20 * math.log10(rms(samples[9600:12800]) / rms(added)) == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("kind", NOISES)
def test_an_item_has_one_noise_at_every_level(kind):
    samples = speech()
    ten, nought = (add_noise(samples, snr, key="3", noise=NOISES[kind]) - samples for snr in (10.0, 0.0))
    np.testing.assert_allclose(ten * math.sqrt(10), nought, atol=1e-6)
    np.testing.assert_array_equal(add_noise(samples, 0.0, key="3", noise=NOISES[kind]) - samples, nought)
    other = add_noise(samples, 0.0, key="4", noise=NOISES[kind]) - samples
    assert abs(np.corrcoef(nought, other)[0, 1]) < 0.9


def test_clean_is_the_samples_themselves():
    samples = speech()
    assert add_noise(samples, None, key="a") is samples


def test_silence_stays_silent():
    silent = np.zeros(RATE, np.float32)
    assert speech_rms(silent) == 0 == speech_rms(silent, WORDS)
    np.testing.assert_array_equal(add_noise(silent, 0.0, key="a"), silent)
    assert speech_rms(np.zeros(0, np.float32)) == 0


def test_speech_is_measured_within_its_words():
    samples = speech()
    assert speech_rms(samples, WORDS[:1]) == pytest.approx(rms(samples[4000:8000]))
    assert speech_rms(samples, WORDS) == pytest.approx(speech_rms(samples), rel=0.01)
    padded = np.concatenate([samples, np.zeros(5 * RATE, np.float32)])
    assert speech_rms(padded) == pytest.approx(speech_rms(samples))


def test_words_that_lie_outside_leave_it_to_the_energy():
    samples = speech()
    assert speech_rms(samples, [("x", 3.0, 4.0)]) == speech_rms(samples)
    assert speech_rms(samples, [("x", 0.3, 0.3)]) == speech_rms(samples)


def test_what_is_30_db_below_the_loudest_is_no_speech():
    samples = np.full(4000, 0.1, np.float32)
    samples[2000:] = 0.1 * 10 ** (-31 / 20)
    assert speech_rms(samples) == pytest.approx(0.1)
    samples[2000:] = 0.1 * 10 ** (-29 / 20)
    assert speech_rms(samples) < 0.072


def test_the_sum_never_clips_and_keeps_its_ratio():
    samples = speech(level=0.3)
    loud = add_noise(samples, -10.0, key="a")
    assert np.abs(loud).max() == pytest.approx(1.0, abs=1e-6) and loud.dtype == np.float32
    noise = white(RATE, "a")
    scale = np.linalg.lstsq(np.stack([samples, noise], 1).astype(np.float64), loud.astype(np.float64), rcond=None)[0]
    assert 20 * math.log10(scale[0] * speech_rms(samples) / (scale[1] * rms(noise))) == pytest.approx(-10, abs=0.01)
    assert np.abs(add_noise(speech(level=0.01), 0.0, key="a")).max() < 0.5


def test_white_noise_is_white_and_depends_on_the_key_alone():
    noise = white(100_000, "train-00001")
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02 and noise.std() == pytest.approx(1, abs=0.01)
    power = (np.abs(np.fft.rfft(noise)[1:]) ** 2).reshape(-1, 5000).mean(1)
    np.testing.assert_allclose(power / power.mean(), 1, atol=0.1)
    assert abs(np.corrcoef(noise, white(100_000, "train-00002"))[0, 1]) < 0.02
    assert generator("a").integers(2**31) == 31521243  # on every machine, whatever Python's hash seed


def test_babble_is_of_others_equally_loud():
    levels = {str(i): 10.0**i for i in range(4)}
    heard = []

    def read(name: str) -> np.ndarray:
        heard.append(name)
        return np.random.default_rng(int(name)).normal(0, levels[name], 5000).astype(np.float32)

    noise = Babble(list(levels), read, talkers=3)(12_000, "2")
    assert sorted(heard) == ["0", "1", "3"] and len(noise) == 12_000
    assert rms(noise) == pytest.approx(math.sqrt(3), rel=0.05)
    for name in "013":  # each is there, as loud as the others, from some place on
        whole = np.resize(read(name), 12_000) / levels[name]
        assert max(np.abs(np.fft.irfft(np.fft.rfft(noise) * np.fft.rfft(whole).conj()))) / 12_000 > 0.5
    with pytest.raises(ValueError, match=r"`ids` must hold 4 items other than '2 epoch 7', got 3"):
        Babble(list(levels), read, talkers=4)(10, "2 epoch 7")


def test_babble_of_a_silent_voice_is_the_others():
    quiet = Babble(["a", "b"], lambda name: speech() if name == "a" else np.zeros(50, np.float32), talkers=2)
    assert np.isfinite(quiet(3000, "c")).all() and rms(quiet(RATE, "c")) == pytest.approx(1, rel=0.01)


def test_a_recording_goes_round():
    loop = np.arange(1, 8, dtype=np.float32)
    made = Recording(loop)(20, "a")
    assert len(made) == 20 and {*made} == {*loop}
    assert all(b == a % 7 + 1 for a, b in zip(made, made[1:], strict=False))
    assert len({Recording(loop)(3, str(i))[0] for i in range(60)}) == 7
    np.testing.assert_array_equal(Recording(loop)(3, "a"), made[:3])


def test_silent_noise_is_refused():
    with pytest.raises(ValueError, match=r"`noise` must not be silent, got only zeros for 'a'"):
        add_noise(speech(), 0.0, key="a", noise=Recording(np.zeros(10, np.float32)))
