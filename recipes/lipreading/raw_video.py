"""A person's own video to an item that a reader of lips can be shown, and what was read to subtitles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqkit.data.audio import SAMPLE_RATE, read_audio
from seqkit.data.files import atomic_write
from seqkit.data.manifest import Item
from seqkit.data.video_file import SAMPLES_PER_FRAME, FRAME_RATE, declared_duration, read_note, read_sound, write_wav
from seqkit.errors import InputError
from seqkit.train.distributed import print0

LONGEST = 60.0  # seconds that are read at once
SOUND = (".wav", ".flac", ".ogg", ".mp3")


def as_item(path: Path, folder: Path, *, watch: bool = True) -> Item:
    """The mouth and the sound of a video, found and written to `folder`; what is odd about it is said, such as a second
    face. Without `watch` the sound alone. A clip of the mouth as data preparation makes it, and features (.npy), are
    taken as they are.

    Raises InputError, naming the file, for one that is missing, is no video, shows no face or is too long.
    """
    if not path.is_file():
        raise InputError(f"INPUT must be a file, got {path}, which is none")
    if path.suffix == ".npy":
        return Item(id=path.name, features=path)
    if path.suffix.lower() in SOUND:
        return Item(id=path.name, audio=path, seconds=len(read_audio(path)) / SAMPLE_RATE)
    if read_note(path):
        sound = path.with_suffix(".wav")
        return Item(id=path.name, video=path, audio=sound if sound.is_file() else None)
    refuse_long(path, declared_duration(path))
    video = folder / f"{len(list(folder.iterdir()))}.mp4"
    if not watch:
        blocks = list(read_sound(path, note=lambda remark: print0(f"{path}: {remark}")))
        ticks = sum(map(len, blocks)) // SAMPLES_PER_FRAME
        seconds, sound = ticks / FRAME_RATE, video.with_suffix(".wav")
        refuse_long(path, seconds)
        return Item(id=path.name, audio=sound if write_wav(sound, blocks, ticks) else None, seconds=seconds)
    from seqkit.data_prep.lipreading.mouths import crop

    note = crop(path, video, video.with_suffix(".wav"))
    seconds = note["frames"] / FRAME_RATE
    refuse_long(path, seconds)
    for remark in note["remarks"]:
        print0(f"{path}: {remark}")
    return Item(id=path.name, video=video, audio=video.with_suffix(".wav") if note["sound"] else None, seconds=seconds)


def refuse_long(path: Path, seconds: float) -> None:
    if seconds > LONGEST:
        raise InputError(f"{path}: must last at most {LONGEST:g} seconds, a few sentences, got {seconds:g}; cut it")


def write_subtitles(path: Path, words: Sequence[tuple[str, float, float]]) -> None:
    """`path`.srt and `path`.vtt, a word at a time."""
    for ending, head, point in ((".srt", "", ","), (".vtt", "WEBVTT\n\n", ".")):
        with atomic_write(path.with_name(path.name + ending)) as file:
            file.write(
                (
                    head
                    + "\n".join(
                        f"{number}\n{clock(start, point)} --> {clock(end, point)}\n{word}\n"
                        for number, (word, start, end) in enumerate(words, 1)
                    )
                ).encode()
            )


def clock(seconds: float, point: str) -> str:
    """01:02:03,004."""
    thousandths = round(1000 * seconds)
    hours, minutes, rest = thousandths // 3_600_000, thousandths // 60_000 % 60, thousandths % 60_000
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def write_subtitled(source: Path, words: Sequence[tuple[str, float, float]], path: Path) -> None:
    """A copy of a video, its sound too, with the words that have begun written below; H.264 and AAC in .mp4."""
    import av
    import cv2

    from seqkit.data.video_file import read_frames

    with atomic_write(path) as file, av.open(file, "w", "mp4") as container:
        pictures = container.add_stream("libx264", rate=FRAME_RATE)
        pictures.pix_fmt, pictures.options = "yuv420p", {"crf": "20"}
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for number, pixels in enumerate(read_frames(source, layout="bgr24")):
            height, width = (side // 2 * 2 for side in pixels.shape[:2])
            pixels = np.ascontiguousarray(pixels[:height, :width])
            if not number:
                pictures.height, pictures.width = height, width
            text = " ".join(word for word, start, _ in words if start <= number / FRAME_RATE)
            scale = width / 640
            for colour, thick in (((0, 0, 0), 5), ((255, 255, 255), 2)):
                cv2.putText(
                    pixels,
                    text,
                    (round(16 * scale), height - round(20 * scale)),
                    cv2.FONT_HERSHEY_SIMPLEX,
                    scale,
                    colour,
                    max(1, round(thick * scale)),
                    cv2.LINE_AA,
                )
            frame = av.VideoFrame.from_ndarray(pixels, "bgr24")
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
