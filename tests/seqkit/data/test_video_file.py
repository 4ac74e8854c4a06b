"""Video files: a tick shows the nearest frame, sound stands where the picture does, stored clips come back whole."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data import container
from seqkit.data.clock import FRAME_RATE
from seqkit.data.sound_track import SAMPLES_PER_FRAME, read_sound, write_wav
from seqkit.data.video_file import at_frame_rate, read_clip, read_frames, read_note, write_clip
from seqkit.errors import InputError
from tests.corpora import DATA
from tests.drawn_faces import RATE, clicks, write_video

GRID = DATA / "grid"
STEP = 4  # of gray from one numbered frame to the next


def numbered(frames: int) -> list[np.ndarray]:
    return [np.full((48, 64, 3), 16 + STEP * number, np.uint8) for number in range(frames)]


def numbers(pictures) -> list[int]:
    return [round((float(picture.mean()) - 16) / STEP) for picture in pictures]


def heard(path: Path, **others) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int16), *read_sound(path, **others)])


def first_click(sound: np.ndarray) -> float:
    return int(np.argmax(sound > 5000)) / RATE


# the clock


@given(
    steps=st.lists(st.floats(0.005, 0.3), min_size=1, max_size=40), begin=st.floats(-2, 2), last=st.floats(0.005, 0.3)
)
def test_every_tick_shows_the_nearest_frame(steps, begin, last):
    times = begin + np.concatenate([[0], np.cumsum(steps)])
    shown = list(at_frame_rate((float(time), last, number) for number, time in enumerate(times)))
    ticks = begin + np.arange(len(shown)) / FRAME_RATE
    nearest = np.abs(times[shown] - ticks)
    assert (nearest <= np.abs(times - ticks[:, None]).min(axis=1) + 1e-9).all()
    length = times[-1] - begin + last
    assert (len(shown) - 1) / FRAME_RATE < length <= (len(shown) + 0.5) / FRAME_RATE + 1e-9


@pytest.mark.parametrize("fps", [10, 24, 25, 30, 50, 60])
def test_any_rate_becomes_25_with_the_length_kept(fps, tmp_path):
    frames = 2 * fps if fps <= 25 else 50
    path = write_video(tmp_path / "a.mkv", numbered(frames), fps=fps)
    shown = np.array(numbers(read_frames(path)))
    assert len(shown) == round(frames / fps * FRAME_RATE)
    late = np.abs(shown / fps - np.arange(len(shown)) / FRAME_RATE)
    assert late[shown < frames - 1].max() <= 0.5 / fps + 1e-3  # the last frame stays on
    assert shown[-1] >= frames - max(1, fps / FRAME_RATE)


def test_frames_at_uneven_times_are_shown_when_they_are_due(tmp_path):
    times = [0, 0.04, 0.08, 0.5, 0.54, 0.9]
    path = write_video(tmp_path / "a.mkv", numbered(6), times=times)
    shown = numbers(read_frames(path))
    assert shown[:3] == [0, 1, 2] and shown[3:12] == [2] * 9 and shown[12] == 3 and shown[14] == 4
    assert shown[22] == 5


def test_time_stamps_that_jump_are_put_right_and_told(tmp_path):
    notes: list[str] = []
    times = [*(0.04 * np.arange(5)), *(4000 + 0.04 * np.arange(5))]
    path = write_video(tmp_path / "a.mkv", numbered(10), times=times)
    assert numbers(read_frames(path, note=notes.append)) == list(range(10))
    assert notes == ["1 time stamps out of order"]


def test_a_frame_without_time_or_duration_lasts_as_the_rate_says(tmp_path, monkeypatch):
    class Bare:
        time = duration = time_base = None

    path = write_video(tmp_path / "a.mkv", numbered(3), fps=50)
    monkeypatch.setattr(container, "whole", lambda *_: [Bare()] * 3)
    with container.opened(path) as file:
        timed = [(time, duration) for time, duration, _ in container.timed_frames(file, path, print)]
    assert np.allclose(timed, [(0, 0.02), (0.02, 0.02), (0.04, 0.02)])


def test_one_frame_is_one_tick(tmp_path):
    assert numbers(read_frames(write_video(tmp_path / "a.mp4", numbered(1)))) == [0]
    assert numbers(read_frames(write_video(tmp_path / "b.mp4", numbered(1), fps=60))) == [0]


# pixels


def test_layouts_and_size(tmp_path):
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    path = write_video(tmp_path / "a.mp4", [red] * 3)
    (rgb, *_), (bgr, *_) = read_frames(path), list(read_frames(path, layout="bgr24"))
    assert rgb.shape == (48, 64, 3) and rgb.dtype == np.uint8
    assert rgb[..., 0].mean() > 180 and rgb[..., 2].mean() < 20 and (bgr == rgb[..., ::-1]).all()
    gray, *_ = read_frames(path, layout="gray", size=lambda rows, columns: (rows // 2, columns // 4))
    assert gray.shape == (24, 16)


def turned(path: Path, quarter: tuple[int, int, int, int]) -> Path:
    """The file with its track's matrix replaced, as telephones write it."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 4 + 5 * 4 + 4 * 4
    for index, value in zip((0, 1, 3, 4), quarter, strict=True):
        content[place + 4 * index : place + 4 * index + 4] = (value * 65536).to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("quarter", "top"), [((1, 0, 0, 1), 0), ((0, 1, -1, 0), 1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 3)]
)
def test_telephones_are_turned_upright(quarter, top, tmp_path):
    """The bright edge is at the top of the stored picture; a matrix turns it clockwise by quarters."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:12] = 220
    shown = next(read_frames(turned(write_video(tmp_path / "a.mp4", [pixels] * 2), quarter), layout="gray"))
    assert shown.shape == ((48, 64) if top % 2 == 0 else (64, 48))
    edges = [shown[:8].mean(), shown[:, -8:].mean(), shown[-8:].mean(), shown[:, :8].mean()]
    assert int(np.argmax(edges)) == top


# sound


@pytest.mark.parametrize("begins", [0.0, 0.5])
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mpg", "mpeg1video")])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_sound_stands_where_the_picture_does(name, codec, begins, rate, tmp_path):
    path = write_video(tmp_path / name, numbered(50), clicks(2, [1], rate), rate=rate, codec=codec, begins=begins)
    sound = heard(path)
    assert abs(first_click(sound) - (1 + begins)) <= 0.002
    assert sound.dtype == np.int16 and not sound[: max(0, round(begins * RATE) - 1500)].any()
    assert abs(len(sound) / RATE - 2 - begins) < 0.07


def test_no_sample_is_lost_at_the_end_of_a_change_of_rate(tmp_path):
    path = write_video(tmp_path / "a.mkv", numbered(50), clicks(2, [1.999], 44_100), rate=44_100)
    sound = heard(path)
    assert len(sound) == 2 * RATE and abs(first_click(sound) - 1.999) < 0.0005


def test_sound_that_begins_before_the_picture_loses_its_beginning(tmp_path):
    path = write_video(tmp_path / "a.mkv", numbered(50), clicks(3, [1.5]), times=0.5 + 0.04 * np.arange(50))
    assert abs(first_click(heard(path)) - 1.0) <= 0.002


def test_a_hole_in_the_sound_is_silence(tmp_path):
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = file.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number, pixels in enumerate(numbered(50)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        for begins in (0.0, 1.2):
            piece = av.AudioFrame.from_ndarray(np.full((1, RATE // 2), 9000, np.int16), format="s16", layout="mono")
            piece.rate, piece.pts = RATE, round(begins * RATE)
            file.mux(audio.encode(piece))
    sound = heard(path)
    loud = np.flatnonzero(sound > 5000)
    assert len(sound) == round(1.7 * RATE) and set(np.diff(loud)) == {1, round(0.7 * RATE) + 1}


def test_a_file_without_sound_has_none_and_sound_alone_has_no_frames(tmp_path):
    assert list(read_sound(write_video(tmp_path / "a.mp4", numbered(3)))) == []
    write_wav(tmp_path / "a.wav", [clicks(1, [0.5])], 25)
    assert abs(first_click(heard(tmp_path / "a.wav")) - 0.5) < 0.001
    with pytest.raises(InputError, match=r"a.wav: must hold a video, got audio alone; name another file"):
        next(read_frames(tmp_path / "a.wav"))


def test_the_picture_on_a_records_sleeve_is_no_video(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        audio = file.add_stream("aac", rate=RATE, layout="mono")
        sleeve = file.add_stream("mjpeg", rate=1)
        sleeve.width, sleeve.height, sleeve.pix_fmt = 64, 48, "yuvj420p"
        sleeve.disposition = av.stream.Disposition.attached_pic.value
        file.mux(sleeve.encode(av.VideoFrame.from_ndarray(numbered(1)[0], format="rgb24")))
        file.mux(sleeve.encode(None))
        piece = av.AudioFrame.from_ndarray(clicks(1, [0.5])[None], format="s16", layout="mono")
        piece.rate = RATE
        file.mux([*audio.encode(piece), *audio.encode(None)])
    assert abs(first_click(heard(tmp_path / "a.mp4")) - 0.5) < 0.1
    with pytest.raises(InputError, match=r"a.mp4: must hold a video, got audio, video alone"):
        next(read_frames(tmp_path / "a.mp4"))


@pytest.mark.parametrize("lengths", [[100], [SAMPLES_PER_FRAME * 3], [1000, 0, 5000], [SAMPLES_PER_FRAME * 30]])
def test_a_wav_lasts_as_long_as_the_frames(lengths, tmp_path):
    sound = np.arange(sum(lengths)).astype(np.int16)
    assert write_wav(tmp_path / "a.wav", np.split(sound, np.cumsum(lengths)[:-1]), 5)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        assert file.getnframes() == 5 * SAMPLES_PER_FRAME
        written = np.frombuffer(file.readframes(5 * SAMPLES_PER_FRAME), "<i2")
    whole = np.pad(sound, (0, max(0, 5 * SAMPLES_PER_FRAME - len(sound))))[: 5 * SAMPLES_PER_FRAME]
    assert (written == whole).all()


def test_no_sound_makes_no_wav(tmp_path):
    assert not write_wav(tmp_path / "a.wav", [], 5) and not (tmp_path / "a.wav").exists()


# stored clips


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    assert write_clip(path, iter(numbered(40)), {"boxes": [[1, 2.5]], "word": "ß", "made": None}) == 40
    return path


def test_a_clip_comes_back_with_its_note(stored):
    pixels = read_clip(stored)
    assert pixels.shape == (40, 48, 64, 3) and pixels.dtype == np.uint8 and numbers(pixels) == list(range(40))
    assert read_note(stored) == {"boxes": [[1, 2.5]], "word": "ß", "made": None}


@settings(max_examples=25, deadline=None)
@given(first=st.integers(0, 39), count=st.integers(1, 45))
def test_a_cut_is_a_slice(stored, first, count):
    cut = read_clip(stored, start=first / FRAME_RATE, end=(first + count) / FRAME_RATE)
    assert numbers(cut) == list(range(40))[first : first + count]


def test_a_cut_has_at_least_one_frame(stored):
    assert numbers(read_clip(stored, start=0.41, end=0.412)) == [10]
    with pytest.raises(InputError, match=r"clip.mp4: must have frames after second 9, got none; correct `start`"):
        read_clip(stored, start=9)


def test_colors_and_gray_of_a_clip(tmp_path):
    blue = np.zeros((32, 32, 3), np.uint8)
    blue[..., 0] = 200  # blue first, as it is written
    write_clip(tmp_path / "a.mp4", [blue] * 2, {})
    pixels, gray = read_clip(tmp_path / "a.mp4"), read_clip(tmp_path / "a.mp4", grayscale=True)
    assert pixels[..., 2].mean() > 190 and pixels[..., 0].mean() < 10
    assert gray.shape == (2, 32, 32) and abs(gray.mean() - 0.114 * 200) < 4


def test_other_videos_are_read_too(tmp_path):
    path = write_video(tmp_path / "a.mkv", numbered(30), fps=30)
    assert len(read_clip(path)) == 25 and read_note(path) == {}
    assert (read_clip(path, start=0.4, end=0.8) == read_clip(path)[10:20]).all()
    assert read_clip(path, grayscale=True, start=0.9).shape == (3, 48, 64)
    assert not (read_clip(path, start=0.9) == read_clip(path)[:3]).all()
    motion = write_video(tmp_path / "b.mov", numbered(30), fps=30)
    assert numbers(read_clip(motion)) == numbers(read_clip(path))


def test_players_can_show_a_clip(stored):
    assert numbers(read_frames(stored)) == list(range(40))


def test_a_frame_of_another_size_in_a_clip_is_named(stored, tmp_path):
    content = bytearray(stored.read_bytes())
    sizes = [n + 5 for n in range(len(content)) if content[n : n + 5] == b"\xff\xc0\x00\x11\x08"]
    content[sizes[7] + 1] -= 8  # the height of the eighth frame
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"a.mp4: must hold JPEG frames, got damage at frame 7; prepare the clip aga"):
        read_clip(tmp_path / "a.mp4")


def test_damage_in_a_clip_is_named(stored, tmp_path):
    content = bytearray(stored.read_bytes())
    for place in [n for n in range(len(content)) if content[n : n + 3] == b"\xff\xd8\xff"][20:]:
        content[place : place + 3] = b"abc"
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"a.mp4: must hold JPEG frames, got damage at frame 20; prepare the clip aga"):
        read_clip(tmp_path / "a.mp4")
    assert len(read_clip(tmp_path / "a.mp4", end=0.8)) == 20


def test_a_note_must_be_an_object(tmp_path):
    for note in ([1], "text"):
        write_clip(tmp_path / "a.mp4", numbered(1), note)
        assert read_note(tmp_path / "a.mp4") == {}


def test_a_clip_without_frames_is_a_bug_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="`frames` must hold at least one, got none"):
        write_clip(tmp_path / "a.mp4", [], {})
    assert list(tmp_path.iterdir()) == []


def test_long_notes_survive(tmp_path):
    note = {"boxes": [[float(n)] * 4 for n in range(15_000)]}
    write_clip(tmp_path / "a.mp4", numbered(1), note)
    assert read_note(tmp_path / "a.mp4") == json.loads(json.dumps(note))


# what people name instead of a video


def test_files_that_are_no_videos(tmp_path):
    with pytest.raises(InputError, match=r"none.mp4: no such video; correct the path or fetch the file"):
        next(read_frames(tmp_path / "none.mp4"))
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=r"a.mp4: must be a video, got an empty file; fetch it again"):
        read_note(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(InputError, match=r"b.mp4: must be a video, got something else \(InvalidDataError\); fetch it"):
        heard(tmp_path / "b.mp4")


def test_a_cut_file_without_its_index_says_so(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered(50), clicks(2, [1]))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"a.mp4: must be a video, got the beginning of one that is cut off; fetch it"):
        next(read_frames(path))


def noise(frames: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (frames, 48, 64, 3), dtype=np.uint8))


def test_a_cut_file_with_its_index_yields_the_beginning_and_says_so(tmp_path):
    notes: list[str] = []
    path = write_video(tmp_path / "a.mp4", noise(50), options="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = len(list(read_frames(path, note=notes.append)))
    assert 10 < frames < 40 and notes[-1] == f"cut off: {frames} of 50 frames"


def test_a_cut_stream_without_an_index_is_a_shorter_video(tmp_path):
    path = write_video(tmp_path / "a.mpg", noise(50), clicks(2, [1]), codec="mpeg1video")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 10 < len(list(read_frames(path))) < 40


@pytest.mark.parametrize(("name", "least"), [("a.mkv", 10), ("a.mp4", 35)])
def test_damage_in_the_middle_stops_nothing(name, least, tmp_path):
    notes: list[str] = []
    path = write_video(tmp_path / name, noise(50), clicks(2, [1]))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(np.random.default_rng(1).integers(0, 256, 3000, dtype=np.uint8))
    path.write_bytes(content)
    assert len(list(read_frames(path, note=notes.append))) >= least
    assert len(heard(path, note=notes.append)) > RATE // 4
    damaged = ["1 damaged places in the video", "1 damaged places in the audio", "the sound is silent"]
    assert notes == (damaged if name == "a.mp4" else ["cut off: 1.00 of 2.00 seconds"])


def test_a_video_without_frames(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mkv", numbered(3))
    monkeypatch.setattr(container, "whole", lambda *_: [])
    with pytest.raises(InputError, match=r"a.mkv: must hold a video, got no frame that can be decoded; fetch the file"):
        next(read_frames(path))


def test_colons_in_names_are_no_protocols(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(Path("b.mkv"), numbered(3)).rename("crypto:a.mkv")
    assert len(list(read_frames(Path("crypto:a.mkv")))) == 3


def test_frames_stream(tmp_path):
    path = write_video(tmp_path / "a.mkv", numbered(40))
    frames = read_frames(path)
    next(frames)
    path.write_bytes(b"")  # what has not been asked for has not been read into frames
    frames.close()


@pytest.mark.skipif(not GRID.is_dir(), reason=f"the shared clips of GRID are not at {GRID}")
def test_the_published_clip_and_the_shared_one_are_on_one_clock():
    """MPEG-1 with 44.1 kHz stereo and H.264 with 16 kHz mono of the same recording."""
    published, shared = GRID / "original_mpg" / "s1" / "bbaf2n.mpg", GRID / "video" / "s1" / "bbaf2n.mp4"
    ours, theirs = (list(read_frames(path, layout="gray")) for path in (published, shared))
    assert len(ours) == len(theirs) == 75
    assert max(np.abs(one.astype(np.int16) - other).mean() for one, other in zip(ours, theirs, strict=True)) < 5
    one, other = (heard(path)[4000:40_000].astype(float) for path in (published, shared))
    lags = range(-60, 61)
    products = [np.dot(one[60:-60], other[60 + lag : len(other) - 60 + lag]) for lag in lags]
    assert abs(lags[int(np.argmax(products))]) <= 8
