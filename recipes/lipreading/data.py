"""Reads utterances: manifest items to video frames, audio features or precomputed features, augmented in training.

An item is cut to its `start` and `end`, so a word or a phrase of a sentence is an item too (`segment`). All random
choices come from the generator that is passed in.

T time steps, C channels, H and W pixels, F features of a step, N samples.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.data import audio, video
from seqkit.data.array_file import read_array
from seqkit.data.clip_cache import ClipCache
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.noise import Babble, Noise, Recording, add_noise, white
from seqkit.data.video_file import read_clip
from seqkit.data.vocab import Vocab
from seqkit.errors import InputError
from seqkit.recipes.lipreading.input_config import (
    STATISTICS,
    STREAMS,
    AudioConfig,
    FeatureConfig,
    InputStatistics,
    Modality,
    VideoConfig,
    read_statistics,
)
from seqkit.recipes.lipreading.item_times import (
    duration,
    feature_rate,
    has_word_times,
    remark_words_outside,
    shift_times,
)

Floats = NDArray[np.float32]
BABBLE_TALKERS = 6
STATISTICS_CLIPS, STATISTICS_UTTERANCES = 100, 1000  # how many items the input statistics are computed from
AUDIO_RATE = 100  # feature vectors a second


class Split(NamedTuple):
    """The items of one manifest."""

    items: list[Item]
    frames: list[int]  # about how many each item has
    timed: dict[int, float]  # numbers of the items whose words have times, with the items' durations in seconds


class AudioCondition(NamedTuple):
    """How audio is changed before its features are computed."""

    snr: float | None = None  # signal-to-noise ratio in dB; None: no noise
    speed: float = 1.0  # durations are divided by it
    draw: int | None = None  # picks the noise, beside the item's id


CLEAN, DEFAULT_AUDIO = AudioCondition(), AudioConfig()


class StreamReader(NamedTuple):
    """Reads an item's video and audio streams, with augmentation in training.

    `statistics` has an entry for each stream of the model, in the model's order.
    """

    video: VideoConfig
    feature: FeatureConfig
    audio: AudioConfig
    statistics: Mapping[str, InputStatistics]
    noise: Noise = white
    clips: ClipCache | None = None  # None: clips are decoded each time

    def streams(
        self,
        item: Item,
        modality: Modality,
        rng: np.random.Generator | None = None,
        *,
        words: tuple[int, int] | None = None,
        condition: AudioCondition = CLEAN,
    ) -> tuple[Tensor, ...]:
        """One tensor for each stream of the model: (T, C, H, W) or (T, F); empty (T = 0) where `modality` or the item
        lacks it.

        `words`: first word and number of words of a segment, None for the whole item. `rng`: augments as in training;
        video keeps its length beside audio.
        """
        part = segment(item, *words) if words else item
        whole = item if words else None
        found = []
        for name in self.statistics:
            if name not in STREAMS[modality] or not has_stream(part, name):
                found.append(self.empty_stream(name))
            elif name == "video":
                found.append(self.read_video_stream(part, rng, whole=whole, keep_length=modality == "both"))
            else:
                found.append(self.read_audio_stream(part, rng, whole=whole, condition=condition))
        return tuple(found)

    def read_video_stream(
        self,
        item: Item,
        rng: np.random.Generator | None = None,
        *,
        whole: Item | None = None,
        keep_length: bool = False,
    ) -> Tensor:
        """Frames (T, C, H, W) or precomputed features (T, F) of an item, which may be a segment of `whole`.

        `rng`: augments, the length too unless `keep_length`. Raises InputError, naming the item, where it lacks what
        the model was trained on.
        """
        inputs = self.statistics["video"]
        if inputs.kind == "pixels":
            if not item.video:
                raise InputError(f'id "{item.id}": `video` must be given to a run that was trained on it, got none')
            return read_frames(self.video, item, rng, keep_length=keep_length, clips=self.clips)
        values_TF = read_features(whole or item)
        kept = segment_slice(item, whole, len(values_TF))
        values_TF = normalize_and_augment(self.feature, inputs, values_TF, rng, keep=kept)
        if rng is not None and not keep_length:
            values_TF = values_TF[drop_frames(len(values_TF), self.video.frame_drop, rng).numpy()]
        return torch.from_numpy(values_TF)

    def read_audio_stream(
        self,
        item: Item,
        rng: np.random.Generator | None = None,
        *,
        whole: Item | None = None,
        condition: AudioCondition = CLEAN,
    ) -> Tensor:
        """Acoustic features (T, F), or precomputed ones where the item has no audio.

        A segment of `whole` is cut from the features of all of it, so that it shares noise and statistics.
        """
        source = whole or item
        if source.audio:
            key = source.id if condition.draw is None else f"{item.id} {condition.draw}"
            values_TF = read_audio_features(self.audio, source, condition, key=key, sounds=self.noise)
        else:
            values_TF = audio.stretch(read_features(source), condition.speed)
        rate = AUDIO_RATE / condition.speed if source.audio else None
        kept = segment_slice(item, whole, len(values_TF), rate)
        return torch.from_numpy(
            normalize_and_augment(self.feature, self.statistics["audio"], values_TF, rng, keep=kept)
        )

    def empty_stream(self, name: str) -> Tensor:
        """A stream without time steps."""
        inputs = self.statistics[name]
        if inputs.kind == "pixels":
            return torch.zeros(0, len(inputs.mean), *self.video.frame_size, dtype=torch.uint8)
        return torch.zeros(0, len(inputs.mean))

    def seconds(self, name: str, stream: Tensor) -> float:
        """Duration of a stream in seconds."""
        return len(stream) / (self.statistics[name].rate or (video.FRAME_RATE if name == "video" else AUDIO_RATE))

    def save(self, folder: Path, vocab: Vocab) -> None:
        """Writes input statistics and vocabulary to a checkpoint's folder."""
        vocab.save(folder, "target")
        with atomic_write(folder / STATISTICS) as file:
            file.write(json.dumps({name: own._asdict() for name, own in self.statistics.items()}).encode())


def make_reader(
    video: VideoConfig,
    feature: FeatureConfig,
    audio: AudioConfig = DEFAULT_AUDIO,
    *,
    streams: Sequence[str],
    items: Sequence[Item] = (),
    assets: Sequence[Path] = (),
) -> StreamReader:
    """A reader with the input statistics of checkpoints, of the first that has a stream, else of the training `items`.
    Babble noise is made of `items`; without any noise is white."""
    known: dict[str, InputStatistics] = {}
    for folder in assets:
        known = read_statistics(folder, video.grayscale) | known
    for name in streams:
        if name not in known and not any(has_stream(item, name) for item in items):
            raise InputError(f"training items must have `{name}` or `features`, got none that has")
    statistics = {n: known[n] if n in known else input_statistics(video, audio, items, n) for n in streams}
    clips = ClipCache(video.keep_decoded << 20, video.grayscale) if items else None  # what is predicted may last hours
    return StreamReader(video, feature, audio, statistics, make_noise(audio, items) if items else white, clips)


def input_statistics(frames: VideoConfig, sound: AudioConfig, items: Sequence[Item], name: str) -> InputStatistics:
    """Statistics of one stream: of pixels where any item has video, else of features."""
    if name == "video" and (seen := [item for item in items if item.video]):
        mean, std = video.statistics(read_frames(frames, item) for item in evenly_spaced(seen, STATISTICS_CLIPS))
        return InputStatistics("pixels", tuple(mean), tuple(max(value, 1e-3) for value in std))
    chosen = evenly_spaced([item for item in items if has_stream(item, name)], STATISTICS_UTTERANCES)
    mean_F, std_F = audio.statistics(
        read_audio_features(sound, item) if name == "audio" and item.audio else read_features(item) for item in chosen
    )
    rows = [item for item in chosen if item.features and not (name == "audio" and item.audio)]
    rate = feature_rate(rows, [len(read_features(item)) for item in rows])
    return InputStatistics("features", tuple(mean_F.tolist()), tuple(std_F.tolist()), rate)


def evenly_spaced(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly spaced over them."""
    return [items[n] for n in np.linspace(0, len(items) - 1, min(most, len(items))).astype(int)]


def make_noise(config: AudioConfig, items: Sequence[Item]) -> Noise:
    """The additive noise that `config` names. Raises InputError where the items are too few for babble."""
    if config.noise == "white":
        return white
    if config.noise != "babble":
        return Recording(audio.read_audio(Path(config.noise)))
    voices = {item.id: item for item in items if item.audio}
    if len(voices) <= BABBLE_TALKERS:
        raise InputError(
            f"`noise` must not be babble where fewer than {BABBLE_TALKERS + 1} items have audio, got {len(voices)}"
        )
    return Babble(list(voices), partial(read_voice, voices), BABBLE_TALKERS)


def read_voice(voices: Mapping[str, Item], name: str) -> Floats:
    """Samples of the item called `name`."""
    return read_samples(voices[name])


def segment(item: Item, first: int, count: int) -> Item:
    """`count` words from number `first` of an item whose words have times, as an item."""
    words = item.words[first : first + count]
    start, end, begin = words[0][1], words[-1][2], item.start or 0.0
    cut = dataclasses.replace(
        item,
        id=f"{item.id}:{first + 1}-{first + count}",
        seconds=end - start,
        start=begin + start,
        end=begin + end,
        references=(" ".join(word for word, _, _ in words),),
        words=shift_times(words, -start),
    )
    if not item.features:
        return cut
    row, last = item.rows or (0, len(read_array(item.features)))
    own = segment_slice(cut, item, last - row)
    return dataclasses.replace(cut, rows=(row + own.start, row + own.stop))


def segment_slice(item: Item, whole: Item | None, steps: int, rate: float | None = None) -> slice:
    """The place of segment `item` among the time steps of `whole`, `rate` a second or evenly spaced; all without it."""
    if whole is None:
        return slice(None)
    begin = whole.start or 0.0
    own = (item.start or 0.0) - begin, (item.end or 0.0) - begin
    return slice(*video.span(*own, steps, rate or steps / duration(whole)))


def read_frames(
    config: VideoConfig,
    item: Item,
    rng: np.random.Generator | None = None,
    *,
    keep_length: bool = False,
    clips: ClipCache | None = None,
) -> Tensor:
    """The item's video (T, C, H, W), uint8; with `rng` augmented, its length too unless `keep_length`.

    Raises InputError, naming the file, for one that cannot be read or is smaller than the crop.
    """
    assert item.video is not None
    kept, begin = clips or ClipCache(0, config.grayscale), item.start or 0.0
    clip = video.to_clip(kept.read(item.video, start=begin, end=item.end))
    try:
        clip = video.crop(clip, *config.crop_size, jitter=config.crop_jitter, rng=rng)
    except ValueError as error:
        raise InputError(f"{item.video}: {error}; prepare it again, or set `crop_size`") from None
    if rng is not None:
        clip = video.mirror(clip) if rng.random() < config.horizontal_flip else clip
        if not keep_length:
            clip = clip[drop_frames(len(clip), config.frame_drop, rng)]
        if rng.random() < config.random_erasing:
            clip = video.erase(clip, rng)
    return video.resize(clip, *config.frame_size)


def drop_frames(frames: int, rate: float, rng: np.random.Generator) -> Tensor:
    """Numbers of frames, some dropped and some repeated."""
    return video.jitter_frames(frames, rng, delete=rate, duplicate=rate)


def read_features(item: Item) -> Floats:
    """The item's precomputed features (T, F). Raises InputError, naming file and item, for anything else."""
    if not item.features:
        raise InputError(f'id "{item.id}": `features` must be given to a run that was trained on them, got none')
    place = f'{item.features}, id "{item.id}"'
    table = read_array(item.features)
    if table.ndim != 2:
        raise InputError(f"{place}: must be numbers of (time, width), got {table.dtype} {table.shape}; make it again")
    first, end = item.rows or (0, len(table))
    if end > len(table):
        raise InputError(f"{place}: `rows` must end within the file's {len(table)}, got {end}; correct the item")
    values_TF = np.asarray(table[first:end], np.float32)
    if not len(values_TF) or not np.isfinite(values_TF).all():
        raise InputError(f"{place}: must hold finite numbers, at least one row, got others; make it again")
    return values_TF


def read_samples(item: Item) -> Floats:
    """The item's audio (N,)."""
    assert item.audio is not None
    return audio.read_audio(item.audio, start=item.start, end=item.end)


def read_audio_features(
    config: AudioConfig, item: Item, condition: AudioCondition = CLEAN, *, key: str = "", sounds: Noise = white
) -> Floats:
    """Acoustic features (T, F) of the item's audio under a condition; `key` picks the noise out of `sounds`."""
    samples_N = add_noise(read_samples(item), condition.snr, key=key, noise=sounds, words=item.words)
    if condition.speed != 1.0:
        samples_N = audio.change_speed(samples_N, condition.speed)
    made = audio.mfcc if config.features == "mfcc" else audio.log_mel
    return made(samples_N, config.num_features)


def normalize_and_augment(
    config: FeatureConfig,
    inputs: InputStatistics,
    values_TF: Floats,
    rng: np.random.Generator | None = None,
    *,
    keep: slice = slice(None),
) -> Floats:
    """Features normalized and cut to those to `keep`; with `rng`, noise and masks. Raises InputError for features of
    another width than in training."""
    if values_TF.shape[1] != len(inputs.mean):
        raise InputError(
            f"features must have the width that training had, {len(inputs.mean)}, got {values_TF.shape[1]}"
        )
    if config.normalize:
        known = (np.array(inputs.mean), np.array(inputs.std)) if config.normalize == "corpus" else (None, None)
        values_TF = audio.normalize(values_TF, *known)
    values_TF = values_TF[keep]
    if rng is not None and config.feature_noise:
        values_TF = values_TF + np.float32(config.feature_noise) * rng.standard_normal(values_TF.shape, np.float32)
    if rng is not None and config.time_mask + config.freq_mask:
        values_TF = audio.spec_augment(values_TF, rng, time_width=config.time_mask, frequency_width=config.freq_mask)
    return values_TF


def has_stream(item: Item, name: str) -> bool:
    """Whether the item has the stream, or features in its place."""
    return (item.video if name == "video" else item.audio) is not None or item.features is not None


def read_split(data: Path, split: str, modality: Modality, *, answered: bool = True) -> Split:
    """Reads a manifest. Raises InputError, naming the item, for one without a stream of `modality`, or without text
    where they must be `answered`."""
    path = data / f"{split}.jsonl"
    items = read_manifest(path, needed=("references",) if answered else ())
    for item in items:
        if answered and not item.references[0].strip():
            raise InputError(
                f'{path}, id "{item.id}": `references` must hold text, got an empty one; '
                "write what is said, or take the item out"
            )
        if not any(has_stream(item, name) for name in STREAMS[modality]):
            needed = ", ".join(f"`{name}`" for name in STREAMS[modality])
            raise InputError(f'{path}, id "{item.id}": {needed} or `features` must be given, got none')
    remark_words_outside(str(path), items)
    timed = {number: duration(item) for number, item in enumerate(items) if has_word_times(item)}
    return Split(items, [count_frames(item) for item in items], timed)


def count_frames(item: Item) -> int:
    """About how many time steps the item has: rows of features, frames of video, or 10 ms of audio."""
    if item.rows:
        return item.rows[1] - item.rows[0]
    if item.features:
        return len(read_array(item.features))
    if item.video and item.end is not None:
        return max(1, round(item.end * video.FRAME_RATE) - round((item.start or 0.0) * video.FRAME_RATE))
    if item.seconds is not None:
        return max(1, math.ceil(item.seconds * (video.FRAME_RATE if item.video else AUDIO_RATE)))
    if item.video:
        return len(read_clip(item.video, start=item.start or 0.0, end=item.end, grayscale=True))
    return audio.frame_count(len(audio.read_audio(Path(item.audio or ""), start=item.start, end=item.end)))
