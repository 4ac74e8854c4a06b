"""What the tests of damaged media call in a process of its own, in a module that imports fast there."""

from pathlib import Path

from seqkit.data.audio import read_audio
from seqkit.data.container import start_offset
from seqkit.data.image import read_image, read_orientation, read_size
from seqkit.data.sound_file import read_cut
from seqkit.data.sound_track import length_of, read_sound
from seqkit.data.video_file import read_clip, read_frames, read_note
from seqkit.data_prep.lipreading.clips import Job, make_clip


def video(path: Path) -> object:
    frames = sum(frame.size > 0 for frame in read_frames(path, layout="gray", size=lambda rows, columns: (16, 16)))
    sound = sum(map(len, read_sound(path)))
    return frames, sound, start_offset(path), read_clip(path, end=0.2).shape, read_note(path)


def picture(path: Path) -> object:
    return read_image(path).shape, read_image(path, at_least=12).shape, read_size(path), read_orientation(path)


def sound(path: Path) -> object:
    heard = sum(map(len, read_sound(path)))  # as of long recordings
    return read_audio(path), read_audio(path, start=0.01, end=0.05), read_cut(path).loudest, heard, length_of(path)


def mouth(path: Path) -> object:
    clip = path.parent.parent / f"{path.parent.name}.out" / "clip.mp4"
    clip.parent.mkdir(exist_ok=True)
    result = make_clip(Job(path, clip, clip.with_suffix(".wav")))
    return result, read_clip(clip).shape if result.note else None
