"""Training examples of the audio-visual model, with modality dropout, noise and speed perturbation; and what LipNet
leaves out of silence.

T time steps.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from seqkit.data.audio import SPEEDS
from seqkit.data.batch import Batch, Batches, BucketBatchSampler, Example, collate, loader
from seqkit.data.manifest import Item
from seqkit.data.vocab import Vocab
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.ranges import Range
from seqkit.recipes.lipreading.curriculum import Curriculum, Segment, segments
from seqkit.recipes.lipreading.data import AudioCondition, Split, StreamReader, has_stream
from seqkit.recipes.lipreading.input_config import Modality
from seqkit.recipes.lipreading.item_times import duration, has_word_times, shift_times
from seqkit.train.distributed import print0


@described
@dataclass(frozen=True)
class ModalityDropout:
    """How often a training example has one modality only, and noise on its audio."""

    audio_only: Annotated[float, Range(min=0, max=1)] = 1 / 3
    """probability that an example of an audio-visual model has no video (Chung et al.: a third)"""
    video_only: Annotated[float, Range(min=0, max=1)] = 1 / 3
    """probability that it has no audio (Chung et al.: a third)"""
    noise_snr: Annotated[tuple[float, ...], Range()] = (10.0, 0.0)
    """signal-to-noise ratios in dB of noisy training audio, each as frequent as clean audio; []: no noise"""
    noise_start_epoch: Annotated[int, Range(min=0)] = 12
    """first epoch with noise, once training on clean audio has settled"""

    def __post_init__(self) -> None:
        if self.audio_only + self.video_only > 1:
            raise InputError(
                "`audio_only`, `video_only` must be probabilities of sum at most 1, "
                f"got {self.audio_only} and {self.video_only}"
            )


@dataclass(frozen=True)
class TrainingExamples:
    """Segments of a split's items, each with modality, noise and speed drawn for it; a pure function of the seed."""

    split: Split
    reader: StreamReader
    vocab: Vocab
    modality: Modality
    dropout: ModalityDropout
    curriculum: Curriculum
    batch_budget: int
    seed: int
    workers: int = 0
    augment: bool = True

    def of_epoch(self, epoch: int) -> list[Segment]:
        """The examples of an epoch."""
        return segments(self.curriculum, self.split.items, self.split.timed, epoch, self.seed)

    def epoch(self, number: int) -> Batches:
        """Batches of numbers of segments."""
        sizes = [max(1, round(own.share * self.split.frames[own.item])) for own in self.of_epoch(number)]
        return BucketBatchSampler(sizes, self.batch_budget, seed=self.seed).epoch(number)

    def batches(self, chosen: Sequence[Sequence[int]], number: int) -> Iterable[Batch]:
        """Reads batches of an epoch."""
        words = self.curriculum.words(number) if self.split.timed else 0
        if self.augment and (number == 0 or words != self.curriculum.words(number - 1)):
            print0(f"epoch {number}: " + (f"segments of up to {words} words" if words else "whole sentences"))
        examples = EpochExamples(self, number, self.of_epoch(number))
        return loader(examples, collate, chosen, workers=self.workers, seed=self.seed, epoch=number)

    def streams(self, own: Segment, epoch: int, draw: int) -> tuple[Tensor, ...]:
        """The streams of one example; everything random comes from `draw`."""
        rng, item = np.random.default_rng(draw), self.split.items[own.item]
        if not self.augment:
            return self.reader.streams(item, self.modality)
        drawn, noisy = rng.random(), int(rng.integers(len(self.dropout.noise_snr) + 1))
        modality: Modality = self.modality
        if modality == "both" and has_stream(item, "video") and has_stream(item, "audio"):
            only_audio, only_one = self.dropout.audio_only, self.dropout.audio_only + self.dropout.video_only
            modality = "audio" if drawn < only_audio else "video" if drawn < only_one else "both"
        snr = None if epoch < self.dropout.noise_start_epoch or not noisy else self.dropout.noise_snr[noisy - 1]
        speed = float(rng.choice(SPEEDS)) if self.reader.audio.speed_perturb and modality == "audio" else 1.0
        words = (own.first, own.words) if own.words else None
        return self.reader.streams(item, modality, rng, words=words, condition=AudioCondition(snr, speed, draw))


@dataclass(frozen=True)
class EpochExamples:
    """The examples of one epoch by number, as `loader` asks for them; picklable, so that any worker may hold it."""

    examples: TrainingExamples
    epoch: int
    segments: Sequence[Segment]

    def __call__(self, number: int, draw: int) -> Example:
        """One example; `draw` seeds all that is random about it."""
        own = self.segments[number]
        streams = self.examples.streams(own, self.epoch, draw)
        return Example(number, streams, self.examples.vocab.encode(own.text))


def trim_silence(item: Item, rng: np.random.Generator, most: float = 0.4) -> Item:
    """The item cut to its words, with up to `most` seconds on either side; as it is where words have no times."""
    if not has_word_times(item):
        return item
    begin, whole = item.start or 0.0, duration(item)
    before, after = rng.uniform(0, most, 2).tolist()
    start, end = max(0.0, item.words[0][1] - before), min(whole, item.words[-1][2] + after)
    return dataclasses.replace(
        item, start=begin + start, end=begin + end, seconds=end - start, words=shift_times(item.words, -start)
    )


def frames_outside_words(item: Item, frames: int, margin: float) -> Tensor:
    """Which of so many frames (T,), evenly spaced over the item, are more than `margin` seconds from all words; none
    where words have no times or `margin` is 0."""
    if not margin or not has_word_times(item):
        return torch.zeros(frames, dtype=torch.bool)
    seconds_T = (torch.arange(frames) + 0.5) * duration(item) / frames
    return (seconds_T < item.words[0][1] - margin) | (seconds_T > item.words[-1][2] + margin)
