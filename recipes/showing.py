"""What a model of lips and sound is shown of an item: its streams, as they are or as training changes them.

T steps in time, C channels, H and W pixels, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recipes.speller import SENSES, Modality
from recipes.utterances import (
    Floats,
    Inputs,
    Rows,
    Sound,
    Video,
    finish_rows,
    jittered,
    pixel_inputs,
    read_frames,
    read_items,
    read_rows,
    read_sound,
    row_inputs,
)
from seqkit.data.audio import SPEEDS
from seqkit.data.manifest import Item
from seqkit.data.noise import Noise
from seqkit.errors import InputError

SAMPLE = 1000  # utterances of which the statistics of features are taken


@dataclass(frozen=True)
class Mixing:
    """Which senses an example of training has, and the noise over its sound."""

    only_audio: float = 1 / 3
    """share of examples of a model of both senses that are heard alone (Chung et al.: a third)"""
    only_video: float = 1 / 3
    """share of examples that are seen alone (Chung et al.: a third)"""
    noise_snr: tuple[float, ...] = (10.0, 0.0)
    """ratios, in dB, at which sound is mixed with noise, each as often as clean; none: always clean (Chung et al.)"""
    noise_from: int = 10
    """first epoch with noise, after clean training has settled"""

    def __post_init__(self) -> None:
        if min(self.only_audio, self.only_video) < 0 or self.only_audio + self.only_video > 1:
            raise InputError("`only_audio`, `only_video` must be shares that sum to at most 1, "
                             f"got {self.only_audio} and {self.only_video}")


class Show(NamedTuple):
    """From an item to streams. `inputs` say what each sense is used to."""

    video: Video
    rows: Rows
    sound: Sound
    inputs: Mapping[str, Inputs]
    noise: Noise

    def look(self, item: Item, rng: np.random.Generator | None = None, *, still: bool = False) -> Tensor:
        """(T, C, H, W) or (T, F); with `rng` changed as training does, its length too unless `still`."""
        if self.inputs["watch"].kind == "pixels":
            return read_frames(self.video, item, rng, still=still)
        rows_TF = read_rows(item)
        if rng is not None and not still:
            rows_TF = rows_TF[jittered(len(rows_TF), self.video.frame_jitter, rng).numpy()]
        return torch.from_numpy(finish_rows(self.rows, self.inputs["watch"], rows_TF, rng))

    def hear(self, item: Item, rng: np.random.Generator | None = None, *, snr: float | None = None, key: str = "",
             speed: float = 1.0) -> Tensor:
        """(T, F) of the item's sound with noise at `snr` dB, or of the features in its place."""
        rows_TF = self.listen(item, snr, key, speed) if item.audio else read_rows(item)
        return torch.from_numpy(finish_rows(self.rows, self.inputs["listen"], rows_TF, rng))

    def listen(self, item: Item, snr: float | None, key: str, speed: float) -> Floats:
        return read_sound(self.sound, item, snr=snr, key=key, speed=speed, others=self.noise)

    def nothing(self, sense: str) -> Tensor:
        """A stream without a step."""
        own = self.inputs[sense]
        if own.kind == "pixels":
            return torch.zeros(0, own.width, *self.video.pixels, dtype=torch.uint8)
        return torch.zeros(0, own.width)

    def streams(self, item: Item, modality: Modality, snr: float | None = None) -> tuple[Tensor, ...]:
        """One for each sense that the model has; those not of `modality`, and that the item lacks, without a step."""
        found = []
        for name in self.inputs:
            if name not in SENSES[modality] or not has(item, name):
                found.append(self.nothing(name))
            else:
                found.append(self.look(item) if name == "watch" else self.hear(item, snr=snr))
        return tuple(found)


class Exercise(NamedTuple):
    """Examples of training, each with senses and noise drawn for it."""

    show: Show
    modality: Modality
    mixing: Mixing

    def streams(self, item: Item, epoch: int, draw: int) -> tuple[Tensor, ...]:
        """Of an item in an epoch; everything random comes from `draw`."""
        rng = np.random.default_rng(draw)
        drawn, noisy = rng.random(), rng.integers(len(self.mixing.noise_snr) + 1)
        wanted: Modality = self.modality
        if wanted == "both" and has(item, "watch") and has(item, "listen"):
            only_audio, either = self.mixing.only_audio, self.mixing.only_audio + self.mixing.only_video
            wanted = "audio" if drawn < only_audio else "video" if drawn < either else "both"
        snr = None if epoch < self.mixing.noise_from or not noisy else self.mixing.noise_snr[noisy - 1]
        speed = float(rng.choice(SPEEDS)) if self.show.sound.speeds and wanted == "audio" else 1.0
        found = []
        for name in self.show.inputs:
            if name not in SENSES[wanted] or not has(item, name):
                found.append(self.show.nothing(name))
            elif name == "watch":
                found.append(self.show.look(item, rng, still=wanted == "both"))
            else:
                found.append(self.show.hear(item, rng, snr=snr, key=f"{item.id} {draw}", speed=speed))
        return tuple(found)


def has(item: Item, sense: str) -> bool:
    """Whether the item has something for the sense; features stand for what is missing."""
    return (item.video if sense == "watch" else item.audio) is not None or item.features is not None


def read_split(data: Path, split: str, modality: Modality) -> list[Item]:
    """Raises InputError for an item that has nothing for the senses of `modality`."""
    items = read_items(data, split)
    for item in items:
        if not any(has(item, name) for name in SENSES[modality]):
            need = {"video": "`video`", "audio": "`audio`", "both": "`video`, `audio`"}[modality]
            raise InputError(f'{data / split}.jsonl, id "{item.id}": {need} or `features` must be given for modality '
                             f"{modality}, got none")
    return items


def find_inputs(video: Video, sound: Sound, items: Sequence[Item], senses: Sequence[str]) -> dict[str, Inputs]:
    """What the items have for each sense, and its statistics."""
    found = {}
    for name in senses:
        if not any(has(item, name) for item in items):
            raise InputError(f"training items must have something to {name}{' to' * (name == 'listen')}, got none")
    for name in senses:
        own = [item for item in items if has(item, name)]
        some = [own[n] for n in np.linspace(0, len(own) - 1, min(SAMPLE, len(own))).astype(int)]
        if name == "watch" and any(item.video for item in own):
            found[name] = pixel_inputs(video, [item for item in own if item.video])
        elif name == "watch":
            found[name] = row_inputs(map(read_rows, some))
        else:
            found[name] = row_inputs(read_sound(sound, item) if item.audio else read_rows(item) for item in some)
    return found
