"""What a model of lips and sound is shown of an item: its streams, as they are or as training changes them.

T steps in time, C channels, H and W pixels, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqkit.data.audio import SPEEDS, stretch
from seqkit.data.manifest import Item
from seqkit.data.noise import Noise
from seqkit.errors import InputError
from seqkit.recipes.lipreading.attention_model import SENSES, Modality
from seqkit.recipes.lipreading.data import (
    UTTERANCES,
    Inputs,
    Rows,
    Sound,
    Video,
    finish_rows,
    look,
    place,
    read_items,
    read_rows,
    read_sound,
    row_inputs,
    spread,
    watched,
)


@dataclass(frozen=True)
class Mixing:
    """Which senses an example of training has, and the noise over its sound."""

    only_audio: float = 1 / 3
    """share of examples of a model of both senses that are heard alone (Chung et al.: a third)"""
    only_video: float = 1 / 3
    """share of examples that are seen alone (Chung et al.: a third)"""
    noise_snr: tuple[float, ...] = (10.0, 0.0)
    """ratios, in dB, at which sound is mixed with noise, each as often as clean; none: always clean (Chung et al.)"""
    noise_from: int = 12
    """first epoch with noise, after clean training has settled"""

    def __post_init__(self) -> None:
        if min(self.only_audio, self.only_video) < 0 or self.only_audio + self.only_video > 1:
            raise InputError(
                "`only_audio`, `only_video` must be shares that sum to at most 1, "
                f"got {self.only_audio} and {self.only_video}"
            )


class Show(NamedTuple):
    """From an item to streams. `inputs` say what each sense is used to."""

    video: Video
    rows: Rows
    sound: Sound
    inputs: Mapping[str, Inputs]
    noise: Noise

    def hear(
        self,
        item: Item,
        rng: np.random.Generator | None = None,
        *,
        whole: Item | None = None,
        speed: float = 1.0,
        **how: Any,
    ) -> Tensor:
        """(T, F) of the item's sound, `how` as in `read_sound`, or of the features in its place; times divide by
        `speed`. A part of `whole` is cut from what is made of that, so that noise and statistics are those of all."""
        of = whole or item
        if of.audio:
            rows_TF = read_sound(self.sound, of, speed=speed, others=self.noise, **how)
        else:
            rows_TF = stretch(read_rows(of), speed)
        keep = place(item, whole, len(rows_TF), 100 / speed if of.audio else None)
        return torch.from_numpy(finish_rows(self.rows, self.inputs["listen"], rows_TF, rng, keep=keep))

    def nothing(self, sense: str) -> Tensor:
        """A stream without a step."""
        own = self.inputs[sense]
        if own.kind == "pixels":
            return torch.zeros(0, own.width, *self.video.pixels, dtype=torch.uint8)
        return torch.zeros(0, own.width)

    def streams(
        self,
        item: Item,
        modality: Modality,
        rng: np.random.Generator | None = None,
        *,
        whole: Item | None = None,
        **how: Any,
    ) -> tuple[Tensor, ...]:
        """One for each sense that the model has; those not of `modality`, and that the item lacks, without a step.

        With `rng` as training changes them; what is seen keeps its length beside sound. `whole`: what the item is a
        part of. `how` is heard: see `hear`.
        """
        found = []
        for name in self.inputs:
            if name not in SENSES[modality] or not has(item, name):
                found.append(self.nothing(name))
            elif name == "watch":
                still = modality == "both"
                found.append(look(self.video, self.rows, self.inputs[name], item, rng, whole=whole, still=still))
            else:
                found.append(self.hear(item, rng, whole=whole, **how))
        return tuple(found)


class Exercise(NamedTuple):
    """Examples of training, each with senses and noise drawn for it."""

    show: Show
    modality: Modality
    mixing: Mixing

    def streams(self, item: Item, epoch: int, draw: int, whole: Item | None = None) -> tuple[Tensor, ...]:
        """Of an item, a part of `whole`, in an epoch; everything random comes from `draw`."""
        rng = np.random.default_rng(draw)
        drawn, noisy = rng.random(), rng.integers(len(self.mixing.noise_snr) + 1)
        wanted: Modality = self.modality
        if wanted == "both" and has(item, "watch") and has(item, "listen"):
            only_audio, either = self.mixing.only_audio, self.mixing.only_audio + self.mixing.only_video
            wanted = "audio" if drawn < only_audio else "video" if drawn < either else "both"
        snr = None if epoch < self.mixing.noise_from or not noisy else self.mixing.noise_snr[noisy - 1]
        speed = float(rng.choice(SPEEDS)) if self.show.sound.speeds and wanted == "audio" else 1.0
        return self.show.streams(item, wanted, rng, whole=whole, snr=snr, key=f"{item.id} {draw}", speed=speed)


def has(item: Item, sense: str) -> bool:
    """Whether the item has something for the sense; features stand for what is missing."""
    return (item.video if sense == "watch" else item.audio) is not None or item.features is not None


def read_split(data: Path, split: str, modality: Modality) -> list[Item]:
    """Raises InputError for an item that has nothing for the senses of `modality`."""
    items = read_items(data, split)
    for item in items:
        if not any(has(item, name) for name in SENSES[modality]):
            need = {"video": "`video`", "audio": "`audio`", "both": "`video`, `audio`"}[modality]
            raise InputError(
                f'{data / split}.jsonl, id "{item.id}": {need} or `features` must be given for modality '
                f"{modality}, got none"
            )
    return items


def find_inputs(video: Video, sound: Sound, items: Sequence[Item], senses: Sequence[str]) -> dict[str, Inputs]:
    """What the items have for each sense, and its statistics."""
    found = {}
    for name in senses:
        if not any(has(item, name) for item in items):
            raise InputError(f"training items must have something to {name}{' to' * (name == 'listen')}, got none")
    for name in senses:
        own = [item for item in items if has(item, name)]
        heard = (read_sound(sound, item) if item.audio else read_rows(item) for item in spread(own, UTTERANCES))
        found[name] = watched(video, own) if name == "watch" else row_inputs(heard)
    return found
