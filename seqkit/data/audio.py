"""Audio: files to samples, and samples to log-mel or MFCC features.

Samples are float32 in mono at 16 kHz. Features have a frame every 10 ms: `frame_count(n)` = ceil(n / 160) of them, and
frame i stands for the samples from 160 i on; its window of 25 ms is centered on theirs, zeros beyond either end. So
four frames belong to one of video at 25 frames/s, and a second is 100 frames whatever comes after it.

MFCC as Davis and Mermelstein 1980: pre-emphasis 0.97, Hamming window, power spectrum, 26 triangles evenly spaced in mel
from 20 to 7600 Hz, logarithm, cosine transform, the first 13. Log-mel: Hann window, 40 or 80 triangles, logarithm.
SpecAugment: Park et al. 2019, arXiv:1904.08779, section 2, without warping.

N samples, T frames, F features a frame, M triangles, K bins of the spectrum.
"""

import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data.resampling import resample, torchaudio_functional
from seqkit.data.sound_file import Cut, read_cut
from seqkit.errors import InputError

Floats = NDArray[np.float32]

SAMPLE_RATE = 16_000  # samples a second
HOP = 160  # samples, 10 ms
WINDOW = 400  # samples, 25 ms
BINS = 512  # points of the Fourier transform
LOWEST, HIGHEST = 20.0, 7600.0  # Hz
FLOOR = 1e-10  # the least power whose logarithm is taken, of full scale 1
SPEEDS = (0.9, 1.0, 1.1)


def read_audio(path: Path, *, start: float | None = None, end: float | None = None) -> Floats:
    """Reads the samples (N,) of a wav, flac, ogg or mp3 file of any rate and channels, or of the cut `start` to `end`.

    Channels are averaged. Raises InputError with the file's name for one that is missing, empty or damaged, is no
    sound, or does not reach as far as the cut.
    """
    return to_samples(Path(path), read_cut(Path(path), start or 0.0, end))


def to_samples(path: Path, cut: Cut) -> Floats:
    """The samples (N,) at 16 kHz of what was read of a file, clipped at full scale. Raises InputError where one is no
    finite number."""
    if not np.isfinite(cut.samples_N).all():
        raise InputError(f"{path}: every sample must be a finite number, got NaN or infinity; make the file again")
    return resample(np.clip(cut.samples_N, -1.0, 1.0), cut.rate, SAMPLE_RATE)


def change_speed(samples_N: Floats, factor: float) -> Floats:
    """Speed perturbation: faster by `factor` and higher in pitch, ceil(N / factor) samples; times divide by it.

    `factor` is taken to the nearest hundredth, such as one of SPEEDS.
    """
    return resample(samples_N, round(100 * factor), 100)


def stretch(features_TF: Floats, factor: float) -> Floats:
    """Time stretching of features by linear interpolation: ceil(T / factor) frames; times divide by `factor`."""
    times = np.minimum(np.arange(math.ceil(round(len(features_TF) / factor, 6))) * factor, len(features_TF) - 1)
    before = np.floor(times).astype(int)
    after = np.minimum(before + 1, len(features_TF) - 1)
    share = (times - before).astype(np.float32)[:, None]
    stretched_TF: Floats = (1 - share) * features_TF[before] + share * features_TF[after]
    return stretched_TF


def frame_count(samples: int) -> int:
    """Returns the number of frames T of so many samples."""
    return -(-samples // HOP)


def log_mel(samples_N: Floats, count: int = 80) -> Floats:
    """Log-mel filterbank features (T, count)."""
    return _log_mel(samples_N, np.hanning(WINDOW + 1)[:-1], count)


def mfcc(samples_N: Floats, count: int = 13, *, triangles: int = 26) -> Floats:
    """Computes the first `count` mel-frequency cepstral coefficients (T, count); the first is the level."""
    sharp_N = samples_N - 0.97 * np.concatenate([samples_N[:1], samples_N[:-1]])
    cosines_MF = torchaudio_functional().create_dct(count, triangles, "ortho").numpy()
    coefficients_TF: Floats = _log_mel(sharp_N, np.hamming(WINDOW + 1)[:-1], triangles) @ cosines_MF
    return coefficients_TF


def _log_mel(samples_N: NDArray[np.floating[Any]], window: NDArray[np.float64], count: int) -> Floats:
    if not len(samples_N):
        raise ValueError("`samples_N` must hold at least one sample, got none")
    steps, before = frame_count(len(samples_N)), (WINDOW - HOP) // 2
    after = (steps - 1) * HOP + WINDOW - before - len(samples_N)
    frames_TN = np.lib.stride_tricks.sliding_window_view(np.pad(samples_N, (before, after)), WINDOW)[::HOP]
    power_TK = np.abs(np.fft.rfft(frames_TN * window, BINS)) ** 2 / np.sum(window**2)
    logarithm_TM: Floats = np.log(np.maximum(power_TK @ _triangles(count), FLOOR)).astype(np.float32)
    return logarithm_TM


@cache
def _triangles(count: int) -> NDArray[np.float64]:
    filters_KM = torchaudio_functional().melscale_fbanks(BINS // 2 + 1, LOWEST, HIGHEST, count, SAMPLE_RATE)
    return np.asarray(filters_KM, np.float64)


def normalize(features_TF: Floats, mean_F: Floats | None = None, std_F: Floats | None = None) -> Floats:
    """Standardizes each feature: over the utterance, or by the given mean and standard deviation of a corpus."""
    own = features_TF.astype(np.float64)
    mean = own.mean(0) if mean_F is None else mean_F
    std = own.std(0) if std_F is None else std_F
    scaled_TF: Floats = ((own - mean) / np.maximum(std, 1e-5)).astype(np.float32)
    return scaled_TF


def statistics(corpus: Iterable[Floats]) -> tuple[Floats, Floats]:
    """Computes mean (F,) and standard deviation (F,) over all frames of (T, F) arrays, one held at a time.

    Raises ValueError where there is no frame.
    """
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for features_TF in corpus:
        own, n = features_TF.astype(np.float64), len(features_TF)
        if n:
            shift = own.mean(0) - mean
            squares = squares + own.var(0) * n + shift**2 * (n * count / (n + count))
            count, mean = count + n, mean + shift * (n / (n + count))
    if not count:
        raise ValueError("`corpus` must hold at least one frame, got none")
    return mean.astype(np.float32), np.sqrt(squares / count).astype(np.float32)


def spec_augment(
    features_TF: Floats,
    rng: np.random.Generator,
    *,
    time_masks: int = 2,
    time_width: int = 40,
    frequency_masks: int = 2,
    frequency_width: int = 3,
    share: float = 0.2,
) -> Floats:
    """SpecAugment: sets spans of frames and of features, each of a width from 0 to the given one, to 0 in a copy (the
    mean of normalized features). No span of frames is wider than `share` of the utterance."""
    masked_TF = features_TF.copy()
    widest = min(time_width, int(share * len(masked_TF)))
    for axis_TF, masks, width in ((masked_TF, time_masks, widest), (masked_TF.T, frequency_masks, frequency_width)):
        for _ in range(masks):
            wide = int(rng.integers(min(width, len(axis_TF)) + 1))
            first = int(rng.integers(len(axis_TF) - wide + 1))
            axis_TF[first : first + wide] = 0.0
    return masked_TF
