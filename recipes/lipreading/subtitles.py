"""Transcriptions to subtitles: .srt, .vtt and .TextGrid files, and videos with the words written into the picture."""

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.data.clock import FRAME_RATE
from seqkit.data.files import atomic_write, check_without
from seqkit.data.sound_track import SAMPLE_RATE, read_sound
from seqkit.described import described
from seqkit.draw import find_font
from seqkit.recipes.lipreading.raw_video import file_offset, shift_words
from seqkit.recipes.lipreading.text_grid import text_grid
from seqkit.score.prediction import Prediction, Word
from seqkit.train.distributed import print0

SUBTITLES = (".srt", ".vtt", ".TextGrid")
SHORTEST = 0.04  # seconds that a subtitle is shown at least; players leave out shorter ones
JOINER = "\N{WORD JOINER}"  # invisible; in .srt, which has no escapes, it keeps text from being taken for markup
MARKUP = re.compile(r"(?<=<)(?=[A-Za-z/])|(?<=--)(?=>)")


@described
@dataclass(frozen=True)
class PredictionOptions:
    """What `predict` writes beside the text."""

    subtitles: Path | None = None
    """folder for an .srt, a .vtt and a Praat .TextGrid file of every input; null: none"""

    def __post_init__(self) -> None:
        if self.subtitles:
            check_without(self.subtitles, SUBTITLES, "`--subtitles` must be a folder without subtitles")


def write_all_subtitles(
    options: PredictionOptions, inputs: Sequence[str | Path], predictions: Sequence[Sequence[Prediction]]
) -> None:
    """The subtitles of every input's best prediction, if they are asked for."""
    if options.subtitles:
        names = unique_names([Path(given).stem for given in inputs])
        for name, (best, *_) in zip(names, predictions, strict=True):
            write_subtitles(options.subtitles / name, best.words, best.seconds or 0.0)


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, numbered from the second of equal ones on; case makes no difference, as on some disks."""
    taken, found = {name.casefold() for name in names}, list[str]()
    for name in names:
        number, own = 1, name
        while own.casefold() in {other.casefold() for other in found} or number > 1 and own.casefold() in taken:
            number += 1
            own = f"{name}-{number}"
        found.append(own)
    return found


def write_subtitles(path: Path, words: Sequence[Word], seconds: float = 0.0) -> None:
    """Writes `path`.srt and `path`.vtt, one word a subtitle, and `path`.TextGrid of a recording of so many seconds."""
    for ending, head, point in ((".srt", "", ","), (".vtt", "WEBVTT\n\n", ".")):
        lines = []
        for number, word in enumerate(words, 1):
            start = max(0.0, word.start or 0.0)
            times = f"{clock(start, point)} --> {clock(max(word.end or 0.0, start + SHORTEST), point)}"
            lines.append(f"{number}\n{times}\n{escape(word.text, ending)}\n")
        with atomic_write(path.with_name(path.name + ending)) as file:
            file.write((head + "\n".join(lines)).encode())
    with atomic_write(path.with_name(f"{path.name}.TextGrid")) as file:
        file.write(text_grid(words, seconds).encode())


def escape(text: str, ending: str) -> str:
    """Text that readers of the format show as it is."""
    text = " ".join(text.split())
    if ending == ".srt":
        return MARKUP.sub(JOINER, text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def clock(seconds: float, point: str) -> str:
    """01:02:03,004."""
    thousandths = round(1000 * seconds)
    hours, minutes, rest = thousandths // 3_600_000, thousandths // 60_000 % 60, thousandths % 60_000
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def write_subtitled_video(source: Path, words: Sequence[Word], path: Path) -> None:
    """Writes a copy of a video with its audio, the words that have begun written below; H.264 and AAC in .mp4."""
    import av

    from seqkit.data.video_file import read_frames

    words = shift_words(words, -file_offset(source))
    with atomic_write(path) as file, av.open(file, "w", "mp4") as container:
        pictures = container.add_stream("libx264", rate=FRAME_RATE)
        pictures.pix_fmt, pictures.options = "yuv420p", {"crf": "20"}
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for number, pixels in enumerate(read_frames(source, layout="rgb24")):
            height, width = (side // 2 * 2 for side in pixels.shape[:2])
            if not number:
                pictures.height, pictures.width = height, width
            text = " ".join(word.text for word in words if (word.start or 0.0) <= (number + 0.5) / FRAME_RATE)
            frame = av.VideoFrame.from_ndarray(write_text(pixels[:height, :width], text), "rgb24")
            frame.pts = number
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        encode_sound(source, container, sound)


def encode_sound(source: Path, container: Any, stream: Any) -> None:
    """Writes the sound of `source` into an audio stream of an open container, to its end."""
    import av

    place = 0
    for samples in read_sound(source):
        block = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, place, Fraction(1, SAMPLE_RATE)
        place += len(samples)
        container.mux(stream.encode(block))
    container.mux(stream.encode(None))


def write_text(pixels_HW3: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A copy of a frame with white text below, edged in black. Of text that is too wide the latest words are seen: it
    begins further left, or further right where it is written to the left."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(np.ascontiguousarray(pixels_HW3))
    size = max(10, round(picture.width / 20))
    font = ImageFont.truetype(usable_font(frozenset(text)), size)
    edge = max(1, size // 16)
    room = picture.width - 2 * edge - size
    places = size // 2 + edge, room + size // 2 - font.getlength(text) if text else 0
    left = max(places) if runs_left(text) else min(places)
    place = left, picture.height - size // 2
    fill, around = (255, 255, 255), (0, 0, 0)
    ImageDraw.Draw(picture).text(place, text, fill, font, "ls", stroke_width=edge, stroke_fill=around)
    made: NDArray[Any] = np.array(picture)
    return made


def runs_left(text: str) -> bool:
    """Whether a text is written from right to left, by its first letter that says so."""
    directions = map(unicodedata.bidirectional, text)
    return next((found != "L" for found in directions if found in ("L", "R", "AL")), False)


@functools.cache
def usable_font(letters: frozenset[str]) -> str:
    """A font file that has the letters, or most of them and a remark."""
    path, lacking = find_font(letters)
    if lacking:
        print0(f"no font on this machine has all of {''.join(sorted(letters))!r}; install one, such as Noto Sans")
    return path
