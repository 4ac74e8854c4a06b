"""Utterances for the recipes that read lips and listen: an item's video, sound or rows of features to arrays, as they
are or as training changes them.

An item is cut to its `start` and `end`, so a word or a phrase of a sentence is an item too (`part`). What training
changes at random is drawn from a generator of the item's own.

T steps in time, C channels, H and W pixels, F features a step, N samples.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.config import at_least_one
from seqkit.data import audio, noise, video
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.video_file import read_clip
from seqkit.errors import InputError

Floats = NDArray[np.float32]
Words = tuple[tuple[str, float, float], ...]  # word, start and end in seconds
TALKERS = 6  # that babble at once
CLIPS, UTTERANCES = 100, 1000  # of which the statistics of pixels and of features are taken


@dataclass(frozen=True)
class Video:
    """The mouth, cut from the middle of a clip's frames."""

    cut: tuple[int, int] = (50, 100)
    """height and width of the cut in pixels (LipNet: 50, 100; Chung et al.: 120, 120)"""
    pixels: tuple[int, int] = (50, 100)
    """height and width that the cut is scaled to (LipNet: 50, 100; Chung et al.: 120, 120)"""
    grayscale: bool = False
    """without colour (Chung et al.: true)"""
    mirror: float = 0.5
    """share of training clips in which left and right change places (LipNet: every clip is there both ways)"""
    move: int = 0
    """pixels by which a training clip's cut is moved each way, at most"""
    frame_jitter: float = 0.05
    """probability that a frame of training is left out, and that it stands twice; not beside sound (LipNet: 0.05)"""
    erase: float = 0.0
    """share of training clips in which a box is erased for a while"""


@dataclass(frozen=True)
class Rows:
    """Features: those of a manifest, and those made of sound."""

    normalize: Literal["utterance", "corpus", "none"] = "utterance"
    """mean 0 and deviation 1 of each feature, over the utterance or over all of training"""
    mask_steps: int = 0
    """longest span of steps set to 0, the mean of normalised features, in training, twice an utterance (Park et al.
    2019: 40)"""
    mask_features: int = 0
    """most neighbouring features set to 0 in training, twice an utterance"""
    shake: float = 0.0
    """deviation of white noise on each normalised feature in training"""


@dataclass(frozen=True)
class Sound:
    """From samples to features every 10 ms, and the noise over them."""

    features: Literal["mfcc", "log_mel"] = "mfcc"
    """what is computed of sound (Chung et al.: mfcc)"""
    coefficients: int = 13
    """of MFCC, or mel triangles (Chung et al.: 13)"""
    speeds: bool = False
    """a third of training each at 0.9 and 1.1 of the speed; for what is heard alone"""
    noise: str = "white"
    """what is mixed to sound: white (Chung et al.), babble (six other utterances), or a file"""

    def __post_init__(self) -> None:
        at_least_one(self, "coefficients")


class Inputs(NamedTuple):
    """What a stream's steps are: pictures, or rows of features with the corpus' statistics."""

    kind: Literal["pixels", "features"]
    mean: tuple[float, ...]  # of each channel on the scale from 0 to 1, or of each feature
    std: tuple[float, ...]

    @property
    def width(self) -> int:
        return len(self.mean)


def save_inputs(folder: Path, inputs: dict[str, Inputs]) -> None:
    with atomic_write(folder / "inputs.json") as file:
        file.write(json.dumps({name: own._asdict() for name, own in inputs.items()}).encode())


def load_inputs(folder: Path) -> dict[str, Inputs]:
    values = json.loads((folder / "inputs.json").read_bytes())
    return {name: Inputs(own["kind"], tuple(own["mean"]), tuple(own["std"])) for name, own in values.items()}


def part(item: Item, first: int, count: int) -> Item:
    """So many words of a sentence whose words have times, as an item."""
    words = item.words[first : first + count]
    start, end, begin = words[0][1], words[-1][2], item.start or 0.0
    cut = dataclasses.replace(
        item,
        id=f"{item.id}:{first + 1}-{first + count}",
        seconds=end - start,
        start=begin + start,
        end=begin + end,
        references=(" ".join(word for word, _, _ in words),),
        words=later(words, -start),
    )
    if not item.features:
        return cut
    row, last = item.rows or (0, len(np.load(item.features, mmap_mode="r")))
    own = place(cut, item, last - row)
    return dataclasses.replace(cut, rows=(row + own.start, row + own.stop))


def place(item: Item, whole: Item | None, rows: int, rate: float | None = None) -> slice:
    """Where the part `item` of `whole` lies in the rows of that: so many, `rate` a second, or evenly over it. All where
    there is no whole."""
    if whole is None:
        return slice(None)
    rate = rate or rows / length(whole)
    begin = whole.start or 0.0
    return slice(*video.span((item.start or 0.0) - begin, (item.end or 0.0) - begin, rows, rate))


def length(item: Item) -> float:
    """Seconds, as far as is known."""
    return item.seconds or item.words[-1][2]


def later(words: Words, seconds: float) -> Words:
    """The words, each so much later."""
    return tuple((word, start + seconds, end + seconds) for word, start, end in words)


def trimmed(item: Item, rng: np.random.Generator, most: float = 0.4) -> Item:
    """The item cut to what is said, with up to `most` seconds on either side; as it is where words have no times."""
    if not spoken(item):
        return item
    begin, whole = item.start or 0.0, length(item)
    before, after = rng.uniform(0, most, 2).tolist()
    start, end = max(0.0, item.words[0][1] - before), min(whole, item.words[-1][2] + after)
    return dataclasses.replace(
        item, start=begin + start, end=begin + end, seconds=end - start, words=later(item.words, -start)
    )


def silence(item: Item, frames: int, around: float) -> Tensor:
    """Which of so many frames (T,), spread evenly over the item, are further from all that is said than `around`
    seconds; none where words have no times or `around` is 0."""
    if not around or not spoken(item):
        return torch.zeros(frames, dtype=torch.bool)
    seconds_T = (torch.arange(frames) + 0.5) * length(item) / frames
    return (seconds_T < item.words[0][1] - around) | (seconds_T > item.words[-1][2] + around)


def spoken(item: Item) -> bool:
    """Whether the item's words have times, each of some length."""
    return len(item.words) > 0 and all(start < end for _, start, end in item.words)


def read_frames(options: Video, item: Item, rng: np.random.Generator | None = None, *, still: bool = False) -> Tensor:
    """The item's video (T, C, H, W), uint8; with `rng` changed for training, its length too unless `still`.

    Raises InputError, naming the file, for one that cannot be read or is smaller than the cut.
    """
    assert item.video is not None
    clip = video.to_clip(read_clip(item.video, start=item.start or 0.0, end=item.end, grayscale=options.grayscale))
    try:
        clip = video.crop(clip, *options.cut, jitter=options.move, rng=rng)
    except ValueError as error:
        raise InputError(f"{item.video}: {error}; prepare it again, or set `cut`") from None
    if rng is not None:
        if rng.random() < options.mirror:
            clip = video.mirror(clip)
        if not still:
            clip = clip[jittered(len(clip), options.frame_jitter, rng)]
        if rng.random() < options.erase:
            clip = video.erase(clip, rng)
    return video.resize(clip, *options.pixels)


def jittered(frames: int, rate: float, rng: np.random.Generator) -> Tensor:
    """Places of frames, some left out and some there twice."""
    return video.jitter_frames(frames, rng, delete=rate, duplicate=rate)


def read_rows(item: Item) -> Floats:
    """The item's own features (T, F). Raises InputError, naming file and item, for what is none."""
    assert item.features is not None
    place = f'{item.features}, id "{item.id}"'
    try:
        table = np.load(item.features, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{place}: must be a .npy of (time, width), got other data ({error}); make it again") from None
    if table.ndim != 2 or not np.issubdtype(table.dtype, np.number):
        raise InputError(f"{place}: must be numbers of (time, width), got {table.dtype} {table.shape}; make it again")
    first, end = item.rows or (0, len(table))
    if end > len(table):
        raise InputError(f"{place}: `rows` must end within the file's {len(table)}, got {end}; correct the item")
    rows_TF = np.asarray(table[first:end], np.float32)
    if not len(rows_TF) or not np.isfinite(rows_TF).all():
        raise InputError(f"{place}: must hold finite numbers, at least one row, got others; make it again")
    return rows_TF


def look(
    options: Video,
    rows: Rows,
    inputs: Inputs,
    item: Item,
    rng: np.random.Generator | None = None,
    *,
    whole: Item | None = None,
    still: bool = False,
) -> Tensor:
    """What a watcher that is used to `inputs` is shown of an item, of `whole` where it is a part: (T, C, H, W) or
    (T, F); with `rng` changed as training does, its length too unless `still`. Raises InputError, naming the item,
    where it lacks that.
    """
    if inputs.kind == "pixels":
        if not item.video:
            raise InputError(f'id "{item.id}": `video` must be given to a run that was trained on it, got none')
        return read_frames(options, item, rng, still=still)
    if not item.features:
        raise InputError(f'id "{item.id}": `features` must be given to a run that was trained on them, got none')
    rows_TF = read_rows(whole or item)
    rows_TF = finish_rows(rows, inputs, rows_TF, rng, keep=place(item, whole, len(rows_TF)))
    if rng is not None and not still:
        rows_TF = rows_TF[jittered(len(rows_TF), options.frame_jitter, rng).numpy()]
    return torch.from_numpy(rows_TF)


def watched(options: Video, items: Sequence[Item]) -> Inputs:
    """What the items give to watch: pixels where any has video, else their features."""
    seen = [item for item in items if item.video]
    if seen:
        mean, std = video.statistics(read_frames(options, item) for item in spread(seen, CLIPS))
        return Inputs("pixels", tuple(mean), tuple(max(value, 1e-3) for value in std))
    return row_inputs(map(read_rows, spread(items, UTTERANCES)))


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """So many of the items, evenly over them."""
    return [items[n] for n in np.linspace(0, len(items) - 1, min(most, len(items))).astype(int)]


def read_sound(
    options: Sound,
    item: Item,
    *,
    snr: float | None = None,
    key: str = "",
    speed: float = 1.0,
    others: noise.Noise = noise.white,
) -> Floats:
    """Features (T, F) of the item's sound, with noise at `snr` dB for `key`; times divide by `speed`."""
    assert item.audio is not None
    samples_N = audio.read_audio(item.audio, start=item.start, end=item.end)
    samples_N = noise.add_noise(samples_N, snr, key=key or item.id, noise=others, words=item.words)
    if speed != 1.0:
        samples_N = audio.change_speed(samples_N, speed)
    made = audio.mfcc if options.features == "mfcc" else audio.log_mel
    return made(samples_N, options.coefficients)


def finish_rows(
    options: Rows, inputs: Inputs, rows_TF: Floats, rng: np.random.Generator | None = None, *, keep: slice = slice(None)
) -> Floats:
    """Normalised, and cut to those to `keep`; with `rng` masked and shaken. Raises InputError for features of another
    width."""
    if rows_TF.shape[1] != inputs.width:
        raise InputError(f"features must have the width that training had, {inputs.width}, got {rows_TF.shape[1]}")
    if options.normalize != "none":
        known = (np.array(inputs.mean), np.array(inputs.std)) if options.normalize == "corpus" else (None, None)
        rows_TF = audio.normalize(rows_TF, *known)
    rows_TF = rows_TF[keep]
    if rng is not None and options.shake:
        rows_TF = rows_TF + np.float32(options.shake) * rng.standard_normal(rows_TF.shape, np.float32)
    if rng is not None and options.mask_steps + options.mask_features:
        rows_TF = audio.spec_augment(rows_TF, rng, time_width=options.mask_steps, frequency_width=options.mask_features)
    return rows_TF


def noise_of(options: Sound, items: Sequence[Item]) -> noise.Noise:
    """The noise that `options` name; babble is of `items`. Raises InputError where they are too few."""
    if options.noise == "white":
        return noise.white
    if options.noise == "babble":
        heard = {item.id: item for item in items if item.audio}
        if len(heard) <= TALKERS:
            raise InputError(
                f"`noise` must not be babble where fewer than {TALKERS + 1} items have sound, got {len(heard)}"
            )

        def read(name: str) -> Floats:
            path = heard[name].audio
            assert path is not None
            return audio.read_audio(path, start=heard[name].start, end=heard[name].end)

        return noise.babble(list(heard), read, talkers=TALKERS)
    return noise.recording(audio.read_audio(Path(options.noise)))


def row_inputs(rows: Iterable[Floats]) -> Inputs:
    mean_F, std_F = audio.statistics(rows)
    return Inputs("features", tuple(mean_F.tolist()), tuple(std_F.tolist()))


def spelt_words(tokens: Iterable[tuple[str, float, float]], *, spelt: bool) -> list[tuple[str, float, float]]:
    """Words and their times from tokens and theirs: characters with spaces between the words where they are `spelt`."""
    words: list[tuple[str, float, float]] = []
    fresh = True
    for token, start, end in tokens:
        if token == " ":
            fresh = True
        elif fresh or not spelt:
            words.append((token, start, end))
            fresh = False
        else:
            said, begin, until = words[-1]
            words[-1] = said + token, begin, max(until, end)
    return words


def read_items(data: Path, split: str) -> list[Item]:
    """Raises InputError, naming the item, where one's text is empty."""
    path = data / f"{split}.jsonl"
    items = read_manifest(path, needed=("references",))
    for item in items:
        if not item.references[0].strip():
            raise InputError(
                f'{path}, id "{item.id}": `references` must hold text, got an empty one; '
                "write what is said, or take the item out"
            )
    return items


def steps(item: Item) -> int:
    """How many rows, or frames of video, or hundredths of a second of sound the item has, about."""
    if item.rows:
        return item.rows[1] - item.rows[0]
    if item.features:
        return len(np.load(item.features, mmap_mode="r"))
    if item.video and item.end is not None:
        return max(1, round(item.end * video.FRAME_RATE) - round((item.start or 0.0) * video.FRAME_RATE))
    if item.seconds is not None:
        return max(1, math.ceil(item.seconds * (video.FRAME_RATE if item.video else 100)))
    assert item.video is not None
    return len(read_clip(item.video, start=item.start or 0.0, end=item.end, grayscale=True))
