"""Long recordings to text, in constant memory: one stretch of speech after another, between pauses.

A recurrent model that was trained on sentences reads a sentence best by itself. Pauses are found in the sound where
the file has any that is not silent, else in the lips. Speech of more than MOST seconds without a pause is cut at its
longest gap; there a model of frames (CTC) reads windows that overlap, with MARGIN frames more on either side, whose
logits are left out. What is read differs from what the pieces would give alone at such seams only.

T frames.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqkit.data.sound_file import SILENCE
from seqkit.recipes.lipreading.data import StreamReader, read_samples
from seqkit.recipes.lipreading.raw_video import shift_words
from seqkit.recipes.lipreading.recording import Recording
from seqkit.score.prediction import Interrupted, Prediction
from seqkit.train.distributed import print0
from seqkit.train.log import format_duration

MARGIN = 50  # frames on either side of a window: two seconds
MOST = 20.0  # seconds of speech after which it is cut even without a pause
CONTEXT = 0.4  # seconds of a pause that are read with the speech before and after it
LEAST, LEAST_QUIET = 0.2, 0.5  # seconds of speech that are read at all, and where all of it is quiet, as breath is
EVERY = 10.0  # seconds of the clock between two lines of progress
HISTORY = 750  # frames by which speech is told from pauses

QUIET, LOUD = 1, 2  # speech, by its level; 0 is none

Levels = NDArray[np.int8]
Floats = NDArray[np.float64]


class Sign(NamedTuple):
    """What speech is told by: the seconds without it that are a pause, and the arguments of `Activity`."""

    pause: float
    least: float
    floor: float


SOUND = Sign(0.28, 10.0, -45.0)  # decibels of full scale
LIPS = Sign(0.4, 0.3, -9.0)  # logarithms of the mean change of a pixel


class Stretch(NamedTuple):
    """Frames [first, end) of speech, and whether it begins and ends in a pause."""

    first: int
    end: int
    begins: bool
    ends: bool


class Stretches:
    """Finds stretches of speech in levels that come little by little, one a frame; `first` is the first frame held.

    `pause`: frames without speech that end a stretch. `most`: frames after which it is ended anyhow, at its longest
    gap. `context`: frames of a pause that belong to the stretch before it and to that after it, each at most half of
    them. `least`, `least_quiet`: frames of speech that a stretch must have, and one without any that is loud.
    """

    def __init__(self, pause: int, most: int, context: int, least: int, least_quiet: int) -> None:
        self.pause, self.most, self.context = max(1, pause), most, context
        self.least, self.least_quiet = least, least_quiet
        self.first, self.begins = 0, True
        self.active_T: Levels = np.zeros(0, np.int8)

    def feed(self, active_T: Levels, *, last: bool = False) -> Iterator[Stretch]:
        """Yields every stretch that is whole; with `last` all that are left."""
        self.active_T = np.concatenate([self.active_T, active_T])
        while len(places := self.active_T.nonzero()[0]):
            self.begins = self.begins or int(places[0]) >= self.pause
            begin = max(0, int(places[0]) - self.context) if self.begins else 0
            cut = self._cut(places, begin, last=last)
            if cut is None:
                return
            end, ends = cut
            if self._is_speech(self.active_T[begin:end]) or not (self.begins and ends):
                yield Stretch(self.first + begin, self.first + end, self.begins, ends)
            self._drop(end)
            self.begins = ends
        self.begins = self.begins or len(self.active_T) >= self.pause
        if self.begins:
            self._drop(max(0, len(self.active_T) - self.context))

    def _cut(self, places: NDArray[np.int64], begin: int, *, last: bool) -> tuple[int, bool] | None:
        """Where the next stretch ends, and whether in a pause; None where more must be known."""
        held, limit = len(self.active_T), begin + self.most
        gaps = np.diff(places, append=held + (self.pause if last else 0)) - 1
        pauses = ((gaps >= self.pause) & (places < limit)).nonzero()[0]
        if len(pauses):
            number = int(pauses[0])
            place, gap = int(places[number]) + 1, int(gaps[number])
            known = last or number < len(places) - 1 or gap >= 2 * self.context
            return (min(held, place + min(self.context, gap // 2)), True) if known else None
        if held < limit + self.pause and not last:  # a pause may begin yet
            return None
        late = (places >= begin + self.most // 2) & (places < limit)
        if not late.any():
            return limit, False
        best = len(gaps) - 1 - int(np.argmax(np.where(late, gaps, -1)[::-1]))  # of equal ones the last
        return min(limit, int(places[best]) + 1 + int(gaps[best]) // 2), False

    def _is_speech(self, active_T: Levels) -> bool:
        least = self.least if (active_T == LOUD).any() else self.least_quiet
        return bool(np.count_nonzero(active_T) >= least)

    def _drop(self, count: int) -> None:
        self.active_T, self.first = self.active_T[count:], self.first + count


class Activity:
    """Tells frames of speech from pauses by a level of each: those more than a third of the way from the lowest tenth
    to the highest of the last frames are speech, and more than two thirds loud. Where the two tenths are not `least`
    apart, all above `floor` are loud."""

    def __init__(self, least: float, floor: float) -> None:
        self.least, self.floor, self.level_T = least, floor, np.zeros(0)

    def feed(self, level_T: Floats) -> Levels:
        """0, QUIET or LOUD for each of the next frames, from their levels."""
        self.level_T = np.concatenate([self.level_T, level_T])[-HISTORY - len(level_T) :]
        low, high = np.percentile(self.level_T, [10, 90])
        bounds = [low + (high - low) / 3, low + (high - low) * 2 / 3]
        if high - low < self.least:
            bounds = [self.floor, self.floor]
        return np.searchsorted(bounds, level_T).astype(np.int8)


def loudness(samples_N: NDArray[np.floating], frames: int) -> Floats:
    """The level of each of so many frames of sound, in decibels of full scale."""
    parts = np.array_split(samples_N.astype(np.float64), frames)
    return np.array([10 * np.log10((part**2).mean() + 1e-10) if len(part) else -100.0 for part in parts])


def motion(stream: Tensor) -> Floats:
    """How much each frame, or row of features, differs from the one before: the logarithm of the mean change, over
    five of them, of which single ones, such as scene cuts, do not count."""
    change_T = stream.float().diff(dim=0).abs().flatten(1).mean(1).double().numpy()
    change_T = np.concatenate([change_T[:1], change_T]) if len(change_T) else np.zeros(len(stream))
    around_T5 = np.lib.stride_tricks.sliding_window_view(np.pad(change_T, 2, mode="edge"), 5)
    smooth_T: Floats = np.median(around_T5, axis=1)
    return np.log(smooth_T + 1e-3)


def spoken_stretches(recording: Recording, reader: StreamReader) -> Iterator[Stretch | None]:
    """Yields every stretch of a recording, and None after each of its blocks. Two seconds before a stretch can be read
    as well."""
    rate, done, more, loud = recording.rate, 0, True, False
    stretches = Stretches(*(round(rate * seconds) for seconds in (LIPS.pause, MOST, CONTEXT, LEAST, LEAST_QUIET)))
    activity = Activity(LIPS.least, LIPS.floor)
    while more:
        more = recording.advance()
        item, frames = (recording.item(done, recording.read), recording.read - done) if more else (None, 0)
        samples_N = read_samples(item) if item is not None and item.audio else np.zeros(0)
        if not loud and np.abs(samples_N).max(initial=0.0) > SILENCE:  # a silent track tells nothing of pauses
            loud, activity = True, Activity(SOUND.least, SOUND.floor)
            stretches.pause = round(rate * SOUND.pause)
        active_T = np.zeros(frames, np.int8)
        if loud and len(samples_N):
            active_T = activity.feed(loudness(samples_N, frames))
        elif item is not None and not loud and (item.video or item.features):
            active_T = activity.feed(motion(reader.read_video_stream(item)))
        done = recording.read
        yield from stretches.feed(active_T, last=not more)
        recording.forget(min(done, stretches.first) - MARGIN)
        yield None


def with_margins(recording: Recording, stretch: Stretch) -> tuple[int, int]:
    """The frames to read for a stretch: more than its own on a side where it does not end in a pause."""
    first = stretch.first if stretch.begins else max(recording.begin, stretch.first - MARGIN)
    return first, stretch.end if stretch.ends else min(recording.read, stretch.end + MARGIN)


class Progress:
    """Lines on how far a recording is read, how fast, and how long it will take."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self.seconds, self.began = name, seconds, time.monotonic()
        self.told = self.began

    def show(self, done: float) -> None:
        """Print a line where the last is old enough; `done` in seconds of the recording."""
        now = time.monotonic()
        if now - self.told < EVERY or not done:
            return
        self.told, rate = now, done / (now - self.began)
        left = format_duration(max(0.0, self.seconds - done) / rate)
        print0(f"{self.name}: {done:.0f} of {self.seconds:.0f} s read, {rate:.1f} s a second, {left} left")


def read_parts(
    recording: Recording, parts: Iterator[Prediction | None], name: str, separator: int | None
) -> Prediction:
    """All that is read of a recording, with progress; None stands for nothing new.

    Raises Interrupted, with what was read so far, after Ctrl-C. `separator`: the token between words, if there is one.
    """
    progress, found = Progress(name, recording.seconds), list[Prediction]()
    try:
        for part in parts:
            found += [part] if part is not None else []
            progress.show(recording.read / recording.rate)
    except KeyboardInterrupt:
        done = recording.read / recording.rate
        print0(f"{name}: interrupted after {done:.0f} of {recording.seconds:.0f} s, of which the words follow")
        raise Interrupted(joined(found, done, separator)) from None
    finally:
        recording.close()
    return joined(found, recording.read / recording.rate, separator)


def joined(parts: Sequence[Prediction], seconds: float, separator: int | None) -> Prediction:
    """The predictions of consecutive stretches as one."""
    said = [part for part in parts if part.text]
    between = () if separator is None else (separator,)
    tokens: list[int] = []
    for part in said:
        tokens += [*(between if tokens else ()), *part.tokens]
    return Prediction(
        " ".join(part.text for part in said),
        sum(part.logprob for part in parts),
        sum(part.score for part in parts),
        tuple(word for part in parts for word in part.words),
        tokens=tuple(tokens),
        cut=any(part.cut for part in parts),
        seconds=seconds,
    )


def later(found: Prediction, seconds: float) -> Prediction:
    """A stretch's prediction with its words on the clock of the recording."""
    return found._replace(words=shift_words(found.words, seconds))
