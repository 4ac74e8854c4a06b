"""Sound files are read to their real end, whatever their header says, in memory bounded by their length."""

import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from seqkit.data.audio import read_audio
from seqkit.data.resampling import MAX_KERNEL, resample
from seqkit.data.sound_file import SILENT, joined, oddities, read_cut
from seqkit.errors import InputError

RATE = 16_000


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def mp3(path: Path, samples_N: np.ndarray, *, rate: int = RATE, bit_rate: int = 0) -> Path:
    """An MP3 without a count of its frames."""
    with av.open(str(path), "w", "mp3", options={"write_xing": "0"}) as file:
        audio = file.add_stream("libmp3lame", rate=rate, layout="mono")
        if bit_rate:
            audio.bit_rate = bit_rate
        else:
            audio.codec_context.qscale = True
            audio.codec_context.global_quality = 4 * 118
        frame = av.AudioFrame.from_ndarray(samples_N[None], "fltp", "mono")
        frame.sample_rate = rate
        file.mux([*audio.encode(frame), *audio.encode(None)])
    return path


def seconds(path: Path) -> float:
    return len(read_audio(path)) / RATE


def test_flac_without_a_length_is_read_to_its_end(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(3), RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # 36 bits: number of samples, 0 for unknown
    path.write_bytes(content)
    assert seconds(path) == 3 and np.abs(read_audio(path) - tone(3)).max() < 1e-4
    assert len(read_audio(path, start=1, end=2.5)) == 1.5 * RATE


@pytest.mark.parametrize("bit_rate", [0, 64_000])
def test_mp3_without_a_count_is_read_to_its_end(bit_rate, tmp_path):
    loud = np.concatenate([tone(1.5) * 0.01, np.random.default_rng(0).uniform(-0.5, 0.5, 24_000).astype(np.float32)])
    assert seconds(mp3(tmp_path / "a.mp3", loud, bit_rate=bit_rate)) == pytest.approx(3, abs=0.15)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_joined_files_are_read_to_their_end(ending, tmp_path):
    one, both = tmp_path / f"1.{ending}", tmp_path / f"a.{ending}"
    soundfile.write(one, tone(1), RATE)
    both.write_bytes(2 * one.read_bytes())
    assert not joined(one) and seconds(both) == pytest.approx(2 * seconds(one), abs=0.15)


def test_joined_files_of_two_rates_are_one_sound(tmp_path):
    first, second = mp3(tmp_path / "1.mp3", tone(1)), mp3(tmp_path / "2.mp3", tone(1, 24_000), rate=24_000)
    (tmp_path / "a.mp3").write_bytes(first.read_bytes() + second.read_bytes())
    assert seconds(tmp_path / "a.mp3") == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_wav_from_a_pipe_is_read_to_its_end(size, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(2), RATE)
    content = bytearray(path.read_bytes())
    for place in (4, content.index(b"data") + 4):
        content[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert seconds(path) == 2


@pytest.mark.parametrize("size", [0, 2**32 - 1])
def test_a_wav_that_says_zero_or_all_is_read_to_its_end_without_a_remark(size, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1), RATE)
    content = bytearray(path.read_bytes())
    content[40:44] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert seconds(path) == 1 and oddities(read_cut(path)) == ()


@pytest.mark.parametrize("ending", ["wav", "aiff", "au", "flac", "ogg", "mp3"])
def test_sound_that_is_cut_off_is_told(ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE).astype(np.float32)
    soundfile.write(path, noise, RATE)
    assert oddities(read_cut(path)) == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (*_, remark) = oddities(read_cut(path))
    assert remark.startswith("cut off") and 0.5 < seconds(path) < 1.6


def test_samples_beyond_full_scale_are_clipped_as_players_do_and_told(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, 10 * tone(0.1), RATE, subtype="FLOAT")
    assert oddities(read_cut(path)) == ("samples reach 3 times full scale, at which they are clipped",)
    assert np.abs(read_audio(path)).max() == 1
    soundfile.write(path, 0 * tone(0.1), RATE)
    assert oddities(read_cut(path)) == (SILENT,)


@pytest.mark.parametrize("rate", [16_001, 44_056, 15_999])
def test_odd_rates_cost_memory_for_the_sound_alone(rate):
    assert rate * RATE > MAX_KERNEL
    tracemalloc.start()
    found = resample(tone(3, rate), rate, RATE)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 3 * RATE and np.abs(found - tone(3))[200:-200].max() < 2e-3 and most < 1e8


@pytest.mark.parametrize(("own", "new"), [(441, 160), (3, 1), (1, 2), (160, 441)])
def test_both_ways_of_resampling_agree(own, new, monkeypatch):
    samples_N = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    periodic_N = resample(samples_N, own, new)
    monkeypatch.setattr("seqkit.data.resampling.MAX_KERNEL", 0)
    np.testing.assert_allclose(resample(samples_N, own, new), periodic_N, atol=1e-4)


@pytest.mark.parametrize("rate", [1, 2_000_000_000])
def test_a_rate_that_no_sound_has_is_refused(rate, tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(0.1), rate)
    with pytest.raises(InputError, match=r"a\.wav: must have 1000 to 1000000 samples a second, got"):
        read_audio(tmp_path / "a.wav")


def test_the_loudest_sample_is_that_of_all_channels(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([tone(1), -tone(1)], 1), RATE)
    found = read_cut(tmp_path / "a.wav")
    assert found.loudest == pytest.approx(0.3, abs=0.01) and np.abs(found.samples_N).max() < 1e-4
