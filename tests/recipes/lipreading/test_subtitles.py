"""What `predict` takes and writes: sound known by what is in the file, subtitles that open, times of files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from seqkit.data.audio import read_audio
from seqkit.errors import InputError
from seqkit.recipes.lipreading import raw_video, subtitles
from seqkit.recipes.lipreading.raw_video import file_offset, is_video, raw_item, shift_words
from seqkit.recipes.lipreading.subtitles import (
    PredictionOptions,
    unique_names,
    usable_font,
    write_all_subtitles,
    write_subtitled_video,
    write_subtitles,
    write_text,
)
from seqkit.score.prediction import Prediction, Word
from tests.drawn_faces import RATE, clicks, write_video

ODD = "b&n <blü> at --> two </i>now"


def shown(path: Path) -> list[str]:
    """The texts of a file of subtitles, by ffmpeg."""
    with av.open(str(path)) as file:
        lines = [own for packet in file.demux() for own in packet.decode()]
    return [getattr(line, "dialogue", line).decode().replace(subtitles.JOINER, "") for line in lines]


def plain(path: Path) -> list[str]:
    """The same by hand, as the formats define it."""
    blocks = [block.splitlines() for block in path.read_text(encoding="utf-8").split("\n\n")]
    texts = [" ".join(lines[2:]) for lines in blocks if len(lines) > 2 and " --> " in lines[1]]
    for code, letter in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        texts = [text.replace(code, letter) if path.suffix == ".vtt" else text for text in texts]
    return [text.replace(subtitles.JOINER, "") for text in texts]


def test_subtitles_are_read_back_by_two_readers(tmp_path):
    words = ODD.split()
    write_subtitles(tmp_path / "a", [Word(word, 0.5 * n, 0.5 * n) for n, word in enumerate(words)])
    assert plain(tmp_path / "a.srt") == plain(tmp_path / "a.vtt") == words
    assert shown(tmp_path / "a.srt") == words
    assert shown(tmp_path / "a.vtt") == words
    assert (
        "<b" not in (tmp_path / "a.srt").read_text() and "-->" not in (tmp_path / "a.srt").read_text().split("\n")[14]
    )
    assert "00:00:00.500 --> 00:00:00.540" in (tmp_path / "a.vtt").read_text()  # none is shown for no time


def test_two_inputs_of_one_stem_do_not_share_a_file(tmp_path):
    found = [[Prediction(name, 0.0, 0.0, words=(Word(name, 0.0, 1.0),))] for name in ("one", "two")]
    write_all_subtitles(PredictionOptions(tmp_path), ["a/00001.mp4", "b/00001.mp4"], found)
    assert [plain(tmp_path / f"{name}.srt") for name in ("00001", "00001-2")] == [["one"], ["two"]]
    assert unique_names(["a", "A", "a-2", "b"]) == ["a", "A-3", "a-2", "b"]
    with pytest.raises(InputError, match=f"`--subtitles` must be a folder without subtitles, got {tmp_path}; name"):
        PredictionOptions(tmp_path)
    assert PredictionOptions(tmp_path / "new").subtitles == tmp_path / "new"


@pytest.mark.parametrize("text", ["Grüße", "привет", "ελληνικά"])
def test_letters_outside_ascii_are_burnt_in(text):
    black = np.zeros((120, 320, 3), np.uint8)
    pictures = {letters: write_text(black, letters) for letters in (text, "?" * len(text), "\ufffe" * len(text))}
    assert pictures[text].max() == 255 and len({picture.tobytes() for picture in pictures.values()}) == 3
    assert not write_text(black, "").any() and write_text(black, text * 20)[:, -20:].any()


@pytest.mark.parametrize(("word", "last", "begins_left"), [("word ", "WW", True), ("שלום ", "םם", False)])
def test_the_latest_words_are_seen_in_either_direction(word, last, begins_left):
    gray = np.full((96, 128, 3), 60, np.uint8)
    short = np.flatnonzero((write_text(gray, word) != gray).any((0, 2)))
    assert (short.mean() < 64) == begins_left
    long = write_text(gray, 12 * word + last) != write_text(gray, 12 * word + 2 * last[:1] + ".")
    assert long.any(), "the end of a long text is outside the picture"


def test_letters_of_no_font_are_told(capsys):
    usable_font.cache_clear()
    assert usable_font(frozenset("a\ue123")).endswith(".ttf")
    assert "no font on this machine has all of" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.opus", "libopus"), ("a.bin", "pcm_s16le")])
def test_sound_alone_is_known_by_what_is_in_the_file(name, codec, tmp_path):
    rate = 48_000 if codec == "libopus" else RATE
    kind = {"a.m4a": "ipod", "a.opus": "ogg", "a.bin": "wav"}[name]
    with av.open(str(tmp_path / name), "w", kind) as file:
        audio = file.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(clicks(1, [0.5], rate)[None], "s16", "mono")
        frame.sample_rate = rate
        file.mux([*audio.encode(frame), *audio.encode(None)])
    item = raw_item(tmp_path / name, tmp_path)
    assert item.video is None and item.audio == tmp_path / name and item.seconds == pytest.approx(1, abs=0.1)
    assert not is_video(tmp_path / name) and file_offset(tmp_path / name) == 0


def test_words_of_sound_that_starts_late_are_on_the_files_own_clock(tmp_path):
    with av.open(str(tmp_path / "a.m4a"), "w", "mp4") as file:
        audio = file.add_stream("aac", rate=RATE, layout="mono")
        for first in range(0, RATE, 1024):
            piece = av.AudioFrame.from_ndarray(clicks(1, [0.5])[None, first : first + 1024], "s16", "mono")
            piece.sample_rate, piece.pts, piece.time_base = RATE, first + 2 * RATE, Fraction(1, RATE)
            file.mux(audio.encode(piece))
        file.mux(audio.encode(None))
    item = raw_item(tmp_path / "a.m4a", tmp_path)
    click = int(np.argmax(np.abs(read_audio(item.audio)) > 0.3)) / RATE
    assert file_offset(tmp_path / "a.m4a") + click == pytest.approx(2.5, abs=0.02)


def test_what_is_odd_about_sound_is_told(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.stack([clicks(1, [0.5]), -clicks(1, [0.5])], 1), RATE)
    raw_item(tmp_path / "a.wav", tmp_path)
    assert f"{tmp_path / 'a.wav'}: the channels of the sound cancel each other out" in capsys.readouterr().err


def test_sound_that_is_too_long_is_refused_as_a_video_is(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.aiff", np.zeros(2 * RATE), RATE)
    monkeypatch.setattr(raw_video, "LONGEST", 1.0)
    with pytest.raises(InputError, match=r"a\.aiff: must last at most 1 seconds, a few sentences, got 2; cut it"):
        raw_item(tmp_path / "a.aiff", tmp_path)


def test_what_is_neither_is_refused_as_a_video(tmp_path):
    (tmp_path / "a.wav").write_text("<html>" * 100)
    with pytest.raises(InputError, match=r"a\.wav: must be a video, got something else"):
        raw_item(tmp_path / "a.wav", tmp_path)


def test_words_of_a_video_are_on_the_files_own_clock(tmp_path):
    gray = [np.full((288, 360, 3), 60, np.uint8)] * 10
    path = write_video(tmp_path / "a.mkv", gray, clicks(3, [2.2]), times=2 + 0.04 * np.arange(10))
    assert file_offset(path) == pytest.approx(2, abs=0.01)
    assert shift_words([Word("a", 0.5, 1.0), Word("b")], 2.0) == (Word("a", 2.5, 3.0), Word("b"))
    write_subtitled_video(path, [Word("WWWW", 2.2, 2.4)], tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as file:
        white = [int((frame.to_ndarray(format="gray") > 200).sum()) for frame in file.decode(video=0)]
    assert min(white[5:]) > 50 and max(white[:5]) == 0
