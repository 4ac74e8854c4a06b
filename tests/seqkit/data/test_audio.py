"""Sound: files against the arrays they were made of, features against a plain Fourier transform."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from seqkit.data import audio
from seqkit.data.audio import (
    HOP,
    SAMPLE_RATE,
    SPEEDS,
    change_speed,
    frame_count,
    log_mel,
    mfcc,
    normalize,
    read_audio,
    resample,
    spec_augment,
    statistics,
    stretch,
)
from seqkit.errors import InputError


def sine(frequency: float, samples: int = SAMPLE_RATE, rate: int = SAMPLE_RATE) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(samples) / rate).astype(np.float32) * np.float32(0.5)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@pytest.mark.parametrize(
    ("ending", "subtype", "error"),
    [
        ("wav", "PCM_16", 4e-5),
        ("wav", "FLOAT", 0),
        ("wav", "PCM_24", 1e-6),
        ("wav", "PCM_U8", 1e-2),
        ("flac", "PCM_16", 4e-5),
        ("aiff", "PCM_16", 4e-5),
    ],
)
def test_a_file_at_16_khz_gives_its_samples(tmp_path, ending, subtype, error):
    samples = noise(1234)
    soundfile.write(tmp_path / f"a.{ending}", samples, SAMPLE_RATE, subtype)
    found = read_audio(tmp_path / f"a.{ending}")
    assert found.dtype == np.float32 and found.shape == (1234,)
    np.testing.assert_allclose(found, samples, atol=error)


@pytest.mark.parametrize("ending", ["ogg", "mp3"])
def test_lossy_files_come_near(tmp_path, ending):
    soundfile.write(tmp_path / f"a.{ending}", sine(440), SAMPLE_RATE)
    found = read_audio(tmp_path / f"a.{ending}")
    assert abs(len(found) - SAMPLE_RATE) < 2000
    np.testing.assert_allclose(np.std(found[4000:12000]), np.std(sine(440)), rtol=0.02)


def test_channels_are_averaged(tmp_path):
    left, right = noise(500, 1), noise(500, 2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), SAMPLE_RATE, "FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), (left + right) / 2, rtol=1e-6)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_any_rate_becomes_16_khz(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", sine(440, rate + 7, rate), rate, "FLOAT")
    found = read_audio(tmp_path / "a.wav")
    assert len(found) == math.ceil((rate + 7) * SAMPLE_RATE / rate)
    np.testing.assert_allclose(found[500:15500], sine(440)[500:15500], atol=2e-3)


@pytest.mark.parametrize(("start", "end"), [(None, None), (0.25, None), (None, 0.5), (0.25, 0.5), (0.1, 1.05)])
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_cut_is_a_slice(tmp_path, ending, start, end):
    soundfile.write(tmp_path / f"a.{ending}", noise(SAMPLE_RATE), SAMPLE_RATE)
    found = read_audio(tmp_path / f"a.{ending}", start=start, end=end)
    first, last = round((start or 0) * SAMPLE_RATE), min(SAMPLE_RATE, round((end or 1) * SAMPLE_RATE))
    np.testing.assert_array_equal(found, read_audio(tmp_path / f"a.{ending}")[first:last])
    assert len(found) == last - first


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (0.0, 1.2, r"a\.wav: `end` must be within the file's 1 seconds, got 1\.2; correct the item"),
        (1.0, None, r"a\.wav: `start` must be from 0 to before the end \(1 seconds\), got 1; correct"),
        (0.5, 0.5, r"a\.wav: `start` must be from 0 to before the end \(0\.5 seconds\), got 0\.5"),
        (-0.1, 0.5, r"a\.wav: `start` must be from 0 to before the end"),
    ],
)
def test_a_cut_beyond_the_file_is_refused(tmp_path, start, end, message):
    soundfile.write(tmp_path / "a.wav", noise(SAMPLE_RATE), SAMPLE_RATE)
    with pytest.raises(InputError, match=message):
        read_audio(tmp_path / "a.wav", start=start, end=end)


def test_a_missing_file_is_refused(tmp_path):
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(InputError, match=rf"{path}: no such sound file; correct the path"):
            read_audio(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.wav", b"", r"a\.wav: must be sound, got an empty file; fetch it again"),
        (
            "a.wav",
            b"<html>not found</html>" * 50,
            r"a\.wav: must be sound as wav, flac, ogg or mp3, got other or damaged",
        ),
        (
            "a.raw",
            b"\0\1" * 500,
            r"a\.raw: must be sound as wav, flac, ogg or mp3, got other or damaged data \(no header",
        ),
        ("a.txt", b"\xff" * 3, r"a\.txt: must be sound as"),
    ],
)
def test_what_is_no_sound_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_audio(tmp_path / name)


@pytest.mark.parametrize("ending", ["flac", "ogg"])
def test_a_file_cut_off_half_way_is_refused_or_short(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, noise(3 * SAMPLE_RATE), SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    try:
        assert len(read_audio(path)) < 3 * SAMPLE_RATE
    except InputError as error:
        assert f"{path}: must " in str(error) and "\n" not in str(error)


def test_a_file_with_fewer_samples_than_it_says_is_refused(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", noise(900), SAMPLE_RATE)
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda self, count, **_: np.zeros((count - 400, 1), np.float32))
    with pytest.raises(InputError, match=r"a\.wav: must hold the 900 samples that it says, got 500; fetch it again"):
        read_audio(tmp_path / "a.wav")


def test_a_file_without_samples_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(0), SAMPLE_RATE)
    with pytest.raises(InputError, match=r"a\.wav: must hold at least one sample, got none"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(tmp_path, bad):
    samples = noise(500)
    samples[77] = bad
    soundfile.write(tmp_path / "a.wav", samples, SAMPLE_RATE, "FLOAT")
    with pytest.raises(InputError, match=r"a\.wav: every sample must be a finite number, got NaN or infinity"):
        read_audio(tmp_path / "a.wav")


def test_damaged_bytes_are_read_or_refused_but_never_anything_else(tmp_path):
    rng = np.random.default_rng(5)
    for ending in ("wav", "flac", "ogg"):
        path = tmp_path / f"a.{ending}"
        soundfile.write(path, noise(4000), SAMPLE_RATE)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for trial in range(30):
            damaged = whole.copy()
            damaged[rng.integers(0, 60 if trial % 2 else len(whole), 3)] = rng.integers(0, 256, 3)
            path.write_bytes(damaged.tobytes())
            try:
                assert read_audio(path).ndim == 1
            except InputError as error:
                assert str(path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("samples", [1, 2, 159, 160, 161, 319, 320, 321, 399, 400, 401, 16000, 48000])
def test_there_is_a_frame_for_every_ten_milliseconds_begun(samples):
    steps = math.ceil(samples / 160)
    assert frame_count(samples) == steps
    assert log_mel(noise(samples), 40).shape == (steps, 40) and mfcc(noise(samples)).shape == (steps, 13)


def test_three_seconds_are_four_frames_of_sound_for_each_of_video():
    assert frame_count(75 * 640) == 4 * 75


def plain_log_mel(samples: np.ndarray, step: int, window: np.ndarray, count: int) -> list[float]:
    """One frame, by sums: a window centered on the middle of its 160 samples, triangles on the mel scale."""
    mel = lambda hertz: 2595 * math.log10(1 + hertz / 700)  # noqa: E731
    edges = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(mel(20), mel(7600), count + 2)]
    first = step * 160 + 80 - 200
    frame = np.array([samples[n] if 0 <= n < len(samples) else 0.0 for n in range(first, first + 400)]) * window
    bins = np.arange(257)
    power = np.abs(np.exp(-2j * np.pi * np.outer(bins, np.arange(400)) / 512) @ frame) ** 2 / (window**2).sum()
    made = []
    for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
        hertz = bins * 16000 / 512
        weight = np.clip(np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)), 0, None)
        made.append(math.log(max(1e-10, float(weight @ power))))
    return made


@pytest.mark.parametrize("count", [40, 80])
def test_log_mel_is_the_plain_sum(count):
    samples = noise(1700, 3).astype(np.float64)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    found = log_mel(samples.astype(np.float32), count)
    for step in (0, 1, 5, 10):
        np.testing.assert_allclose(found[step], plain_log_mel(samples, step, hann, count), atol=2e-3)


def test_mfcc_is_the_cosine_transform_of_the_plain_sum():
    samples = noise(1700, 4).astype(np.float64)
    sharp = samples - 0.97 * np.concatenate([samples[:1], samples[:-1]])
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 400)
    found = mfcc(samples.astype(np.float32))
    for step in (0, 5, 10):
        logs = plain_log_mel(sharp, step, hamming, 26)
        for k in range(13):
            scale = math.sqrt((1 if k == 0 else 2) / 26)
            want = scale * sum(x * math.cos(math.pi * k * (m + 0.5) / 26) for m, x in enumerate(logs))
            assert found[step, k] == pytest.approx(want, abs=5e-3)


@pytest.mark.parametrize("frequency", [200, 440, 1000, 3000, 6000])
def test_a_tone_is_loudest_where_it_lies(frequency):
    mel = 2595 * np.log10(1 + frequency / 700)
    centers = np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + 7600 / 700), 42)[1:-1]
    assert abs(log_mel(sine(frequency), 40)[50].argmax() - np.abs(centers - mel).argmin()) <= 1


def test_an_impulse_is_heard_in_the_frame_that_holds_it():
    for place in (5, 150, 170, 1000, 1595):
        samples = np.zeros(1600, np.float32)
        samples[place] = 1.0
        assert log_mel(samples, 40).mean(1).argmax() == place // HOP


def test_a_delay_of_ten_milliseconds_is_one_frame():
    samples, late = noise(3200), np.concatenate([np.zeros(160, np.float32), noise(3200)])
    np.testing.assert_allclose(log_mel(late)[3:], log_mel(samples)[2:], atol=1e-4)


def test_loudness_changes_the_level_alone():
    np.testing.assert_allclose(log_mel(noise(3200) * 4) - log_mel(noise(3200)), math.log(16), atol=1e-4)
    difference = mfcc(noise(3200) * 4) - mfcc(noise(3200))
    np.testing.assert_allclose(difference[:, 1:], 0, atol=1e-3)
    np.testing.assert_allclose(difference[:, 0], math.log(16) * math.sqrt(26), rtol=1e-3)


def test_silence_has_finite_features_that_normalize_to_zero():
    silent = np.zeros(4000, np.float32)
    for features in (log_mel(silent), mfcc(silent)):
        assert np.isfinite(features).all()
        assert np.abs(normalize(features)).max() < 0.1
    np.testing.assert_allclose(log_mel(silent), math.log(audio.FLOOR), rtol=1e-5)


def test_features_of_nothing_are_refused():
    for features in (log_mel, mfcc):
        with pytest.raises(ValueError, match=r"`samples_N` must hold at least one sample, got none"):
            features(np.zeros(0, np.float32))


def test_normalized_features_have_mean_0_and_deviation_1():
    features = mfcc(noise(16000)) * 3 + 7
    made = normalize(features)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(made.std(0), 1, rtol=1e-4)
    mean, std = statistics([features])
    np.testing.assert_allclose(normalize(features, mean, std), made, atol=1e-4)


def test_statistics_are_those_of_all_frames_together():
    rng = np.random.default_rng(0)
    corpus = [rng.normal(1e3, 1 + i, (n, 5)).astype(np.float32) for i, n in enumerate((7, 1, 0, 300, 20))]
    joined = np.concatenate(corpus).astype(np.float64)
    for order in (corpus, corpus[::-1]):
        mean, std = statistics(iter(order))
        np.testing.assert_allclose(mean, joined.mean(0), rtol=1e-6)
        np.testing.assert_allclose(std, joined.std(0), rtol=1e-5)


def test_statistics_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"`corpus` must hold at least one frame, got none"):
        statistics([np.zeros((0, 3), np.float32)])


@pytest.mark.parametrize("factor", SPEEDS)
def test_speed_changes_length_and_pitch(factor):
    made = change_speed(sine(500), factor)
    assert len(made) == math.ceil(SAMPLE_RATE / factor)
    np.testing.assert_allclose(made[500:-500], sine(500 * factor, len(made))[500:-500], atol=3e-3)
    if factor == 1:
        np.testing.assert_array_equal(made, sine(500))


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1, 2.0])
def test_features_are_stretched_in_time(factor):
    line_TF = np.stack([np.arange(40), 2 - np.arange(40)], 1).astype(np.float32)
    made = stretch(line_TF, factor)
    assert len(made) == {0.9: 45, 1.0: 40, 1.1: 37, 2.0: 20}[factor]
    assert np.allclose(made[:, 0], np.minimum(np.arange(len(made)) * factor, 39), atol=1e-4)
    assert np.allclose(made[:, 1], 2 - made[:, 0], atol=1e-4) and made.dtype == np.float32
    assert len(stretch(line_TF[:1], factor)) in (1, 2)


def test_resampling_there_and_back_is_nothing():
    samples = sine(300) + sine(900)
    np.testing.assert_allclose(
        resample(resample(samples, SAMPLE_RATE, 48000), 48000, SAMPLE_RATE)[500:-500], samples[500:-500], atol=2e-3
    )


def test_masks_are_spans_of_zeros_of_bounded_width():
    features = np.random.default_rng(0).normal(5, 1, (200, 40)).astype(np.float32)
    before, widths = features.copy(), set()
    for seed in range(100):
        made = spec_augment(
            features, np.random.default_rng(seed), time_masks=1, time_width=30, frequency_masks=1, frequency_width=8
        )
        rows, columns = (made == 0).all(1), (made == 0).all(0)
        assert ((made == 0) == (rows[:, None] | columns)).all() and (made[made != 0] == features[made != 0]).all()
        for lost, most in ((rows, 30), (columns, 8)):
            assert lost.sum() <= most and np.abs(np.diff(lost.astype(int))).sum() <= 2
        widths.add((rows.sum(), columns.sum()))
        again = spec_augment(
            features, np.random.default_rng(seed), time_masks=1, time_width=30, frequency_masks=1, frequency_width=8
        )
        np.testing.assert_array_equal(made, again)
    np.testing.assert_array_equal(features, before)
    assert {0, 30} <= {rows for rows, _ in widths} and {0, 8} <= {columns for _, columns in widths}


def test_no_mask_changes_nothing_and_a_short_utterance_keeps_most():
    features = np.ones((10, 4), np.float32)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(spec_augment(features, rng, time_masks=0, frequency_masks=0), features)
    for _ in range(50):
        assert (spec_augment(features, rng, time_masks=1, frequency_masks=0).sum(1) == 0).sum() <= 2
    assert spec_augment(np.ones((1, 2), np.float32), rng, frequency_width=9).shape == (1, 2)


def test_the_published_sound_of_grid(real_data, tmp_path):
    """Features of real speech: finite, and louder within words than before them."""
    from seqkit.data.sound_track import read_sound

    video = real_data / "grid" / "video" / "s1" / "bbaf2n.mp4"
    if not video.is_file():
        pytest.skip(f"needs {video}")
    samples = np.concatenate(list(read_sound(video))).astype(np.float32) / 32768
    lines = [line.split() for line in Path(real_data / "grid/align/s1/bbaf2n.align").read_text().splitlines()]
    words = [(int(a) / 25000, int(b) / 25000) for a, b, word in lines if word != "sil"]
    level = log_mel(samples).mean(1)
    said = [level[int(a * 100) : int(b * 100)].mean() for a, b in words]
    assert np.isfinite(level).all() and min(said) > level[: int(words[0][0] * 100) - 10].mean()


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'torchaudio'"), OSError("undefined symbol: aoti_torch\nmore")]
)
def test_without_torchaudio_sound_is_refused_in_one_line_and_silence_is_not(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name.split(".")[0] == "torchaudio":
                raise error

    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    audio._triangles.cache_clear()
    samples_N = np.ones(1600, np.float32)
    for sound in (lambda: mfcc(samples_N), lambda: log_mel(samples_N), lambda: audio.resample(samples_N, 8000, 16000)):
        with pytest.raises(InputError) as caught:
            sound()
        assert "\n" not in str(caught.value)
        first = str(error).splitlines()[0]
        assert f"`torchaudio` must load beside torch {torch.__version__}, got '{first}'; torch 2.11" in str(
            caught.value
        )
    assert audio.resample(samples_N, 16000, 16000) is samples_N and audio.frame_count(1600) == 10
    masked_TF = audio.spec_augment(np.ones((30, 5), np.float32), np.random.default_rng(0))
    assert audio.normalize(masked_TF).shape == audio.stretch(masked_TF, 1.0).shape == (30, 5)
