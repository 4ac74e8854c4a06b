"""Synthetic speech by source and filter: pulses and noise through the formants of each phoneme.

Voiced sound is a train of pulses through three formants that glide from phoneme to phoneme; frication is noise
in a band; a stop is a silence, in `b d g` with a murmur, and then a burst. Source and filter: Fant 1960; formants of
vowels are near those of Peterson and Barney 1952. A talker's pitch and length of tract move all of them.

N samples at 16 kHz, P phonemes, S steps of 5 ms, K bins of the spectrum. Times are seconds, frequencies Hz.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Phone = tuple[str, float, float]  # phoneme, start, end

RATE = 16_000
STEP = 80  # samples
WINDOW = 320
LOUDNESS = 1500  # of a vowel, of 32768
BACKGROUND = 4
WIDTHS = (70.0, 100.0, 160.0)  # of the formants


class PhonemeSound(NamedTuple):
    formants: tuple[int, int, int]
    voiced: float = 1.0  # loudness of the pulses
    noise: float = 0.0  # loudness of the noise, whose band is `center` and `width`
    center: int = 4000
    width: int = 1500
    stop: bool = False  # closed for its first part


VOWELS = {
    "iy": (280, 2290, 3010),
    "ih": (390, 1990, 2550),
    "eh": (530, 1840, 2480),
    "ae": (660, 1720, 2410),
    "ah": (640, 1190, 2390),
    "aa": (730, 1090, 2440),
    "ao": (570, 840, 2410),
    "uh": (440, 1020, 2240),
    "uw": (300, 870, 2240),
    "er": (490, 1350, 1690),
}
PHONEMES = {
    **{name: PhonemeSound(formants) for name, formants in VOWELS.items()},
    "sil": PhonemeSound((500, 1500, 2500), 0.0),
    "y": PhonemeSound((270, 2200, 3000), 0.6),
    "w": PhonemeSound((300, 620, 2150), 0.6),
    "r": PhonemeSound((320, 1100, 1420), 0.6),
    "l": PhonemeSound((340, 1250, 2750), 0.55),
    "m": PhonemeSound((250, 1000, 2200), 0.35),
    "n": PhonemeSound((260, 1650, 2550), 0.35),
    "s": PhonemeSound((400, 1700, 2600), 0.0, 0.5, 6000, 1200),
    "z": PhonemeSound((300, 1700, 2600), 0.3, 0.35, 5800, 1200),
    "f": PhonemeSound((400, 1100, 2300), 0.0, 0.16, 4200, 3000),
    "v": PhonemeSound((260, 1100, 2300), 0.35, 0.1, 4200, 3000),
    "th": PhonemeSound((400, 1400, 2500), 0.0, 0.14, 6800, 2500),
    "p": PhonemeSound((400, 800, 2200), 0.0, 0.5, 900, 700, True),
    "b": PhonemeSound((250, 800, 2200), 0.3, 0.2, 900, 700, True),
    "t": PhonemeSound((400, 1750, 2700), 0.0, 0.6, 4500, 1500, True),
    "d": PhonemeSound((250, 1750, 2700), 0.3, 0.25, 3800, 1500, True),
    "k": PhonemeSound((400, 1900, 2500), 0.0, 0.6, 2100, 700, True),
    "g": PhonemeSound((250, 1900, 2500), 0.3, 0.25, 2000, 700, True),
}


class Voice(NamedTuple):
    pitch: float
    tract: float  # factor on all formants, 1 for the length of a man's vocal tract


def synthesize(phones: Sequence[Phone], samples: int, voice: Voice, rng: np.random.Generator) -> NDArray[np.int16]:
    """The sound (N,) of the phonemes, with faint background noise."""
    steps = samples // STEP + 1
    pulses_S, noise_S, center_S, width_S, formants_S3 = _tracks(phones, steps)
    frequency_K = np.fft.rfftfreq(WINDOW * 2, 1 / RATE)
    tract_SK = np.prod(
        [
            _resonance(frequency_K, voice.tract * place_S[:, None], width)
            for place_S, width in zip(formants_S3.T, WIDTHS, strict=True)
        ],
        0,
    )
    tract_SK /= np.sqrt(np.mean(np.abs(tract_SK) ** 2, 1, keepdims=True))
    band_SK = np.exp(-0.5 * ((frequency_K - center_S[:, None]) / width_S[:, None]) ** 2)
    band_SK /= np.sqrt(np.mean(band_SK**2, 1, keepdims=True))
    spoken_N = _filtered(_pulses(steps * STEP, voice, rng), tract_SK * pulses_S[:, None])
    frication_N = _filtered(rng.normal(0, 1, steps * STEP), band_SK * noise_S[:, None])
    made_N = LOUDNESS * (spoken_N + frication_N)[:samples] + rng.normal(0, BACKGROUND, samples)
    return np.clip(made_N, -32767, 32767).astype(np.int16)


def _tracks(phones: Sequence[Phone], steps: int) -> tuple[NDArray[np.float64], ...]:
    """Synthesis parameters of each step: pulses, noise, the noise's center and width (S,), formants (S, 3), gliding."""
    rows = np.zeros((steps, 7))
    for phoneme, start, end in phones:
        sound, first, last = PHONEMES[phoneme], round(start * RATE / STEP), round(end * RATE / STEP)
        rows[first:last] = (sound.voiced, sound.noise, sound.center, sound.width, *sound.formants)
        if sound.stop:
            open_at = last - max(2, (last - first) * 2 // 5)
            rows[first:open_at, :2] = sound.voiced * 0.4, 0.0
    rows[last:] = rows[last - 1]
    loud = [_smooth(rows[:, i], 3) for i in (0, 1)]
    return (*loud, rows[:, 2], rows[:, 3], np.stack([_smooth(rows[:, i], 9) for i in (4, 5, 6)], 1))


def _smooth(track_S: NDArray[np.float64], wide: int) -> NDArray[np.float64]:
    weights = np.hanning(wide + 2)[1:-1]
    smoothed_S: NDArray[np.float64] = np.convolve(np.pad(track_S, wide // 2, "edge"), weights / weights.sum(), "valid")
    return smoothed_S


def _pulses(samples: int, voice: Voice, rng: np.random.Generator) -> NDArray[np.float64]:
    """A pulse train whose pitch falls by a fifth and wavers, low-passed as the glottis does."""
    knots = np.linspace(0, samples, 12)
    waver = 1 + 0.04 * np.interp(np.arange(samples), knots, rng.normal(0, 1, 12))
    phase_N = np.cumsum(voice.pitch * waver * np.linspace(1.1, 0.9, samples) / RATE)
    train_N = np.diff(np.floor(phase_N), prepend=0.0)
    soft_N = np.convolve(train_N, 0.8 ** np.arange(60))[:samples]
    scaled_N: NDArray[np.float64] = soft_N / np.sqrt(np.mean(soft_N**2))
    return scaled_N


def _resonance(frequency_K: NDArray[Any], place_S1: NDArray[Any], width: float) -> NDArray[np.complex128]:
    """The response (S, K) of a resonance, 1 at 0 Hz."""
    pole = np.exp(-np.pi * width / RATE + 2j * np.pi * place_S1 / RATE)
    back_K = np.exp(-2j * np.pi * frequency_K / RATE)
    at_zero: NDArray[np.float64] = np.abs(1 - pole) ** 2
    response_SK: NDArray[np.complex128] = at_zero / ((1 - pole * back_K) * (1 - pole.conj() * back_K))
    return response_SK


def _filtered(source_N: NDArray[np.float64], response_SK: NDArray[Any]) -> NDArray[np.float64]:
    """The source through a filter that changes at each step: windowed, filtered, overlapped and added."""
    steps = len(response_SK)
    padded_N = np.pad(source_N, (WINDOW // 2, WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded_N, WINDOW)[::STEP][:steps]
    made = np.fft.irfft(np.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1], 2 * WINDOW) * response_SK)
    out_N = np.zeros(steps * STEP + 2 * WINDOW)
    for i, block in enumerate(made * (2 * STEP / WINDOW)):
        out_N[i * STEP : i * STEP + 2 * WINDOW] += block
    return out_N[WINDOW // 2 : WINDOW // 2 + len(source_N)]
