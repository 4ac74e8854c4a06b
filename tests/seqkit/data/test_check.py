"""`seqkit check`: every planted fault is found where it was planted, and a sound folder passes."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from PIL import Image

from seqkit.data.check import add_arguments, check, run
from seqkit.data.manifest import Item, write_manifest
from seqkit.data.video_file import write_clip
from seqkit.errors import InputError
from tests.drawn_faces import clicks, write_video


def corpus(folder, **changes):
    """A sound corpus of three files; `changes` replaces lines of train.jsonl by number, or appends them."""
    lines = [{"id": f"train-{i}", "source": f"Sentence number {i}.", "references": [f"Satz {i}."]} for i in range(1, 5)]
    for number, line in sorted(changes.items()):
        lines[int(number[4:]) - 1 :] = [line, *lines[int(number[4:]) :]]
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / "train.jsonl").write_text(text, encoding="utf-8")
    write_manifest(folder / "val.jsonl", [Item(id="val-1", source="Another one.", references=("Noch einer.",))])
    write_manifest(folder / "test.jsonl", [Item(id="test-1", source="The last.", references=("Der letzte.",))])
    return folder


def item(**keys):
    return {"id": "x", "source": "Something new.", "references": ["Etwas Neues."], **keys}


def found(folder):
    return [(finding.problem, finding.kind, finding.text) for finding in check(folder)[1]]


def arguments(*argv):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(word) for word in argv])


def test_a_sound_folder_has_no_findings(tmp_path, capsys):
    files, findings = check(corpus(tmp_path))
    assert findings == [] and {name: len(lines) for name, lines in files.items()} == {
        "test.jsonl": 1,
        "train.jsonl": 4,
        "val.jsonl": 1,
    }
    run(arguments(tmp_path))
    out = capsys.readouterr().out
    assert "train.jsonl: 4 items, 4 references\n  source: words 3 to 3, median 3" in out
    assert "problems, to be put right before training: none" in out and "remarks: none" in out


@pytest.mark.parametrize(
    ("line", "problem", "kind", "text"),
    [
        ("{", True, "not an item", "train.jsonl, line 2: must be a JSON object"),
        (item(end=-1), True, "not an item", 'train.jsonl, line 2, id "x": `end` must be seconds'),
        (item(id="train-4"), True, "repeated id", 'train.jsonl, line 4, id "train-4", `id`: line 2 has it too'),
        (item(source=" "), True, "empty text", 'train.jsonl, line 2, id "x", `source`: is empty; fill it in'),
        (item(references=["ja", ""]), False, "empty text", 'train.jsonl, line 2, id "x", `references`: is empty'),
        (item(references=None), True, "no reference", 'train.jsonl, line 2, id "x", `references`: is missing'),
        (item(references=["a\u00a0b"]), False, "not in normal form", 'id "x", `references`: is not in NFC with single'),
        (item(references=["a\u0308"]), False, "not in normal form", 'id "x", `references`: is not in NFC with single'),
        (item(source="so" + " so" * 250), False, "long text", 'line 2, id "x", `source`: has 251 words'),
        (item(source="a\ufffdb"), False, "unusual character", "`source`: holds U+FFFD, lost character"),
        (item(references=["a\u200bb"]), False, "unusual character", "`references`: holds U+200B, invisible character"),
        (item(source="a\x07b"), False, "unusual character", "`source`: holds U+0007, control character"),
        (
            item(refrences=["x"]),
            False,
            "unread key",
            "`refrences`: nothing reads it; rename it if you meant `references`",
        ),
        (
            item(question="Why?"),
            False,
            "uneven keys",
            'train.jsonl, line 1, id "train-1", `question`: is missing, 1 of 4 items have it',
        ),
        (item(image="no.jpg"), True, "missing file", 'train.jsonl, line 2, id "x", `image`: no file'),
        (item(image="text.npy"), True, "unreadable picture", 'train.jsonl, line 2, id "x", `image`:'),
        (item(image="cut.jpg"), True, "unreadable picture", "cut.jpg"),
        (item(audio="empty.wav"), True, "empty file", 'train.jsonl, line 2, id "x", `audio`:'),
        (item(seconds=2, end=3), True, "beyond the end", "`seconds`: is 2, but `start` to `end` lasts 3; correct one"),
        (item(seconds=2, words=[["so", 1.5, 2.5]]), False, "word outside", "`words`: 'so' at 1.5 to 2.5 seconds is"),
        (item(start=1, end=2, words=[["so", 0.5, 1.5]]), False, "word outside", "`words`: 'so' at 0.5 to 1.5"),
        (
            item(words=[["Neues.", 0.5, 0.6], ["Etwas", 0.1, 0.2]]),
            False,
            "words out of order",
            "`words`: 'Etwas' begins before 'Neues.', which stands before it; sort them by time",
        ),
        (item(words=[["Etwas", 0.1, 0.2]]), False, "other words", "`words`: are not those of `references`, 'Etwas Neu"),
        (item(rows=[0, 1]), False, "unread key", "`rows`: nothing reads it without `features`; remove it"),
        (item(features="text.npy"), True, "features", "text.npy must hold (time, width), got no array"),
        (item(features="flat.npy"), True, "features", "flat.npy must hold (time, width), got shape (3,)"),
        (item(features="good.npy", rows=[0, 4]), True, "beyond the end", "`rows`: ends at 4, past the 3 rows of"),
        (item(source="Another  one."), False, "same source in two files", "`source`: train.jsonl, line 2 has the same"),
        (item(id="val-1"), False, "same id in two files", "`id`: train.jsonl, line 2 has the same"),
    ],
)
def test_a_fault_is_found(tmp_path, line, problem, kind, text):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.npy").write_text("no array")
    Image.effect_noise((90, 90), 50.0).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-400])
    np.save(tmp_path / "flat.npy", np.zeros(3))
    np.save(tmp_path / "good.npy", np.zeros((3, 2)))
    findings = found(corpus(tmp_path, line2=line))
    matches = [f for f in findings if f[:2] == (problem, kind) and text in f[2]]
    assert matches, findings
    assert any(is_problem for is_problem, _, _ in findings) == problem


def test_widths_of_features_must_agree(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    np.save(tmp_path / "b.npy", np.zeros((3, 4)))
    folder = corpus(tmp_path, line1=item(id="a", features="a.npy"), line3=item(id="b", features="b.npy"))
    texts = [text for _, kind, text in found(folder) if kind == "features"]
    here, there = (f'train.jsonl, line {n}, id "{name}", `features`' for n, name in ((3, "b"), (1, "a")))
    assert texts == [f"{here}: has width 4, but {there} has 2; compute all of them alike"]


def test_the_same_medium_in_two_files_is_found_however_it_is_written(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.jpg").write_bytes(b"picture")
    folder = corpus(tmp_path, line2={"id": "x", "image": "x/1.jpg", "references": ["Etwas."]})
    (folder / "val.jsonl").write_text('{"id": "v", "image": "x/../x/1.jpg", "references": ["So."]}\n')
    assert any(kind == "same image in two files" for _, kind, _ in found(folder))
    write_manifest(folder / "val.jsonl", [Item(id="v", image=tmp_path / "x" / "1.jpg", end=2.0, references=("So.",))])
    assert not any("two files" in kind for _, kind, _ in found(folder))


def test_repetition_is_a_leak_across_files_alone(tmp_path):
    folder = corpus(tmp_path, line2=item(), line3=item(id="y"))
    assert found(folder) == []
    write_manifest(folder / "val.jsonl", [Item(id="v", source="Sentence number 1.", references=("Satz 1.",))])
    place = 'val.jsonl, line 1, id "v", `source`: train.jsonl, line 1 has the same; keep it in one of them'
    assert found(folder) == [(False, "same source in two files", place)]


def test_missing_splits_empty_and_undecodable_files(tmp_path):
    (tmp_path / "test.jsonl").write_text("\n")
    (tmp_path / "val.jsonl").write_bytes(b'{"id": "\xff"}\n')
    findings = found(tmp_path)
    assert (False, "missing split", f"{tmp_path}: has no train.jsonl, which training needs") in findings
    assert (True, "no items", "test.jsonl: holds no valid item; fill it or remove it") in findings
    assert any(kind == "unreadable file" and "val.jsonl, line 1: byte 8 is not UTF-8" in t for _, kind, t in findings)


def test_a_folder_without_manifests_is_an_error(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"must be a folder with manifests such as train.jsonl, got no \*.jsonl"):
            run(arguments(folder))


def test_problems_end_in_an_error_and_long_lists_are_cut(tmp_path, capsys):
    folder = corpus(tmp_path, line1=item(source=""), line2="{", line3="{", line4="{")
    with pytest.raises(InputError, match="4 problems, listed above; put them right and check again"):
        run(arguments(folder, "--show", 2))
    out = capsys.readouterr().out
    assert "not an item (3)\n    train.jsonl, line 2" in out and "and 1 more (--show lists more)" in out
    assert out.count("must be a JSON object") == 2


def test_hours_and_media_are_counted(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 56_000), 16_000)
    first = Item(id="0", audio=tmp_path / "a.wav", start=0.0, end=0.5, speaker="s", references=("x",))
    items = [replace(first, id=str(second), start=second, end=second + 0.5) for second in range(4)]
    write_manifest(tmp_path / "train.jsonl", items)
    run(arguments(tmp_path))
    out = capsys.readouterr().out
    assert "train.jsonl: 4 items, 4 references, 4 audio, 1 speakers" in out
    assert "seconds: 0.5 to 0.5, median 0.5, 99 percent at most 0.5, 0.00 hours in all" in out


def test_commands_of_a_terminal_are_shown_and_not_obeyed(tmp_path, capsys):
    folder = corpus(tmp_path, line2=item(id="a\x1b[2J", refrences=["x"]))
    run(arguments(folder))
    out = capsys.readouterr().out
    assert r"a\x1b[2J" in out and "\x1b" not in out


@pytest.mark.parametrize(
    ("key", "name", "content"),
    [
        ("video", "a.mp4", b"a text, not a video"),
        ("audio", "a.wav", b"a text, not sound"),
        ("video", "b.mp4", b"<!DOCTYPE html><html></html>" * 50),
        ("audio", "b.flac", b"<!DOCTYPE html><html></html>" * 50),
        ("video", "c.mp4", b"#EXTM3U\n#EXTINF:3,\na.mp4\n"),
    ],
)
def test_files_that_are_no_media_are_named(key, name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    findings = found(corpus(tmp_path, line2=item(**{key: name})))
    assert [kind for is_problem, kind, _ in findings if is_problem] == [f"unreadable {key}"]
    assert any(f'train.jsonl, line 2, id "x", `{key}`: {tmp_path / name}: must be' in text for _, _, text in findings)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_named(value, tmp_path):
    samples = np.full(16_000, 0.1, np.float32)
    samples[77] = value
    soundfile.write(tmp_path / "a.wav", samples, 16_000, "FLOAT")
    np.save(tmp_path / "a.npy", np.array([[1.0, value]] * 20_000))
    np.save(tmp_path / "b.npy", np.array([["a", "b"]]))
    lines = {f"line{n}": item(id=name, **{key: name}) for n, (key, name) in enumerate(ODD_NUMBERS, 1)}
    texts = [text for is_problem, _, text in found(corpus(tmp_path, **lines)) if is_problem]
    assert len(texts) == 3 and all(any(name in text for text in texts) for _, name in ODD_NUMBERS)


ODD_NUMBERS = [("audio", "a.wav"), ("features", "a.npy"), ("features", "b.npy")]


def test_lengths_are_those_of_the_media_not_of_the_manifest(tmp_path):
    write_clip(tmp_path / "a.mp4", [np.zeros((32, 32, 3), np.uint8)] * 10, {})
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    lines = [
        item(id="a", video="a.mp4", seconds=3.0),
        item(id="b", audio="a.wav", start=0.5, end=1.5),
        item(id="c", video="a.mp4", audio="a.wav", seconds=0.4),
        item(id="d", audio="a.wav", start=0.2, end=0.9, seconds=0.7, words=[["so", 0.1, 0.6]]),
        item(id="e", video="e.mkv", seconds=3.0),
    ]
    write_video(tmp_path / "e.mkv", [np.zeros((32, 32, 3), np.uint8)] * 25, clicks(3, [0.5]))  # its sound goes on
    findings = found(corpus(tmp_path, **{f"line{n}": line for n, line in enumerate(lines, 1)}))
    texts = {
        text.split("`")[0].split('"')[1]: (is_problem, text) for is_problem, kind, text in findings if "end" in kind
    }
    assert set(texts) == {"a", "b", "e"} and texts["b"][0] and not texts["a"][0]
    assert "past the 1.00 seconds of `video`" in texts["e"][1]
    assert "`seconds`: reaches to 3, past the 0.40 seconds of `video`; correct it" in texts["a"][1]


def test_words_of_a_cut_count_from_its_beginning(tmp_path):
    words = [["bin", 3.1, 3.4], ["blue", 3.4, 3.9]]
    findings = found(corpus(tmp_path, line2=item(start=3.0, end=6.0, words=words, references=["Bin, blue!"])))
    assert {(is_problem, kind) for is_problem, kind, _ in findings} == {(True, "word outside")}
    assert "`words` counts from the beginning of the item, not of the file" in findings[0][2]
    moved = [[word, begin - 3, end - 3] for word, begin, end in words]
    assert (
        found(corpus(tmp_path, line2=item(start=3.0, end=6.0, seconds=3.0, words=moved, references=["bin blue"]))) == []
    )


def test_whole_faces_and_silence_are_remarked(tmp_path):
    write_video(tmp_path / "a.mp4", [np.zeros((288, 360, 3), np.uint8)] * 5)
    write_video(tmp_path / "b.mp4", [np.zeros((50, 100, 3), np.uint8)] * 5)
    voice = np.random.default_rng(0).normal(0, 0.1, 16_000)
    soundfile.write(tmp_path / "a.wav", np.stack([voice, -voice], 1), 16_000)
    soundfile.write(tmp_path / "b.wav", np.zeros(16_000), 16_000)
    lines = [item(id=n, video=f"{n}.mp4", audio=f"{n}.wav") for n in "ab"]
    findings = found(corpus(tmp_path, line1=lines[0], line2=lines[1]))
    told = {
        kind: text for is_problem, kind, text in findings if not is_problem and kind in ("no mouth clip", "odd sound")
    }
    assert (
        "has 360 x 288 pixels and no note of a mouth clip: the model would see it whole; `seqkit"
        in told["no mouth clip"]
    )
    assert sum(kind == "no mouth clip" for _, kind, _ in findings) == 1
    assert sorted(text.split(": ")[-1] for _, kind, text in findings if kind == "odd sound") == [
        "the channels of the sound cancel each other out; keep one of them",
        "the sound is silent",
    ]
