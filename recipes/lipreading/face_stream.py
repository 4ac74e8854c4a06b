"""A video of a face in blocks of some seconds, in constant memory: the mouth's frames and their sound.

It is read by a process of its own (`seqkit.data.decoder_process`), which keeps the file open from one block to the next
and decodes it twice side by side: small gray frames, in which the face of a block is found and followed, and after them
the frames that are cropped.

T frames, H and W pixels, N samples.
"""

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.data.clock import FRAME_RATE
from seqkit.data.container import Note
from seqkit.data.decoder_process import DecoderEnded, DecoderProcess
from seqkit.data.sound_track import SAMPLES_PER_FRAME, Samples, length_of, read_sound
from seqkit.errors import InputError

BLOCK = 250  # frames: ten seconds
SAME_PLACE = 0.03  # widths by which a face may have moved from one block to the next, for the crop to stay
Pixels = NDArray[np.uint8]


class Block(NamedTuple):
    """Some frames of a recording; the last has none."""

    frames: int
    pixels_THW3: Pixels | None  # of the mouth, in BGR; None where no face is seen, or none is looked for
    samples_N: Samples | None  # None where there is no sound
    others: int = 0  # faces beside the talker's
    motion: float | None = None  # of the mouth, where it can be told
    remarks: tuple[str, ...] = ()  # on the file, new in this block


class FaceStream:
    """The blocks of a video, read by another process; `seconds` is what the file says of its length.

    `video`: whether the mouth is looked for. Raises InputError, naming the file, where that process ends or takes too
    long over a block.
    """

    def __init__(self, path: Path, *, video: bool = True) -> None:
        self.path, self.process = path, DecoderProcess()
        self.seconds: float = self.call(partial(open_stream, path, video))

    def next_block(self) -> Block | None:
        """The next block; None at the end."""
        block: Block | None = self.call(next_block)
        return block

    def call(self, function: Any) -> Any:
        """What a function returns in that process."""
        try:
            return self.process.call(function)
        except DecoderEnded as end:
            self.close()
            raise InputError(f"{self.path}: must be a whole file, got one that {end}; fetch it again") from None

    def close(self) -> None:
        """End the process."""
        self.process.close()


_open: list[Iterator[Block]] = []  # in the other process


def open_stream(path: Path, video: bool) -> float:
    """Open a file to read blocks of, in the place of another; its length in seconds."""
    seconds = length_of(path)
    _open[:] = [read_blocks(path, video=video)]
    return seconds


def next_block() -> Block | None:
    """The next block of the open file; None at its end."""
    return next(_open[0], None)


def read_blocks(path: Path, *, video: bool) -> Iterator[Block]:
    """Yields the blocks of a file, in this process."""
    remarks: list[str] = []
    sound = SoundBlocks(path, remarks.append)
    if not video:
        while (samples_N := sound.take(BLOCK)) is not None:
            yield Block(-(-len(samples_N) // SAMPLES_PER_FRAME), None, samples_N, remarks=taken(remarks))
    for block in mouth_blocks(path, remarks.append) if video else ():
        samples_N = sound.take(block.frames)
        if samples_N is not None:
            samples_N = np.pad(samples_N, (0, block.frames * SAMPLES_PER_FRAME - len(samples_N)))
        yield block._replace(samples_N=samples_N, remarks=taken(remarks))
    for _ in sound.blocks:  # to its end, for remarks on all of it
        pass
    yield Block(0, None, None, remarks=taken(remarks))


def taken(remarks: list[str]) -> tuple[str, ...]:
    """The remarks so far, which are then forgotten."""
    found = tuple(remarks)
    remarks.clear()
    return found


def mouth_blocks(path: Path, note: Note) -> Iterator[Block]:
    """Yields blocks without sound: the mouth (T, H, W, 3) if a face is seen. `note` hears of oddities."""
    from seqkit.data_prep.lipreading.mouths import MIN_SEEN, SPAN, Tracking, crop_boxes, crop_frames, shrunk_frames

    tracking, place = Tracking(path, note=note), 0
    small, large = tracking.frames(), shrunk_frames(path, 1)
    before_4: NDArray[np.float64] | None = None
    while True:
        frames, face = tracking.talker(islice(small, BLOCK), note, place / FRAME_RATE)
        place += frames
        if not frames:
            return
        if face is None or face.seen < MIN_SEEN:
            deque(islice(large, frames), maxlen=0)
            before_4 = None
            yield Block(frames, None, None)
            continue
        boxes_T4 = crop_boxes(face)
        still = bool((boxes_T4 == boxes_T4[0]).all())
        width = float(boxes_T4[0, 2] - boxes_T4[0, 0]) / SPAN
        if still and before_4 is not None and np.abs(boxes_T4[0] - before_4).max() <= SAME_PLACE * width:
            boxes_T4 = np.tile(before_4, (len(boxes_T4), 1))
        before_4 = boxes_T4[0] if still else None
        pixels_THW3 = np.stack(list(crop_frames(large, boxes_T4, 1)))
        yield Block(frames, pixels_THW3, None, face.others, face.motion)


class SoundBlocks:
    """The sound of a file, so many frames at a time."""

    def __init__(self, path: Path, note: Note) -> None:
        self.blocks = read_sound(path, note=note)
        self.held: list[Samples] = []

    def take(self, frames: int) -> Samples | None:
        """The samples of the next frames, fewer at the end; None where none is left."""
        wanted = frames * SAMPLES_PER_FRAME
        while sum(map(len, self.held)) < wanted and (block := next(self.blocks, None)) is not None:
            self.held.append(block)
        if not self.held:
            return None
        samples_N: Samples = np.concatenate(self.held)
        self.held = [samples_N[wanted:]] if len(samples_N) > wanted else []
        return samples_N[:wanted]
