"""Odd videos: what a player shows and sounds comes out, or a remark says what is odd. Rows of docs/odd_files.md."""

import itertools
import json
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from seqkit.data.audio import read_audio
from seqkit.data.check_files import _video
from seqkit.data.clip_cache import ClipCache
from seqkit.data.clock import JUMP
from seqkit.data.container import read_clock, start_offset
from seqkit.data.sound_track import SAMPLE_RATE, read_sound
from seqkit.data.video_file import read_clip, read_frames, read_note, upright, write_clip
from seqkit.errors import InputError
from tests.drawn_faces import clicks, write_video

BRIGHT, DARK = 220, 40
TURNS = [
    matrix
    for matrix in itertools.product((-1, 0, 1), repeat=4)
    if abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) == 1 and sum(map(abs, matrix)) == 2
]


def flashes(frames: int, *at: int) -> list[np.ndarray]:
    """Dark frames, bright at numbers `at`."""
    return [np.full((48, 64, 3), BRIGHT if n in at else DARK, np.uint8) for n in range(frames)]


def write(
    path: Path,
    frames: list[np.ndarray],
    sound: np.ndarray | None = None,
    *,
    times: np.ndarray | None = None,
    sound_times: tuple[float, ...] = (0.0,),
    codecs: tuple[str, str] = ("libx264", "pcm_s16le"),
    rate: int = SAMPLE_RATE,
    **stream: object,
) -> Path:
    """A file with frames at `times`, and the sound cut into as many pieces as `sound_times`, each at its own."""
    times = np.arange(len(frames)) / 25 if times is None else times
    tick, pieces = Fraction(1, 25 if codecs[0].startswith("mpeg") else 1000), []
    with av.open(str(path), "w") as file:
        video = file.add_stream(codecs[0], rate=25)
        video.height, video.width, video.pix_fmt = *frames[0].shape[:2], "yuv420p"
        video.codec_context.time_base = tick
        if codecs[0] == "libx264":
            video.options = {"preset": "ultrafast", "crf": "12", "bf": "0"}
        for key, value in stream.items():
            setattr(video, key, value)
        if sound is not None:
            audio = file.add_stream(codecs[1], rate=rate, layout="mono")
            for begin, part in zip(sound_times, np.array_split(sound, len(sound_times)), strict=True):
                pieces += [(begin + n / rate, part[n : n + 1024]) for n in range(0, len(part), 1024)]
        for time, pixels in zip(times, frames, strict=True):
            while pieces and pieces[0][0] <= time:
                file.mux(audio.encode(block(*pieces.pop(0), rate)))
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = round(time / tick), tick
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        for piece in pieces:
            file.mux(audio.encode(block(*piece, rate)))
        if sound is not None:
            file.mux(audio.encode(None))
    return path


def block(time: float, samples: np.ndarray, rate: int) -> av.AudioFrame:
    made = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], "s16", "mono")
    made.sample_rate, made.pts, made.time_base = rate, round(time * rate), Fraction(1, rate)
    return made


def seen(path: Path, **others) -> list[int]:
    """Numbers of the bright frames."""
    return [n for n, picture in enumerate(read_frames(path, layout="gray", **others)) if picture.mean() > 130]


def heard(path: Path, **others) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int16), *read_sound(path, **others)])


def loud(path: Path, **others) -> float:
    """When the first click is heard, in seconds."""
    return int(np.argmax(heard(path, **others) > 5000)) / SAMPLE_RATE


# what is shown


def shown_by(matrix: tuple[int, int, int, int], stored: np.ndarray) -> np.ndarray:
    """Pixel by pixel by the matrix, as its definition says: x' = a x + c y, y' = b x + d y."""
    a, b, c, d = matrix
    places = {(b * x + d * y, a * x + c * y): stored[y, x] for y, x in np.ndindex(*stored.shape)}
    rows, columns = (sorted({place[axis] for place in places}) for axis in (0, 1))
    return np.array([[places[row, column] for column in columns] for row in rows])


@pytest.mark.parametrize("matrix", TURNS)
def test_all_eight_orientations_are_what_a_player_shows(matrix, tmp_path):
    assert len(TURNS) == 8
    pattern = np.arange(6).reshape(2, 3)
    assert (upright(pattern, matrix) == shown_by(matrix, pattern)).all()
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :32], pixels[:24, 32:] = 220, 120
    path = write_video(tmp_path / "a.mp4", [pixels] * 2)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 4 + 5 * 4 + 4 * 4
    for index, value in zip((0, 1, 3, 4), matrix, strict=True):
        content[place + 4 * index : place + 4 * index + 4] = struct.pack(">i", value * 65536)
    path.write_bytes(content)
    found = next(read_frames(path, layout="gray")).astype(int)
    assert np.abs(found - shown_by(matrix, pixels[..., 0]).astype(int)).mean() < 6


@pytest.mark.parametrize("ratio", [Fraction(64, 45), Fraction(1, 2)])
def test_pixels_are_made_square(ratio, tmp_path):
    path = write(tmp_path / "a.mkv", flashes(3), sample_aspect_ratio=ratio)
    assert next(read_frames(path)).shape == (48, round(64 * ratio), 3)
    assert next(read_frames(path, size=lambda rows, columns: (rows, columns // 2))).shape == (
        48,
        round(64 * ratio) // 2,
        3,
    )


def test_a_size_that_changes_in_the_middle_is_brought_to_the_first(tmp_path):
    notes: list[str] = []
    large = [np.full((96, 128, 3), BRIGHT, np.uint8)] * 20
    first, second = write_video(tmp_path / "1.ts", large), write_video(tmp_path / "2.ts", flashes(20))
    (tmp_path / "a.ts").write_bytes(first.read_bytes() + second.read_bytes())
    shapes = {picture.shape for picture in read_frames(tmp_path / "a.ts", note=notes.append)}
    assert shapes == {(96, 128, 3)} and "the size of the picture changes to 64 x 48" in notes
    assert len(read_clip(tmp_path / "a.ts")) == 40


# when


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov"])
def test_a_picture_that_stays_while_sound_goes_on_keeps_its_time(name, tmp_path):
    notes: list[str] = []
    times = np.concatenate([np.arange(25) / 25, 12 + np.arange(25) / 25])
    codec = "aac" if name == "a.mp4" else "pcm_s16le"
    path = write(tmp_path / name, flashes(50, 30), clicks(13, [12.2]), times=times, codecs=("libx264", codec))
    assert seen(path, note=notes.append) == [305] and abs(loud(path) - 12.2) < 0.02 and notes == []


@pytest.mark.parametrize("begins", [4000.0, 12.5])
def test_a_jump_of_both_streams_moves_both(begins, tmp_path):
    notes: list[str] = []
    times = np.concatenate([np.arange(25) / 25, begins + np.arange(25) / 25])
    path = write(tmp_path / "a.mkv", flashes(50, 35), clicks(2, [1.4]), times=times, sound_times=(0.0, begins))
    assert seen(path, note=notes.append) == [35] and abs(loud(path) - 1.4) < 0.02
    assert notes == ["1 time stamps out of order"] and len(heard(path)) < 2.2 * SAMPLE_RATE


def test_joined_files_begin_again_together(tmp_path):
    sound = ("mpeg2video", "mp2")
    first = write(tmp_path / "1.ts", flashes(50), clicks(1.5, []), codecs=sound)
    second = write(tmp_path / "2.ts", flashes(50, 25), clicks(2, [1.0]), codecs=sound)
    path = tmp_path / "a.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    (number,) = seen(path)
    assert 74 <= number <= 76 and abs(loud(path) - number / 25) < 0.03
    assert read_clock(path).jumps == 1


def test_sound_of_the_second_of_two_joined_files_stays_with_its_picture(tmp_path):
    first = write(tmp_path / "1.ts", flashes(50), codecs=("mpeg2video", "mp2"))
    second = write(tmp_path / "2.ts", flashes(50, 25), clicks(2, [1.0]), codecs=("mpeg2video", "mp2"))
    path = tmp_path / "a.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    (number,) = seen(path)
    assert 74 <= number <= 76 and abs(loud(path) - number / 25) < 0.03


def test_one_damaged_time_stamp_moves_nothing_after_it(tmp_path):
    times = np.arange(50) / 25
    times[20] = 90_000
    path = write(tmp_path / "a.nut", flashes(50, 35), clicks(2, [1.4]), times=np.sort(times))
    assert loud(path) == pytest.approx(1.4, abs=0.02)
    clock = read_clock(path)
    assert clock.end - clock.begin < 2.2


@pytest.mark.parametrize("late", [3600.0, 0.0])
def test_a_clip_stamped_an_hour_late_is_as_long_as_it_is(late, tmp_path):
    path = write(
        tmp_path / "a.mkv", flashes(50, 25), clicks(2, [1.0]), times=late + np.arange(50) / 25, sound_times=(late,)
    )
    clock = read_clock(path)
    assert clock.end - clock.begin == pytest.approx(2, abs=0.1) and start_offset(path) == 0
    assert seen(path) == [25] and abs(loud(path) - 1.0) < 0.02


def test_a_picture_that_starts_late_is_told_on_the_files_own_clock(tmp_path):
    path = write(tmp_path / "a.mkv", flashes(25), clicks(3, [2.5]), times=2 + np.arange(25) / 25)
    assert start_offset(path) == pytest.approx(2, abs=0.01) and abs(loud(path) - 0.5) < 0.01
    assert start_offset(write_video(tmp_path / "b.ts", flashes(5))) == 0


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_cut_is_on_the_files_own_clock(name, tmp_path):
    """Of a video whose picture begins two seconds after the file does, whoever reads it, and as `audio` too."""
    path = write(
        tmp_path / name, flashes(50, 25), clicks(4, [3.0]), times=2 + np.arange(50) / 25, codecs=("libx264", "aac")
    )
    for start, end, first in ((2.8, 3.6, 5), (0.0, 3.2, 25), (2.0, None, 25)):
        read = read_clip(path, start=start, end=end, grayscale=True)
        kept = ClipCache(10**9, grayscale=True).read(path, start=start, end=end)
        assert (read == kept).all() and np.flatnonzero(read.mean((1, 2)) > 130).tolist() == [first]
        sound = read_audio(path, start=start, end=end)
        assert np.argmax(np.abs(sound) > 0.15) / SAMPLE_RATE == pytest.approx(first / 25, abs=0.02)
    assert np.argmax(np.abs(read_audio(path)) > 0.15) / SAMPLE_RATE == pytest.approx(1, abs=0.02)
    assert _video(path).seconds == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize(
    ("name", "codecs", "rate"),
    [
        ("a.mp4", ("libx264", "aac"), 16_000),
        ("a.mov", ("libx264", "pcm_s16le"), 16_000),
        ("a.mkv", ("libx264", "libmp3lame"), 44_100),
        ("a.webm", ("libvpx", "libopus"), 48_000),
        ("a.avi", ("mpeg4", "pcm_s16le"), 16_000),
        ("a.mpg", ("mpeg1video", "mp2"), 44_100),
        ("a.ts", ("libx264", "aac"), 16_000),
        ("a.flv", ("libx264", "aac"), 16_000),
        ("a.3gp", ("libx264", "aac"), 16_000),
    ],
)
def test_picture_and_sound_are_on_one_clock_in_every_container(name, codecs, rate, tmp_path):
    path = write(tmp_path / name, flashes(50, 25), clicks(2, [1.0], rate), codecs=codecs, rate=rate)
    assert seen(path) == [25] and abs(loud(path) - 1.0) <= 0.02
    assert all(len(part) for part in read_sound(path))  # an empty block is none: encoders fail at it


@pytest.mark.parametrize("name", ["a.ts", "a.mp4", "a.mkv"])
def test_frames_that_are_stored_in_another_order_begin_when_the_first_is_shown(name, tmp_path):
    """With B-frames the first packet is stamped for its decoding, up to 120 ms before what it shows."""
    options = {"preset": "ultrafast", "bf": "3"}
    path = write(tmp_path / name, flashes(50, 25), clicks(2, [1.0]), codecs=("libx264", "aac"), options=options)
    assert start_offset(path) <= 0.065 and seen(path) == [25] and abs(loud(path) - 1.0) < 0.02  # a block of AAC
    path = write(tmp_path / f"b{name}", flashes(50, 25), options=options)
    clock = read_clock(path)
    assert start_offset(path) == 0 and clock.end - clock.begin == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("interlaced", [False, True])
def test_an_interlaced_video_is_told(interlaced, tmp_path):
    notes: list[str] = []
    options = {"flags": "+ildct+ilme"} if interlaced else {}
    path = write(tmp_path / "a.mpg", flashes(5), codecs=("mpeg2video", "mp2"), options=options)
    list(read_frames(path, note=notes.append))
    assert notes == (["the video is interlaced: moving lips show as combs; deinterlace it"] if interlaced else [])


def test_a_last_frame_that_claims_to_last_for_days_is_bounded(tmp_path):
    path = write_video(tmp_path / "a.mp4", flashes(5))
    content = bytearray(path.read_bytes())
    place = content.index(b"stts") + 8
    entries = struct.unpack(">I", content[place : place + 4])[0]
    last = place + 4 + 8 * (entries - 1) + 4
    content[last : last + 4] = struct.pack(">I", 2**31 - 1)
    path.write_bytes(content)
    assert sum(1 for _ in itertools.islice(read_frames(path), 10_000)) <= 5 * (JUMP * 25 + 1)


# what is there


@pytest.mark.parametrize("comment", ["PENTAX", json.dumps({"seen": "by a camera"}), json.dumps([1])])
def test_a_comment_of_a_cameras_is_no_note_of_ours(comment, tmp_path):
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as file:
        file.metadata["comment"] = comment
        video = file.add_stream("mjpeg", rate=50)
        video.height, video.width, video.pix_fmt = 48, 64, "yuvj420p"
        for pixels in flashes(20):
            file.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        file.mux(video.encode(None))
    assert read_note(path) == {} and len(read_clip(path)) == 10


def test_a_clip_of_ours_that_was_edited_is_read_by_its_time_stamps(tmp_path):
    """An editor keeps the comment, and doubles the frames."""
    write_clip(tmp_path / "a.mp4", flashes(20, 10), {"frames": 20})
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(tmp_path / "b.mp4"), "w") as file:
        file.metadata["comment"] = source.metadata["comment"]
        video = file.add_stream("mjpeg", rate=50)
        video.height, video.width, video.pix_fmt = 48, 64, "yuvj420p"
        for number, frame in enumerate(own for own in source.decode(video=0) for _ in range(2)):
            frame.pts, frame.time_base = number, Fraction(1, 50)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    for name in ("a.mp4", "b.mp4"):
        bright = read_clip(tmp_path / name, grayscale=True).mean((1, 2)) > 130
        assert len(bright) == 20 and np.flatnonzero(bright).tolist() == [10]
        assert len(read_clip(tmp_path / name, start=0.2, end=0.6)) == 10


def test_frames_that_the_decoder_calls_damaged_are_told(tmp_path):
    rng, notes = np.random.default_rng(0), list[str]()
    noisy = list(rng.integers(0, 256, (40, 48, 64, 3), dtype=np.uint8))
    path = write_video(tmp_path / "a.mpg", noisy, codec="mpeg1video")
    content = bytearray(path.read_bytes())
    for place in rng.integers(3000, len(content), 60):
        content[place] ^= 255
    path.write_bytes(content)
    list(read_frames(path, note=notes.append))
    assert any(note.endswith("damaged places in the video") for note in notes)


def test_sound_in_an_unknown_codec_is_told_and_the_picture_read(tmp_path):
    notes: list[str] = []
    path = write(tmp_path / "a.mov", flashes(10, 5), clicks(0.4, []))
    path.write_bytes(path.read_bytes().replace(b"sowt", b"apac"))
    assert heard(path, note=notes.append).size == 0 and seen(path) == [5]
    assert notes == ["1 of 1 audio streams have a codec that the decoder does not know"]


def channels(path: Path, samples_CN: np.ndarray, layout: str) -> Path:
    with av.open(str(path), "w") as file:
        audio = file.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout=layout)
        packed = np.ascontiguousarray(samples_CN.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "s16", layout)
        frame.sample_rate = SAMPLE_RATE
        file.mux([*audio.encode(frame), *audio.encode(None)])
    return path


@pytest.mark.parametrize("layout", ["5.1", "stereo", "quad", "6.1"])
def test_every_microphone_counts_alike(layout, tmp_path):
    count = av.AudioLayout(layout).nb_channels
    for voice in range(count):
        samples_CN = np.zeros((count, 8000), np.int16)
        samples_CN[voice] = 9000
        path = channels(tmp_path / "a.mkv", samples_CN, layout)
        assert np.abs(heard(path)[1000:7000] - 9000 / count).max() < 2


def test_silence_by_accident_is_told(tmp_path):
    notes: list[str] = []
    voice = clicks(1, [0.2, 0.5])
    heard(channels(tmp_path / "a.mkv", np.stack([voice, -voice]), "stereo"), note=notes.append)
    heard(channels(tmp_path / "b.mkv", np.zeros((1, 8000), np.int16), "mono"), note=notes.append)
    heard(channels(tmp_path / "c.mkv", voice[None], "mono"), note=notes.append)
    assert notes == ["the channels of the sound cancel each other out; keep one of them", "the sound is silent"]


def test_samples_that_are_no_numbers_are_told(tmp_path):
    samples_N, notes = np.linspace(-0.5, 0.5, 8000, dtype=np.float32), list[str]()
    samples_N[4000] = np.nan
    with av.open(str(tmp_path / "a.mov"), "w") as file:
        audio = file.add_stream("pcm_f32le", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples_N[None], "flt", "mono")
        frame.sample_rate = SAMPLE_RATE
        file.mux([*audio.encode(frame), *audio.encode(None)])
    assert len(heard(tmp_path / "a.mov", note=notes.append)) == 8000
    assert notes == ["samples that are no finite numbers"]


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_what_an_encoder_of_sound_puts_before_zero_moves_no_times(rate, tmp_path):
    path = write_video(tmp_path / "a.mp4", flashes(50), clicks(2, [0.5], rate), rate=rate)
    assert read_clock(path).begin <= 0 and start_offset(path) == 0.0


def trimmed(path: Path, edits: list[tuple[float, float]]) -> None:
    """Gives the only track of an .mp4 an edit list of (seconds that are shown, from which second on)."""
    content = bytearray(path.read_bytes())
    place, header = content.index(b"elst"), content.index(b"mdhd")
    unit = struct.unpack(">I", content[header + 16 : header + 20])[0]
    assert struct.unpack(">I", content[place + 8 : place + 12])[0] == len(edits) == 1
    for number, (lasts, begin) in enumerate(edits):
        values = struct.pack(">Iihh", round(1000 * lasts), round(begin * unit), 1, 0)
        content[place + 12 + 12 * number : place + 24 + 12 * number] = values
    path.write_bytes(content)


def test_what_was_trimmed_from_a_video_counts_nowhere(tmp_path):
    """As phones trim: all frames stay in the file, an edit list shows some."""
    path = write(tmp_path / "a.mp4", flashes(100, 70))
    trimmed(path, [(2.0, 2.0)])
    assert len(list(read_frames(path))) == 50 and seen(path) == [20]
    clock = read_clock(path)
    assert start_offset(path) == 0 and clock.end - clock.begin == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(("name", "codecs"), [("a.mp4", ("libx264", "aac")), ("a.mkv", ("libx264", "libopus"))])
def test_eight_channels_are_heard(name, codecs, tmp_path):
    """Of 7.1 sound in planes, PyAV counts more planes than there are."""
    samples_CN = np.zeros((8, 48_000), np.int16)
    samples_CN[5] = 8 * (4000 * np.sin(np.arange(48_000) / 20)).astype(np.int16)
    notes: list[str] = []
    with av.open(str(tmp_path / name), "w") as file:
        audio = file.add_stream(codecs[1], rate=48_000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples_CN.T).reshape(1, -1), "s16", "7.1")
        frame.sample_rate = 48_000
        file.mux([*audio.encode(frame), *audio.encode(None)])
    found = heard(tmp_path / name, note=notes.append)[2000:14_000]
    assert np.abs(found).max() == pytest.approx(4000, rel=0.1) and notes == []


def test_the_first_of_two_tracks_is_taken_and_told(tmp_path):
    notes: list[str] = []
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        streams = [file.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono") for _ in range(2)]
        for stream, samples in zip(streams, (clicks(1, [0.3]), clicks(1, [0.7])), strict=True):
            file.mux(stream.encode(block(0.0, samples, SAMPLE_RATE)))
    assert abs(loud(tmp_path / "a.mkv", note=notes.append) - 0.3) < 0.01
    assert notes == ["2 audio streams, of which the first was taken"]


@pytest.mark.parametrize("kind", ["video", "audio"])
@pytest.mark.parametrize("held", ["nothing", "noise"])
def test_a_first_stream_of_which_nothing_is_decoded_is_passed_over(kind, held, tmp_path):
    """As players pass it over."""
    whole = write(tmp_path / "whole.mkv", flashes(25, 5), clicks(1, [0.3]), codecs=("libx264", "aac"))
    notes: list[str] = []
    with av.open(str(whole)) as source, av.open(str(tmp_path / "a.mkv"), "w") as file:
        first = file.add_stream_from_template(getattr(source.streams, kind)[0])
        others = [file.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == kind and held == "noise":
                noise = av.Packet(bytes([170, 85]) * 20)
                noise.stream, noise.pts, noise.dts, noise.time_base = first, packet.pts, packet.dts, packet.time_base
                file.mux(noise)
            packet.stream = others[packet.stream_index]
            file.mux(packet)
    assert seen(tmp_path / "a.mkv", note=notes.append) == [5]
    assert abs(loud(tmp_path / "a.mkv", note=notes.append) - 0.3) < 0.02
    assert notes == [f"2 {kind} streams, of which the first decodable was taken"]


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nother.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.mp4\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_play_lists_under_a_films_name_are_refused(text, tmp_path):
    write_video(tmp_path / "other.mp4", flashes(3))
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(InputError, match=r"a.mp4: must be a video, got something else"):
        next(read_frames(tmp_path / "a.mp4"))
