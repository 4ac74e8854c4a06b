"""Recordings longer than a few sentences, as items: any part of what was read last, in constant memory.

Frames are those of the picture, 25 a second, also of sound alone; of precomputed features they are rows.

T frames.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqkit.data.clock import FRAME_RATE
from seqkit.data.manifest import Item
from seqkit.data.shards import has_file
from seqkit.data.sound_track import SAMPLES_PER_FRAME, write_wav
from seqkit.data.video_file import write_clip
from seqkit.recipes.common.input_remarks import remark
from seqkit.recipes.lipreading import raw_video
from seqkit.recipes.lipreading.data import count_frames
from seqkit.recipes.lipreading.face_stream import FaceStream
from seqkit.recipes.lipreading.raw_video import measure


class StoredRecording:
    """A recording any part of which can be read at any time: a mouth clip, sound, or features."""

    faced = True  # whether any face was seen, where one is looked for

    def __init__(self, item: Item, frames: int, rate: float = FRAME_RATE) -> None:
        self.whole, self.frames, self.rate, self.read, self.begin = item, frames, rate, 0, 0
        self.step = 250
        self.seconds = frames / rate
        self.heard = item.audio is not None

    def advance(self) -> bool:
        """Read some frames more; whether there were any."""
        before, self.read = self.read, min(self.frames, self.read + self.step)
        return self.read > before

    def item(self, first: int, end: int) -> Item:
        """The frames [first, end)."""
        seconds = (end - first) / self.rate
        if self.whole.features:
            return dataclasses.replace(self.whole, rows=(first, end), seconds=seconds)
        return dataclasses.replace(self.whole, start=first / self.rate, end=end / self.rate, seconds=seconds)

    def seen(self, first: int, end: int) -> NDArray[np.bool_]:
        """Frames [first, end) that can be read."""
        return np.ones(end - first, bool)

    def forget(self, first: int) -> None:
        """Frames before `first` are not asked for again."""
        self.begin = first

    def close(self) -> None:
        """Nothing is held."""


class StreamedRecording:
    """A video of a face, or its sound, that is read from its beginning to its end."""

    rate = float(FRAME_RATE)

    def __init__(self, path: Path, folder: Path, *, video: bool) -> None:
        self.path, self.folder, self.video = path, folder, video
        self.stream = FaceStream(path, video=video)
        self.seconds, self.read, self.begin, self.written = self.stream.seconds, 0, 0, 0
        self.pixels: list[NDArray[np.uint8] | None] = []  # of each frame from `begin` on
        self.samples_N: NDArray[np.int16] | None = None
        self.faced, self.heard, self.told = not video, False, set[str]()
        self.shown, self.others, self.motion = 0, 0, list[float]()  # frames with a face, most beside it, its mouth

    def advance(self) -> bool:
        """Read a block more; whether there was one. Oddities of the file are printed once."""
        block = self.stream.next_block()
        if block is None:
            return False
        self.tell(block.remarks)
        if not block.frames:
            self.tell_faces()
            return False
        if block.pixels_THW3 is not None:
            self.shown, self.others = self.shown + block.frames, max(self.others, block.others)
            self.motion += [] if block.motion is None else [block.motion]
        self.read, self.faced = self.read + block.frames, self.faced or block.pixels_THW3 is not None
        self.pixels += [None] * block.frames if block.pixels_THW3 is None else list(block.pixels_THW3)
        if block.samples_N is not None:
            parts = [block.samples_N] if self.samples_N is None else [self.samples_N, block.samples_N]
            self.samples_N, self.heard = np.concatenate(parts), True
        return True

    def tell(self, remarks: Iterable[str]) -> None:
        """Print what was not told before."""
        for text in remarks:
            if text not in self.told:
                self.told.add(text)
                remark(self.path, text)

    def tell_faces(self) -> None:
        """Print what is odd about the talker of the whole recording."""
        from seqkit.data_prep.lipreading.mouths import face_remarks

        if self.shown:
            self.tell(face_remarks(self.shown / self.read, self.others, max(self.motion, default=None)))

    def item(self, first: int, end: int) -> Item:
        """The frames [first, end) as a clip, without pictures where some show no face; the clip before is removed."""
        for old in self.folder.glob(f"{self.written}.*"):
            old.unlink()
        self.written += 1
        place = self.folder / f"{self.written}.mp4"
        own, sound = slice(first - self.begin, end - self.begin), place.with_suffix(".wav")
        pictures = [pixels for pixels in self.pixels[own] if pixels is not None]
        if len(pictures) < end - first:
            pictures = []
        if pictures:
            write_clip(place, pictures, {"source": self.path.name, "frames": len(pictures)})
        heard = False
        if self.samples_N is not None:
            samples_N = self.samples_N[own.start * SAMPLES_PER_FRAME : own.stop * SAMPLES_PER_FRAME]
            heard = len(samples_N) > 0 and write_wav(sound, [samples_N], end - first)
        video, audio = place if pictures else None, sound if heard else None
        return Item(id=self.path.name, video=video, audio=audio, seconds=(end - first) / self.rate)

    def seen(self, first: int, end: int) -> NDArray[np.bool_]:
        """Frames [first, end) that can be read: all of sound, of video those with a face."""
        own = self.pixels[first - self.begin : end - self.begin]
        return np.array([not self.video or pixels is not None for pixels in own], bool)

    def forget(self, first: int) -> None:
        """Frames before `first` are not asked for again."""
        left = max(0, first - self.begin)
        self.pixels, self.begin = self.pixels[left:], self.begin + left
        if self.samples_N is not None:
            self.samples_N = self.samples_N[left * SAMPLES_PER_FRAME :].copy()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


Recording = StoredRecording | StreamedRecording


def is_long_input(path: Path, rate: float) -> bool:
    """Whether a file, or features of so many rows a second, are longer than what is read at once."""
    if path.suffix != ".npy":
        return raw_video.is_long(path)
    return has_file(path) and count_frames(Item(id=path.name, features=path)) > raw_video.LONGEST * rate


def open_recording(path: Path, folder: Path, rate: float = FRAME_RATE, *, video: bool = True) -> Recording:
    """A file, of whatever length: features, of so many rows a second, and mouth clips as they are; of another video the
    mouth, or without `video` the sound, by and by, in clips that are written to `folder`."""
    if path.suffix == ".npy":
        item = Item(id=path.name, features=path)
        return StoredRecording(item, count_frames(item), rate)
    length = measure(path)
    if length.clip is None:
        return StreamedRecording(path, folder, video=video)
    return StoredRecording(length.clip, round(length.seconds * FRAME_RATE))
