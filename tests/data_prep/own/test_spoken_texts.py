"""Texts beside recordings: every word of every valid form, with the times of the file."""

import sys

import pytest

from seqkit.data_prep.own.spoken_texts import Cue, by_recording, find_text, read_cues, table_cues
from seqkit.errors import InputError
from tests.data_prep.own.test_text_grid import HEAD
from tests.raw_files import write_lines


def read(path, text, **more):
    path.write_text(text, encoding="utf-8")
    return read_cues(path, **more)


def test_subrip_with_tags_blank_lines_numbers_and_a_byte_order_mark(tmp_path):
    text = (
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Hello</i> {\\an8}there\r\nR&amp;D, 1 < 2 {laughs}\r\n\r\n"
        "2\n100:00:02.250 --> 100:00:03,000 X1:10\nroom\n\n42\n\n"
        '3\n00:00:04,000 --> 00:00:05,000\nno <font color="red">number</font>\n'
    )
    assert read(tmp_path / "a.srt", text) == [
        Cue("Hello there R&amp;D, 1 < 2 {laughs}", 1.0, 2.5),
        Cue("room 42", 360002.25, 360003.0),
        Cue("no number", 4.0, 5.0),
    ]


def test_webvtt_with_names_voices_entities_and_settings(tmp_path):
    text = (
        "WEBVTT - title\nKind: captions\n\nNOTE a\nnote\n\nSTYLE\n::cue { color: red }\n\nintro\n"
        "00:01.000 --> 00:02.000 align:start\n<v Mary Ann>R&amp;D &lt;b&gt; <i>it</i></v>\n- five\n\n"
        "q2\n01:00:02.000 --> 01:00:03.500\n5\n"
    )
    assert read(tmp_path / "a.vtt", text) == [Cue("R&D <b> it - five", 1.0, 2.0, "Mary Ann"), Cue("5", 3602.0, 3603.5)]


def test_captions_that_roll_up_are_read_once(tmp_path):
    """As YouTube writes what it hears: each line comes growing, then alone, then above the next."""
    text = (
        "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\n \nso<00:00:00.800><c> the</c><00:00:01.100><c> dog</c>\n\n"
        "00:00:02.000 --> 00:00:02.010\nso the dog\n \n\n"
        "00:00:02.010 --> 00:00:04.000\nso the dog\nruns<00:00:02.500><c> home</c>\n"
    )
    assert read(tmp_path / "a.vtt", text) == [Cue("so the dog", 0.5, 2.0), Cue("runs home", 2.01, 4.0)]
    plain = "WEBVTT\n\n00:01.000 --> 00:02.000\nno\n\n00:02.000 --> 00:03.000\nno\n"
    assert [cue.text for cue in read(tmp_path / "b.vtt", plain)] == ["no", "no"]


def grid(*tiers):
    text = f"{HEAD}0 9 <exists> {len(tiers)}\n"
    for name, entries in tiers:
        text += f'"IntervalTier" "{name}" 0 9 {len(entries)}\n' + "".join(f'{a} {b} "{t}"\n' for a, b, t in entries)
    return text


WORDS = ("words", [(0, 1, "sil"), (1, 2, "hello"), (2, 3, "you"), (3, 5, ""), (5, 6, "bye")])
PHONES = ("phones", [(1, 2, "h"), (2, 3, "j")])
SAID = ("utterance", [(0, 0.9, ""), (0.9, 3.2, "Hello,  you!"), (3.2, 4.8, ""), (4.8, 6.5, "Bye.")])


def test_tiers_of_sentences_get_the_words_below_them(tmp_path):
    assert read(tmp_path / "a.TextGrid", grid(WORDS, SAID, PHONES)) == [
        Cue("Hello, you!", 0.9, 3.2, None, (("hello", 1.0, 2.0), ("you", 2.0, 3.0))),
        Cue("Bye.", 4.8, 6.5, None, (("bye", 5.0, 6.0),)),
    ]
    alone = read(tmp_path / "b.TextGrid", grid(PHONES, WORDS))
    assert [(cue.text, cue.words) for cue in alone][0] == ("hello", (("hello", 1.0, 2.0),)) and len(alone) == 3
    named = read(tmp_path / "c.TextGrid", grid(("a", [(0, 1, "x")]), ("b", [(0, 1, "y")])), tier="b")
    assert [cue.text for cue in named] == ["y"]
    with pytest.raises(InputError, match=r"c\.TextGrid: --tier must name one of its tiers, 'a', 'b'; got none"):
        read_cues(tmp_path / "c.TextGrid")


def test_plain_text_is_a_line_a_cue(tmp_path):
    assert read(tmp_path / "a.txt", "one  two\n\nthree\n") == [Cue("one two"), Cue("three")]


def test_of_several_texts_beside_a_recording_the_one_that_says_most(tmp_path):
    video = tmp_path / "my clip.1.mp4"
    for name in ("my clip.1.txt", "my clip.1.en.srt", "my clip.2.vtt", "my clip.vtt"):
        (tmp_path / name).touch()
    assert find_text(video) == tmp_path / "my clip.1.en.srt"
    (tmp_path / "my clip.1.textgrid").touch()
    assert find_text(video) == tmp_path / "my clip.1.textgrid" and find_text(tmp_path / "other.mp4") is None


def test_tables_say_what_is_said_in_which_file(tmp_path):
    write_lines(
        tmp_path / "a.csv", "File,Sentence,start,end,speaker", "x/a.mp4,hello,1,2.5,ann", "b,bye,,,", ",none,,,"
    )
    cues = table_cues(tmp_path / "a.csv")
    assert cues == {"x/a.mp4": [Cue("hello", 1.0, 2.5, "ann")], "b": [Cue("bye")]}
    paths = [tmp_path / "x" / "a.mp4", tmp_path / "y" / "b.mp4", tmp_path / "c.mp4"]
    assert list(by_recording(cues, paths, tmp_path)) == paths[:2]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (("clip name,words", "a,b"), "line 2: must have columns `file` and `text`, got clip name, words"),
        (("file,text,start", "a,b,soon"), "line 2: `start` must be seconds, got 'soon'"),
    ],
)
def test_tables_without_files_or_times_are_refused(tmp_path, lines, fault):
    write_lines(tmp_path / "a.csv", *lines)
    with pytest.raises(InputError, match=fault):
        table_cues(tmp_path / "a.csv")


@pytest.mark.parametrize(("name", "text"), [("a.srt", "hello\nworld\n"), ("a.vtt", "no header\n")])
def test_what_is_no_subtitle_is_refused(tmp_path, name, text):
    with pytest.raises(InputError, match=rf"{name}: must be (SubRip text|WebVTT), got a fault: \S"):
        read(tmp_path / name, text)


@pytest.mark.parametrize(("name", "module"), [("a.srt", "srt"), ("a.vtt", "webvtt")])
def test_without_the_library_one_line_says_what_to_install(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf'{module} must be installed to read it: pip install "seqkit\[subtitles\]"'):
        read(tmp_path / name, "1\n")
