"""Own videos of any length to mouth clips: each piece at its times, the face that was asked for, and drops told."""

import json

import av
import cv2
import numpy as np
import pytest

from seqkit.cli import main
from seqkit.data.audio import read_audio
from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data.video_file import read_clip, read_note
from seqkit.data_prep.own.pieces import Piece
from seqkit.data_prep.own.shares import Shares
from seqkit.data_prep.own.spoken_texts import Cue
from seqkit.data_prep.own.video_clips import PieceClip, Recording, crashed, cut_sound, lanes, make_clips
from seqkit.data_prep.own.videos import Options, prepare
from seqkit.errors import InputError
from seqkit.tasks import find_recipe
from tests.corpora import DATA
from tests.drawn_faces import clicks, face, talking, write_video
from tests.raw_files import stats, write_lines


def everything(out):
    return {item.id: item for path in out.glob("*.jsonl") for item in read_manifest(path)}


def stamp(seconds: float) -> str:
    thousandths = round(1000 * seconds)
    return f"00:{thousandths // 60000:02}:{thousandths // 1000 % 60:02},{thousandths % 1000:03}"


def subtitles(*cues: tuple[float, float, str]) -> str:
    return "".join(f"{n}\n{stamp(a)} --> {stamp(b)}\n{text}\n\n" for n, (a, b, text) in enumerate(cues, 1))


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """Eight seconds of a talker, each second with a shade of its own in the corner, and clicks at half seconds."""
    frames = talking(200)
    for number, frame in enumerate(frames):
        frame[:16, :16] = 30 * (number // 25)
    path = tmp_path_factory.mktemp("long") / "a.mp4"
    return write_video(path, frames, clicks(8, [0.5, 2.5, 4.5, 6.5]))


CUES = ((0.2, 1.4, "one"), (2.0, 3.52, "two"), (3.1, 4.9, "over two"), (6.0, 7.99, "three"), (9.5, 9.9, "gone"))


@pytest.fixture(scope="module")
def prepared(long_video, tmp_path_factory):
    """The pieces of the long video, and the same as a folder of raw files."""
    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("out")
    (raw / "talk.mp4").write_bytes(long_video.read_bytes())
    (raw / "talk.srt").write_text(subtitles(*CUES))
    write_lines(raw / "other.txt", "text of no video")
    prepare(raw, out, Shares(split="all"))
    return raw, out


def test_a_long_recording_is_cut_at_its_cues(prepared):
    _, out = prepared
    items = everything(out)
    assert {name: item.references for name, item in items.items()} == {
        f"talk-000{n}": (text,) for n, text in enumerate(("one", "two", "over two", "three"), 1)
    }
    for (start, end, _), item in zip(CUES, (items[name] for name in sorted(items)), strict=False):
        note = read_note(item.video)
        first, count = note["made_from"]["cut"]
        assert abs(first / 25 - start) < 0.0201 and abs((first + count) / 25 - end) < 0.0201
        assert item.seconds == count / 25 == note["frames"] / 25 and len(read_clip(item.video)) == count
        samples_N = read_audio(item.audio)
        assert len(samples_N) == 640 * count
        heard = [click - first / 25 for click in (0.5, 2.5, 4.5, 6.5) if start + 0.1 < click < end - 0.1]
        loud = np.flatnonzero(np.abs(samples_N) > 0.3) / 16_000
        assert heard and all(np.abs(loud - click).min() < 0.02 for click in heard)
    told = stats(out)["all"]
    assert told["dropped"] == {"beyond_the_end": 1} and "'gone' at 9.5" in told["reasons"]["talk.mp4"]
    assert not [found for found in check(out, find_recipe("wlas").reads)[1] if found.problem]
    assert not [found for found in check(out)[1] if found.kind == "no mouth clip"]


def test_a_second_run_keeps_its_clips_and_makes_those_that_changed(prepared, monkeypatch):
    raw, out = prepared
    times = {path: path.stat().st_mtime_ns for path in (out / "mouths").iterdir()}
    assert len(times) == 12  # a clip, its sound and a picture each
    prepare(raw, out, Shares(split="all"))
    assert times == {path: path.stat().st_mtime_ns for path in (out / "mouths").iterdir()}
    (out / "mouths" / "talk-0002.wav").unlink()
    prepare(raw, out, Shares(split="all"))
    again = {path.name for path in (out / "mouths").iterdir() if path.stat().st_mtime_ns != times[path]}
    assert again == {"talk-0002.mp4", "talk-0002.wav", "talk-0002.jpg"}


def test_a_piece_without_sound_in_it_is_told(tmp_path):
    path = write_video(tmp_path / "a.mkv", talking(75), np.repeat([0, 3000, 0], 16_000).astype(np.int16))
    cues = tuple(Cue("said", float(n), n + 1.0) for n in range(3))
    made = make_clips(Recording(path, cues, tmp_path, "a"))
    assert ["the sound is silent" in clip.note["remarks"] for clip in made.clips] == [True, False, True]


def test_a_scene_cut_is_told_at_its_second_of_the_file(tmp_path):
    blurred = [cv2.GaussianBlur(255 - picture, (0, 0), 3) for picture in talking(30)]
    path = write_video(tmp_path / "a.mp4", [*talking(60), *blurred])
    made = make_clips(Recording(path, (Cue("said", 1.0, 3.0),), tmp_path, "a"))
    assert "the scene changes at second 2.40; cut the file there" in made.clips[0].note["remarks"]


def test_the_contact_sheet_shows_frames_with_the_crop_and_the_crops(prepared):
    _, out = prepared
    sheet = cv2.imread(str(out / "contact_sheet.jpg"))
    assert sheet.shape == (2 * 176, 2 * (284 + 4 * 160), 3)
    yellow = (sheet[:, :284, 0] < 110) & (sheet[:, :284, 1] > 180) & (sheet[:, :284, 2] > 180)
    assert yellow.sum() > 100


@pytest.mark.parametrize(("choice", "x"), [("largest", 120), ("left", 50), ("right", 270)])
def test_of_several_people_the_one_that_was_asked_for(tmp_path, choice, x):
    frames = []
    for number in range(30):
        picture = face((160, 320), 50, 70, 50, opened=0.1)
        face(x=120, y=70, width=66, opened=abs(np.sin(0.7 * number)), picture=picture)
        frames.append(face(x=270, y=70, width=52, opened=0.5, picture=picture))
    write_video(tmp_path / "raw" / "a.mp4", frames)
    write_lines(tmp_path / "raw" / "a.txt", "hello there")
    for which in ("right" if choice == "left" else "left", choice):  # another choice makes the clip anew
        prepare(tmp_path / "raw", tmp_path / "out", Shares(split="all"), Options(face=which))
    (item,) = everything(tmp_path / "out").values()
    left, _, right, _ = read_note(item.video)["boxes"][0]
    assert abs((left + right) / 2 - x) < 6 and item.audio is None
    told = stats(tmp_path / "out")["all"]
    assert told["several_faces"] == 1 and told["without_sound"] == 1
    assert ("largest near the center" if choice == "largest" else f"one on the {choice}") in told["remarks"]["a"][0]
    picture = cv2.imread(str(tmp_path / "out" / "mouths" / "a.jpg")).astype(int)
    red = (picture[:, :, 2] > 150) & (picture[:, :, 1] < 90) & (picture[:, :, 0] < 90)
    assert red.any()


def test_texts_in_one_table_with_speakers_and_every_drop_is_named(tmp_path, capsys):
    raw = tmp_path / "raw"
    for n in range(6):
        write_video(raw / f"clip {n}.mov", talking(20), clicks(0.8, []))
    write_video(raw / "wall.mp4", [np.full((144, 176, 3), 90, np.uint8)] * 20)
    write_video(raw / "left.mp4", talking(12))
    (raw / "broken.mp4").write_bytes(b"no video")
    rows = [f"clip {n}.mov,sentence {n},speaker {n // 2}" for n in range(6)]
    write_lines(raw / "texts.csv", "file,text,speaker", *rows, "wall.mp4,nobody,speaker 0")
    flags = ["prepare", "videos", "--raw", str(raw), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(flags) == 0
    told = stats(tmp_path / "out")["all"]
    assert told["dropped"] == {"unreadable": 1, "no_text": 1, "no_face": 1} and told["named"]["no_text"] == ["left.mp4"]
    assert told["split"] == "by speaker, of which there are 3" and told["texts"] == {".csv": 7}
    items = everything(tmp_path / "out")
    assert {item.id: item.speaker for item in items.values()} == {f"clip {n}": f"speaker {n // 2}" for n in range(6)}
    assert all(len({i.speaker for i in read_manifest(path)}) == 1 for path in (tmp_path / "out").glob("*.jsonl"))
    out = capsys.readouterr().out
    assert (
        "split=by speaker, of which there are 3" in out and f"look at {tmp_path / 'out' / 'contact_sheet.jpg'}" in out
    )


def test_folders_are_speakers_and_clips_of_ours_are_no_raw_files(tmp_path, prepared):
    raw = tmp_path / "raw"
    for name in ("ann/1", "ann/2", "bo/1", "cy/1"):
        write_video(raw / f"{name}.mp4", talking(12))
        write_lines(raw / f"{name}.txt", f"text {name}")
    (raw / "bo" / "mouth.mp4").write_bytes((prepared[1] / "mouths" / "talk-0001.mp4").read_bytes())
    prepare(raw, tmp_path / "out", Shares())
    items = everything(tmp_path / "out")
    assert {item.id: item.speaker for item in items.values()} == {
        "ann-1": "ann",
        "ann-2": "ann",
        "bo-1": "bo",
        "cy-1": "cy",
    }
    assert stats(tmp_path / "out")["all"]["dropped"] == {"mouth_clip": 1}


def test_words_of_a_text_grid_are_on_the_clock_of_the_clip(tmp_path, long_video):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.mp4").write_bytes(long_video.read_bytes())
    entries = '0 1 ""\n1 1.5 "red"\n1.5 2 "dog"\n2 4 ""\n4 4.8 "runs"\n4.8 8 ""\n'
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n0 8 <exists> 1\n"IntervalTier" "words" 0 8 6\n'
    (tmp_path / "raw" / "a.TextGrid").write_text(head + entries)
    prepare(tmp_path / "raw", tmp_path / "out", Shares(split="all"))
    items = everything(tmp_path / "out")
    assert items["a-0001"].words == (("red", 0.0, 0.5), ("dog", 0.5, 1.0)) and items["a-0001"].seconds == 1.0
    assert items["a-0002"].words == (("runs", 0.0, 0.8),) and items["a-0002"].references == ("runs",)


@pytest.mark.parametrize(
    ("files", "options", "fault"),
    [
        ({}, Options(), r"must hold videos \(\.mp4"),
        ({"a.mp4": ""}, Options(longest=0), "--longest must be above 0 seconds, got 0"),
        ({"a.mp4": ""}, Options(), "must hold a text beside each recording, or one table .--texts., got neither"),
        ({"a.mp4": "", "a.csv": "file,text\nb,c\n"}, Options(), r"must name recordings below .* a\.mp4, got 'b'"),
        ({"a.mp4": "", "a.srt": "no subtitle"}, Options(), "must hold items to keep, got none; dropped: 1 unread"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path, long_video, files, options, fault):
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode() or long_video.read_bytes())
    with pytest.raises(InputError, match=fault) as caught:
        prepare(tmp_path, tmp_path / "out", Shares(), options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("frames", "sound", "cues", "reason"),
    [
        (100, 8.0, [Cue("late", 5.0, 7.0)], "cut_off"),
        (400, None, [Cue("one"), Cue("two")], "no_sound"),
        (0, 8.0, [Cue("one", 1.0, 2.0)], "no_video"),
        (3, 0.2, [Cue("one")], "short"),
    ],
)
def test_recordings_that_lack_something_say_what(tmp_path, frames, sound, cues, reason):
    heard = None if sound is None else clicks(sound, [])
    path = tmp_path / "a.mp4"
    if frames:
        write_video(path, [np.zeros((48, 64, 3), np.uint8)] * frames, heard)
    else:
        write_video(tmp_path / "a.mkv", [np.zeros((48, 64, 3), np.uint8)], heard)
        with av.open(str(tmp_path / "a.mkv")) as source, av.open(str(path), "w") as only_sound:
            stream = only_sound.add_stream("aac", rate=16_000, layout="mono")
            for frame in source.decode(audio=0):
                only_sound.mux(stream.encode(frame))
            only_sound.mux(stream.encode(None))
    made = make_clips(Recording(path, tuple(cues), tmp_path, "a"))
    assert made.clips == [] and [fault for fault, _ in made.faults] == [reason]
    assert str(path) in made.faults[0][1] and "\n" not in made.faults[0][1]


def test_a_video_that_ends_the_process_is_named(tmp_path):
    assert crashed(Recording(tmp_path / "a.mp4", (), tmp_path, "a")).faults[0][0] == "crashed"


def test_pieces_that_overlap_are_made_in_passes_of_their_own():
    def clip(first, frames):
        return PieceClip(Piece(0, 1, ""), None, first, frames)

    found = lanes([clip(50, 10), clip(0, 20), clip(10, 20), clip(20, 30), clip(25, None), clip(30, 5)])
    assert [[(c.first, c.frames) for c in lane] for lane in found] == [
        [(0, 20), (20, 30), (50, 10)], [(10, 20), (30, 5)], [(25, None)]
    ]  # fmt: skip


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_sound_is_cut_as_if_it_were_held_at_once(block):
    sound = np.arange(60, dtype=np.int16)
    spans = [(0, 5), (5, 20), (27, 28), (40, 55), (58, 70), (80, 90)]
    blocks = [sound[first : first + block] for first in range(0, 60, block)]
    found = [np.concatenate([np.zeros(0, np.int16), *parts]).tolist() for parts in cut_sound(blocks, spans)]
    assert found == [sound[first:end].tolist() for first, end in spans]


def test_real_talkers_joined_to_a_recording_are_cut_to_a_frame(tmp_path, real_data):
    from seqkit.data.sound_track import read_sound
    from seqkit.data.video_file import read_frames
    from seqkit.data_prep.lipreading.grid_corpus import read_alignment

    clips = sorted((real_data / "grid" / "video" / "s2").glob("*.mp4"))[:4]
    if not clips:
        pytest.skip(f"needs GRID in {DATA}")
    frames, sound, cues = [], [], []
    for clip in clips:
        words = read_alignment(real_data / "grid" / "align" / "s2" / f"{clip.stem}.align").words
        begin = len(frames) / 25
        cues.append((begin + words[0][1], begin + words[-1][2], " ".join(word for word, _, _ in words)))
        frames += list(read_frames(clip))
        samples_N = np.concatenate(list(read_sound(clip)))
        sound.append(np.pad(samples_N, (0, 640 * len(frames)))[: 640 * (len(frames) - round(25 * begin))])
    write_video(tmp_path / "raw" / "two people.mp4", frames, np.concatenate(sound))
    (tmp_path / "raw" / "two people.srt").write_text(subtitles(*cues))
    prepare(tmp_path / "raw", tmp_path / "out", Shares(split="all"))
    items = everything(tmp_path / "out")
    assert len(items) == 4
    for (start, end, text), name in zip(cues, sorted(items), strict=True):
        first, count = read_note(items[name].video)["made_from"]["cut"]
        assert items[name].references == (text,) and json.dumps(text)
        assert abs(first / 25 - start) <= 0.04 and abs((first + count) / 25 - end) <= 0.04
