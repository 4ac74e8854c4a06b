"""Media files that lack their end, and files that are joined: all is read, or a remark says what is not."""

from pathlib import Path

import av
import numpy as np
import pytest

from seqkit.data.sound_file import joined, oddities, read_cut
from seqkit.data.sound_track import length_of, read_sound
from seqkit.data.video_file import read_frames
from seqkit.recipes.lipreading.face_stream import read_blocks
from tests.seqkit.data.test_odd_videos import block, flashes, heard, seen, write

VIDEOS = {
    "mp4": ("libx264", "aac", 16_000),
    "mov": ("libx264", "aac", 16_000),
    "flv": ("libx264", "aac", 16_000),
    "mkv": ("libx264", "aac", 16_000),
    "webm": ("libvpx", "libopus", 48_000),
    "avi": ("mpeg4", "libmp3lame", 44_100),
    "mpg": ("mpeg2video", "mp2", 44_100),
    "ts": ("libx264", "aac", 16_000),
}
SOUNDS = {
    "wav": ("wav", "pcm_s16le"),
    "aiff": ("aiff", "pcm_s16be"),
    "au": ("au", "pcm_s16be"),
    "caf": ("caf", "pcm_s16le"),
    "w64": ("w64", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "mka": ("matroska", "aac"),
    "m4a": ("mp4", "aac"),
    "mp3": ("mp3", "libmp3lame"),
}


def noise(seconds: float, rate: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-9000, 9000, round(seconds * rate)).astype(np.int16)


def video(path: Path, seconds: int) -> Path:
    picture, sound, rate = VIDEOS[path.suffix[1:]]
    return write(path, flashes(25 * seconds, 5), noise(seconds, rate), codecs=(picture, sound), rate=rate)


def sound(path: Path, seconds: float, rate: int = 44_100) -> Path:
    form, codec = SOUNDS[path.suffix[1:]]
    with av.open(str(path), "w", format=form, options={"movflags": "faststart"} if form == "mp4" else {}) as file:
        stream, samples = file.add_stream(codec, rate=rate, layout="mono"), noise(seconds, rate)
        for first in range(0, len(samples), 1024):
            file.mux(stream.encode(block(first / rate, samples[first : first + 1024], rate)))
        file.mux(stream.encode(None))
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def doubled(path: Path) -> Path:
    path.write_bytes(2 * path.read_bytes())
    return path


@pytest.mark.parametrize("ending", VIDEOS)
def test_joined_videos_are_shown_to_their_end_or_it_is_told(ending, tmp_path):
    notes: list[str] = []
    frames = len(list(read_frames(doubled(video(tmp_path / f"a.{ending}", 2)), note=notes.append)))
    assert frames >= 99 or [note for note in notes if note.startswith("another file is joined")]
    assert (ending in ("mp4", "mov", "flv")) == (frames < 99)


@pytest.mark.parametrize("ending", ["wav", "aiff", "au", "caf", "flac", "mka", "mp3", "m4a"])
def test_joined_sound_is_read_to_its_end_by_every_reader_or_it_is_told(ending, tmp_path):
    notes: list[str] = []
    path = doubled(sound(tmp_path / f"a.{ending}", 2))
    found = read_cut(path)
    seconds = [len(found.samples_N) / found.rate, len(heard(path, note=notes.append)) / 16_000, length_of(path)]
    if ending == "m4a":
        assert "another file is joined" in notes[0] and "another file is joined" in oddities(found)[0]
    else:
        assert min(seconds) > 3.98 and max(seconds) < 4.15


@pytest.mark.parametrize("ending", ["mp4", "mov", "flv", "mkv", "webm", "avi"])
def test_a_video_that_is_cut_off_is_told(ending, tmp_path):
    notes: list[str] = []
    path = video(tmp_path / f"a.{ending}", 4)
    if ending in ("mp4", "mov"):  # with its table at the beginning, as from the web
        table_first(path)
    assert list(read_frames(path, note=notes.append)) and notes == []
    list(read_frames(cut(path), note=notes.append))
    assert [note for note in notes if note.startswith("cut off")]


def test_a_video_in_ogg_is_not_taken_for_joined_sound(tmp_path):
    path, rate = tmp_path / "a.ogg", 48_000
    with av.open(str(path), "w", format="ogg") as file:
        picture, sound = file.add_stream("libvpx", rate=25), file.add_stream("libopus", rate=rate, layout="mono")
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        for pixels in flashes(25, 3):
            file.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        file.mux(picture.encode(None))
        for first in range(0, rate, 960):
            file.mux(sound.encode(block(first / rate, noise(1, rate)[first : first + 960], rate)))
        file.mux(sound.encode(None))
    assert joined(path) and abs(length_of(path) - 1) < 0.1 and len(heard(path)) > 15_000


def table_first(path: Path) -> None:
    moved = path.with_name(f"moved{path.suffix}")
    with av.open(str(path)) as whole, av.open(str(moved), "w", options={"movflags": "faststart"}) as file:
        streams = [file.add_stream_from_template(stream) for stream in whole.streams]
        for packet in whole.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                file.mux(packet)
    moved.replace(path)


@pytest.mark.parametrize("ending", SOUNDS)
def test_sound_that_is_cut_off_is_told_by_every_reader(ending, tmp_path):
    """Also of the reader of long recordings."""
    path = sound(tmp_path / f"a.{ending}", 4)
    notes: list[str] = []
    assert len(list(read_sound(path, note=notes.append))) and notes == [] and oddities(read_cut(path)) == ()
    cut(path)
    list(read_sound(path, note=notes.append))
    streamed = [remark for found in read_blocks(path, video=False) for remark in found.remarks]
    for told in (notes, streamed, oddities(read_cut(path))):
        assert sum(note.startswith("cut off") for note in told) == 1


def test_a_stream_of_an_unknown_codec_has_no_count_to_compare(tmp_path):
    path = write(tmp_path / "a.mov", flashes(10, 3), noise(0.4, 16_000), codecs=("libx264", "aac"))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"mp4a", b"xxxx"))
    notes: list[str] = []
    assert seen(path, note=notes.append) == [3]
    assert not [note for note in notes if note.startswith("cut off")]
