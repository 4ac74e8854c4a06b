"""Raw video and audio files to items that the models read.

All that decodes a file is done once by a process of its own (`seqkit.data.decoder_process`); what is read of it here
afterwards are clips of our own, or bytes that were decoded there before.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seqkit.data.audio import SAMPLE_RATE, read_audio, to_samples
from seqkit.data.clock import FRAME_RATE
from seqkit.data.container import first_stream, opened, read_clock, start_offset
from seqkit.data.decoder_process import apart
from seqkit.data.manifest import Item
from seqkit.data.shards import has_file
from seqkit.data.sound_file import oddities, read_cut
from seqkit.data.sound_track import SAMPLES_PER_FRAME, length_of, read_sound, write_wav
from seqkit.data.video_file import read_clip, read_note
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.recipes.common.input_remarks import remark
from seqkit.score.prediction import Prediction, Word

FACELESS = "no face from the front, so that the sound alone is read"
SOUNDLESS = "no audio, so that the video alone is read"
LONGEST = 60.0  # seconds that are read at once


class Decoded(NamedTuple):
    """A raw file as an item, and what was odd."""

    item: Item
    remarks: tuple[str, ...] = ()


@described
class Length(NamedTuple):
    """How long a raw file is."""

    seconds: float
    clip: Item | None = None
    """the file itself, where it is a mouth clip of ours"""


def measure(path: Path) -> Length:
    """How long a file of video or sound is, by its time stamps. Raises InputError for one that is missing or none."""
    if not has_file(path):
        raise InputError(f"INPUT must be a file, got {path}, which is none")
    found: Length = apart(path, _measured, path)
    return found


def _measured(path: Path) -> Length:
    try:
        seconds = length_of(path)
    except InputError:
        return Length(0.0)  # which is no video, or sound that another decoder reads
    if not is_video(path) or not read_note(path):
        return Length(seconds)
    sound = path.with_suffix(".wav")
    return Length(seconds, Item(id=path.name, video=path, audio=sound if sound.is_file() else None))


def is_long(path: Path) -> bool:
    """Whether a file of video or sound lasts longer than is read at once."""
    return path.suffix != ".npy" and measure(path).seconds > LONGEST


def raw_item(path: Path, folder: Path, *, video: bool = True, faceless: bool = False) -> Item:
    """A file as an item: the mouth of its video is found, cropped and written to `folder`, with its audio; without
    `video`, or where no face is seen and it may be `faceless`, the audio alone. What a file is shows in it, not in its
    name. A mouth clip of data preparation and features (.npy) are taken as they are. Oddities, such as a second face,
    are printed.

    Raises InputError, naming the file, for one that is missing, holds neither, shows no face, is too long or ends the
    process that decodes it.
    """
    if not has_file(path):
        raise InputError(f"INPUT must be a file, got {path}, which is none")
    if path.suffix == ".npy":
        return Item(id=path.name, features=path)
    found = apart(path, decoded_item, path, folder, video, LONGEST, faceless)
    for text in found.remarks:
        remark(path, text)
    return found.item


def decoded_item(path: Path, folder: Path, video: bool, longest: float, faceless: bool = False) -> Decoded:
    """The same of video and sound of at most `longest` seconds, in this process."""
    if not is_video(path):
        cut = read_cut(path)
        seconds = len(to_samples(path, cut)) / SAMPLE_RATE
        refuse_long(path, seconds, longest)
        return Decoded(Item(id=path.name, audio=path, seconds=seconds), oddities(cut))
    if read_note(path):
        read_clip(path, grayscale=True)  # to its end, as it will be read again
        sound = path.with_suffix(".wav")
        heard = sound.is_file() and len(read_audio(sound)) > 0
        return Decoded(Item(id=path.name, video=path, audio=sound if heard else None))
    clock = read_clock(path)
    refuse_long(path, clock.end - clock.begin, longest)
    mouth = folder / f"{len(list(folder.iterdir()))}.mp4"
    sound = mouth.with_suffix(".wav")
    if not video:
        return _sound_item(path, sound, longest)
    from seqkit.data_prep.lipreading.mouths import Unusable, crop

    try:
        note = crop(path, mouth, sound)
    except Unusable as error:
        found = _sound_item(path, sound, longest) if faceless and error.reason == "no_face" else None
        if found is None or found.item.audio is None:
            raise
        return found._replace(remarks=(*found.remarks, FACELESS))
    seconds = note["frames"] / FRAME_RATE
    refuse_long(path, seconds, longest)
    item = Item(id=path.name, video=mouth, audio=sound if note["sound"] else None, seconds=seconds)
    return Decoded(item, tuple(note["remarks"]))


def _sound_item(path: Path, sound: Path, longest: float) -> Decoded:
    """The sound of a video as an item, written to `sound`."""
    remarks: list[str] = []
    blocks = list(read_sound(path, note=remarks.append))
    frames = sum(map(len, blocks)) // SAMPLES_PER_FRAME
    refuse_long(path, frames / FRAME_RATE, longest)
    written = write_wav(sound, blocks, frames)
    item = Item(id=path.name, audio=sound if written else None, seconds=frames / FRAME_RATE)
    return Decoded(item, tuple(remarks))


def refuse_long(path: Path, seconds: float, longest: float = LONGEST) -> None:
    """Raises InputError for more than `longest` seconds."""
    if seconds > longest:
        raise InputError(f"{path}: must last at most {longest:g} seconds, a few sentences, got {seconds:g}; cut it")


def holds_video(path: Path) -> bool:
    """Whether the file holds moving pictures; it is opened by a process of its own."""
    return path.suffix != ".npy" and apart(path, is_video, path)


def is_video(path: Path) -> bool:
    """Whether the file holds moving pictures; a file that is neither counts as one unless it is sound."""
    if path.suffix == ".npy":
        return False
    try:
        with opened(path) as container:
            return first_stream(container, path, "video") is not None or first_stream(container, path, "audio") is None
    except InputError:
        return not _is_sound(path)


def _is_sound(path: Path) -> bool:
    """Whether the file is sound that the decoder of videos does not know."""
    try:
        return len(read_audio(path)) > 0
    except InputError:
        return False


def file_offset(path: Path) -> float:
    """Seconds from the zero of the file's own clock to the first frame, or sample, that is read of it."""
    return 0.0 if path.suffix == ".npy" else apart(path, _decoded_offset, path)


def _decoded_offset(path: Path) -> float:
    try:
        return 0.0 if read_note(path) else start_offset(path)
    except InputError:
        return 0.0  # of sound that another decoder reads


def shifted(found: Prediction, seconds: float) -> Prediction:
    """A prediction whose times are all so much later."""
    end = None if found.seconds is None else found.seconds + seconds
    return found._replace(words=shift_words(found.words, seconds), seconds=end)


def shift_words(words: Sequence[Word], seconds: float) -> tuple[Word, ...]:
    """The words, each so much later."""
    return tuple(
        word
        if word.start is None or word.end is None
        else word._replace(start=word.start + seconds, end=word.end + seconds)
        for word in words
    )
