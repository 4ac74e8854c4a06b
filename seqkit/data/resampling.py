"""Resampling by a windowed sinc, in memory that does not depend on the rates.

N samples.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import InputError

Floats = NDArray[np.float32]

LOBES = 6  # of the sinc on either side
MAX_KERNEL = 1 << 22  # values of the periodic kernel of a ratio of rates
TOGETHER = "torch 2.11 and 2.12 with torchaudio 2.11.0, torch 2.14 with torchaudio 2.11.1"  # as tried


def resample(samples_N: Floats, rate: int, new_rate: int) -> Floats:
    """Resamples to ceil(N new_rate / rate) samples by a windowed sinc."""
    common = math.gcd(rate, new_rate)
    own, new = rate // common, new_rate // common
    if own == new:
        return samples_N
    if own * new > MAX_KERNEL:
        return _resample_odd(samples_N, own, new)
    import torch

    made: Floats = torchaudio_functional().resample(torch.from_numpy(samples_N), rate, new_rate).numpy()
    return made


def _resample_odd(samples_N: Floats, own: int, new: int) -> Floats:
    """The same for rates without a common divisor, whose kernel has no period: weights are computed for each sample,
    and memory does not depend on the rates."""
    base = 0.99 * min(own, new)
    half = math.ceil(LOBES * own / base)  # samples on either side that one is made of
    taps = np.arange(-half, half + 2)
    padded_N = np.pad(samples_N.astype(np.float64), (half, half + 2))
    made_N = np.empty(math.ceil(len(samples_N) * new / own), np.float32)
    step = max(1, (1 << 20) // len(taps))
    for first in range(0, len(made_N), step):
        places = np.arange(first, min(first + step, len(made_N)), dtype=np.int64)[:, None]
        near = places * own // new + taps
        time = np.clip((near * new - places * own) * (base / (own * new)), -LOBES, LOBES)
        weights = np.sinc(time) * np.cos(time * (np.pi / 2 / LOBES)) ** 2 * (base / own)
        made_N[first : first + step] = (padded_N[near + half] * weights).sum(1)
    return made_N


def torchaudio_functional() -> Any:
    """torchaudio's functions. Raises InputError where it is not there, or was built for another torch."""
    try:
        from torchaudio import functional
    except (ImportError, OSError, AttributeError) as error:
        import torch

        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"`torchaudio` must load beside torch {torch.__version__}, got '{reason}'; {TOGETHER} go together. Only "
            "what reads sound needs it"
        ) from None
    return functional
