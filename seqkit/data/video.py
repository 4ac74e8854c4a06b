"""Video clips as tensors: crops, color conversion, and augmentation.

A clip is a tensor (T, C, H, W), uint8, or floats on the scale from 0 to 1; what changes pixels keeps the type. Random
changes draw from the generator that they are given. Those that change a clip's length give the map from its new frames
to the old ones, by which the times of words follow. Times are seconds, frame i lasts from i / rate to (i + 1) / rate.

Deleted and doubled frames, mirrored clips, standardized channels: Assael et al. 2016, arXiv:1611.01599, sections 4.1
and 4.2. Erasing: Zhong et al. 2020, arXiv:1708.04896.

T frames, C channels (3: red, green, blue; 1: gray), H and W pixels.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Words = Sequence[tuple[str, float, float]]  # word, start, end

FRAME_RATE = 25.0  # frames a second, if nothing else is said
LUMA = (0.299, 0.587, 0.114)  # of red, green, blue in gray: ITU-R BT.601


def to_clip(frames: NDArray[np.uint8] | Tensor) -> Tensor:
    """Makes a clip of frames (T, H, W, 3) or (T, H, W), in channels-last memory.

    Raises ValueError for another shape or type.
    """
    clip = torch.as_tensor(frames)
    if clip.dtype != torch.uint8 or clip.ndim not in (3, 4) or clip.ndim == 4 and clip.shape[3] != 3:
        raise ValueError(f"`frames` must be uint8 (T, H, W, 3) or (T, H, W), got {clip.dtype} {tuple(clip.shape)}")
    return clip.permute(0, 3, 1, 2) if clip.ndim == 4 else clip[:, None]


def span(start: float, end: float, frames: int, rate: float = FRAME_RATE) -> tuple[int, int]:
    """Returns the frames [first, last) that the time from `start` to `end` touches, at least one.

    Raises ValueError where it lies outside the clip.
    """
    first, last = math.floor(start * rate + 1e-6), min(frames, math.ceil(end * rate - 1e-6))
    if not 0 <= first < last:
        raise ValueError(f"`start`, `end` must lie within {frames / rate:g} seconds, got {start:g} and {end:g}")
    return first, last


def crop(clip: Tensor, height: int, width: int, *, jitter: int = 0, rng: np.random.Generator | None = None) -> Tensor:
    """Center crop of `height` x `width` pixels; with `rng`, shifted by up to `jitter` pixels each way.

    One shift for the whole clip, inside the frame. Raises ValueError where the clip is smaller.
    """
    tall, wide = clip.shape[-2:]
    if height > tall or width > wide:
        raise ValueError(f"`clip` must have at least {height} x {width} pixels, got {tall} x {wide}")
    down, across = (0, 0) if rng is None else rng.integers(-jitter, jitter + 1, 2).tolist()
    top = min(max((tall - height) // 2 + down, 0), tall - height)
    left = min(max((wide - width) // 2 + across, 0), wide - width)
    return clip.narrow(2, top, height).narrow(3, left, width)


def resize(clip: Tensor, height: int, width: int) -> Tensor:
    """Resizes to `height` x `width` pixels, bilinear and antialiased."""
    if tuple(clip.shape[-2:]) == (height, width):
        return clip
    clip = clip.contiguous(memory_format=torch.channels_last)  # ten times as fast as plain floats
    return torch.nn.functional.interpolate(clip, (height, width), mode="bilinear", antialias=True)


def to_grayscale(clip: Tensor) -> Tensor:
    """Converts to grayscale (T, 1, H, W) by the weights LUMA; a grayscale clip stays as it is."""
    if clip.shape[1] == 1:
        return clip
    made: Tensor = torch.tensordot(clip.float(), torch.tensor(LUMA), ([1], [0]))[:, None]
    return made.round().to(torch.uint8) if clip.dtype == torch.uint8 else made.to(clip.dtype)


def mirror(clip: Tensor) -> Tensor:
    """Flips horizontally."""
    return clip.flip(-1)


def jitter_frames(frames: int, rng: np.random.Generator, *, delete: float = 0.05, duplicate: float = 0.05) -> Tensor:
    """Draws a map (new T,) from new frames to old: each frame is deleted or duplicated with these probabilities.

    At least one frame stays. `clip[map]` is the new clip; sound beside it does not follow. Raises ValueError where the
    two exceed 1 together.
    """
    if not (delete >= 0 and duplicate >= 0 and delete + duplicate <= 1):
        raise ValueError(f"`delete`, `duplicate` must be probabilities of sum at most 1, got {delete}, {duplicate}")
    drawn_T = rng.random(frames)
    times_T = np.where(drawn_T < delete, 0, np.where(drawn_T < delete + duplicate, 2, 1))
    if not times_T.any():
        times_T[rng.integers(frames)] = 1
    return torch.from_numpy(np.repeat(np.arange(frames), times_T))


def move_words(
    words: Words, new_to_old: Tensor, frames: int, rate: float = FRAME_RATE
) -> list[tuple[str, float, float]]:
    """Moves word times from a clip of so many frames to the clip made by the map.

    A word whose frames are all left out has an end equal to its start.
    """
    copies_T = torch.bincount(new_to_old, minlength=frames).numpy()
    edges = np.concatenate([[0], np.cumsum(copies_T)])  # where each old frame begins, counted in new frames

    def moved(time: float) -> float:
        return float(np.interp(time * rate, np.arange(frames + 1), edges)) / rate

    return [(word, moved(start), moved(end)) for word, start, end in words]


def erase(
    clip: Tensor, rng: np.random.Generator, *, share: float = 0.4, seconds: float = 0.4, rate: float = FRAME_RATE
) -> Tensor:
    """Random erasing: fills one box, of sides up to `share` of the frame's, for up to `seconds` with the clip's channel
    means, in a copy."""
    made = clip.clone()
    limits = (int(seconds * rate), int(share * clip.shape[2]), int(share * clip.shape[3]))
    place = []
    for size, most in zip((len(clip), *clip.shape[2:]), limits, strict=True):
        wide = int(rng.integers(min(most, size) + 1))
        first = int(rng.integers(size - wide + 1))
        place.append(slice(first, first + wide))
    average_C = clip.float().mean((0, 2, 3))
    fill_C = average_C.round() if clip.dtype == torch.uint8 else average_C
    made[place[0], :, place[1], place[2]] = fill_C.to(clip.dtype)[:, None, None]
    return made


def standardize(clip: Tensor, mean_C: Sequence[float], std_C: Sequence[float]) -> Tensor:
    """Standardizes each channel by mean and standard deviation on the scale from 0 to 1; float32."""
    scale = 255.0 if clip.dtype == torch.uint8 else 1.0
    mean_C11, std_C11 = (scale * torch.tensor(values)[:, None, None] for values in (mean_C, std_C))
    return (clip.float() - mean_C11) / std_C11


def statistics(clips: Iterable[Tensor]) -> tuple[list[float], list[float]]:
    """Computes mean and standard deviation of each channel over all pixels of uint8 clips, on the scale from 0 to 1.

    One clip at a time is held, and sums are of whole numbers: exact, in whatever order the clips come. Raises
    ValueError for clips of another type, or where there is no pixel.
    """
    count = 0
    sums_2C = torch.zeros(2, 1, dtype=torch.int64)
    for clip in clips:
        if clip.dtype != torch.uint8:
            raise ValueError(f"`clips` must be uint8, got {clip.dtype}")
        rows_CN = clip.transpose(0, 1).flatten(1).long()
        sums_2C = sums_2C + torch.stack([rows_CN.sum(1), rows_CN.square().sum(1)])
        count += rows_CN.shape[1]
    if not count:
        raise ValueError("`clips` must hold at least one pixel, got none")
    mean_C, square_C = (sums_2C.double() / count).unbind()
    std_C = (square_C - mean_C**2).clamp(min=0).sqrt()
    return (mean_C / 255).tolist(), (std_C / 255).tolist()
