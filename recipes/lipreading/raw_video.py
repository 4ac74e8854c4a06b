"""Raw video and audio files to items that the models read, and transcriptions to subtitles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data.audio import SAMPLE_RATE, read_audio
from seqkit.data.clock import FRAME_RATE
from seqkit.data.container import read_clock
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item
from seqkit.data.sound_track import SAMPLES_PER_FRAME, read_sound, write_wav
from seqkit.data.video_file import read_note
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.score.prediction import Prediction, Word
from seqkit.train.distributed import print0

LONGEST = 60.0  # seconds that are read at once
AUDIO_FILES = (".wav", ".flac", ".ogg", ".mp3")


@described
@dataclass(frozen=True)
class PredictionOptions:
    """What `predict` writes beside the text."""

    subtitles: Path | None = None
    """folder for an .srt and a .vtt file of every input; null: none"""


def raw_item(path: Path, folder: Path, *, video: bool = True) -> Item:
    """A file as an item: the mouth of its video is found, cropped and written to `folder`, with its audio; without
    `video` the audio alone. A mouth clip of data preparation and features (.npy) are taken as they are. Oddities, such
    as a second face, are printed.

    Raises InputError, naming the file, for one that is missing, is no video, shows no face or is too long.
    """
    if not path.is_file():
        raise InputError(f"INPUT must be a file, got {path}, which is none")
    if path.suffix == ".npy":
        return Item(id=path.name, features=path)
    if path.suffix.lower() in AUDIO_FILES:
        return Item(id=path.name, audio=path, seconds=len(read_audio(path)) / SAMPLE_RATE)
    if read_note(path):
        sound = path.with_suffix(".wav")
        return Item(id=path.name, video=path, audio=sound if sound.is_file() else None)
    clock = read_clock(path)
    refuse_long(path, clock.end - clock.begin)
    mouth = folder / f"{len(list(folder.iterdir()))}.mp4"
    sound = mouth.with_suffix(".wav")
    if not video:
        blocks = list(read_sound(path, note=lambda remark: print0(f"{path}: {remark}")))
        frames = sum(map(len, blocks)) // SAMPLES_PER_FRAME
        refuse_long(path, frames / FRAME_RATE)
        written = write_wav(sound, blocks, frames)
        return Item(id=path.name, audio=sound if written else None, seconds=frames / FRAME_RATE)
    from seqkit.data_prep.lipreading.mouths import crop

    note = crop(path, mouth, sound)
    seconds = note["frames"] / FRAME_RATE
    refuse_long(path, seconds)
    for remark in note["remarks"]:
        print0(f"{path}: {remark}")
    return Item(id=path.name, video=mouth, audio=sound if note["sound"] else None, seconds=seconds)


def refuse_long(path: Path, seconds: float) -> None:
    """Raises InputError for more than LONGEST seconds."""
    if seconds > LONGEST:
        raise InputError(f"{path}: must last at most {LONGEST:g} seconds, a few sentences, got {seconds:g}; cut it")


def write_subtitles(path: Path, words: Sequence[Word]) -> None:
    """Writes `path`.srt and `path`.vtt, one word a subtitle."""
    for ending, head, point in ((".srt", "", ","), (".vtt", "WEBVTT\n\n", ".")):
        lines = [
            f"{number}\n{clock(word.start or 0.0, point)} --> {clock(word.end or 0.0, point)}\n{word.text}\n"
            for number, word in enumerate(words, 1)
        ]
        with atomic_write(path.with_name(path.name + ending)) as file:
            file.write((head + "\n".join(lines)).encode())


def write_all_subtitles(
    options: PredictionOptions, inputs: Sequence[str | Path], predictions: Sequence[Sequence[Prediction]]
) -> None:
    """The subtitles of every input's best prediction, if they are asked for."""
    if options.subtitles:
        for given, (best, *_) in zip(inputs, predictions, strict=True):
            write_subtitles(options.subtitles / Path(given).stem, best.words)


def clock(seconds: float, point: str) -> str:
    """01:02:03,004."""
    thousandths = round(1000 * seconds)
    hours, minutes, rest = thousandths // 3_600_000, thousandths // 60_000 % 60, thousandths % 60_000
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def is_video(path: Path) -> bool:
    """Whether the file is neither features nor audio, by its name."""
    return path.suffix.lower() not in (".npy", *AUDIO_FILES)


def write_subtitled_video(source: Path, words: Sequence[Word], path: Path) -> None:
    """Writes a copy of a video with its audio, the words that have begun written below; H.264 and AAC in .mp4."""
    import av

    from seqkit.data.video_file import read_frames

    with atomic_write(path) as file, av.open(file, "w", "mp4") as container:
        pictures = container.add_stream("libx264", rate=FRAME_RATE)
        pictures.pix_fmt, pictures.options = "yuv420p", {"crf": "20"}
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for number, pixels in enumerate(read_frames(source, layout="bgr24")):
            height, width = (side // 2 * 2 for side in pixels.shape[:2])
            if not number:
                pictures.height, pictures.width = height, width
            text = " ".join(word.text for word in words if (word.start or 0.0) <= number / FRAME_RATE)
            frame = av.VideoFrame.from_ndarray(write_text(pixels[:height, :width], text), "bgr24")
            frame.pts = number
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        place = 0
        for samples in read_sound(source):
            block = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            block.sample_rate, block.pts = SAMPLE_RATE, place
            place += len(samples)
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))


def write_text(pixels_HW3: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A copy of a frame with white text below, edged in black."""
    import cv2

    made: NDArray[Any] = np.array(pixels_HW3, order="C")
    height, width = made.shape[:2]
    scale = width / 640
    place = round(16 * scale), height - round(20 * scale)
    for color, thick in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        weight = max(1, round(thick * scale))
        cv2.putText(made, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, weight, cv2.LINE_AA)
    return made
