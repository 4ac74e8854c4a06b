"""Own sound, and Kaldi folders, to manifests: the same samples, texts and speakers, and every drop told."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from seqkit.cli import main
from seqkit.data.audio import read_audio
from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.own.shares import Shares
from seqkit.data_prep.own.sounds import prepare
from seqkit.errors import InputError
from seqkit.tasks import find_recipe
from tests.raw_files import stats, write_lines


def everything(out):
    return {item.id: item for path in out.glob("*.jsonl") for item in read_manifest(path)}


def noise(seconds: float, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate))


def write(path, seconds=2.0, rate=16_000, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(seconds, rate, seed), rate)
    return path


def test_whole_files_stay_where_they_are(tmp_path, capsys):
    for n, ending in enumerate(("wav", "flac", "ogg", "mp3", "wav", "wav")):
        path = write(tmp_path / "raw" / f"{n}.{ending}", 1 + 0.1 * n, 44_100, n)
        write_lines(path.with_suffix(".txt"), f"text {n}")
    write(tmp_path / "raw" / "silent partner.wav")
    (tmp_path / "raw" / "5.wav").write_bytes(b"no sound")
    assert main(["prepare", "sounds", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]) == 0
    items = everything(tmp_path / "out")
    assert {name: item.audio.name for name, item in items.items()} == {
        "0": "0.wav", "1": "1.flac", "2": "2.ogg", "3": "3.mp3", "4": "4.wav"
    }  # fmt: skip
    assert abs(items["1"].seconds - 1.1) < 0.01 and items["1"].start is None and items["2"].references == ("text 2",)
    assert stats(tmp_path / "out")["all"]["dropped"] == {"no_text": 1, "unreadable": 1}
    assert "split=by recording, of which there are 5" in capsys.readouterr().out
    assert not [found for found in check(tmp_path / "out", find_recipe("wlas").reads)[1] if found.problem]


def test_what_is_odd_about_sound_is_in_the_statistics(tmp_path):
    path = write(tmp_path / "raw" / "a.wav")
    path.write_bytes(path.read_bytes()[:32_044])
    write_lines(path.with_suffix(".txt"), "half")
    prepare(tmp_path / "raw", tmp_path / "out", Shares(split="all"))
    assert stats(tmp_path / "out")["all"]["remarks"] == {str(path): ["cut off: 1.00 of 2.00 seconds"]}


def test_cues_of_sound_that_starts_late_are_on_the_files_own_clock(tmp_path):
    path, loud = tmp_path / "raw" / "a.m4a", 0.02 * noise(6)
    loud[48_000:64_000] *= 20  # from three seconds of the sound on, five of the file
    path.parent.mkdir()
    with av.open(str(path), "w", "mp4") as file:
        audio = file.add_stream("aac", rate=16_000, layout="mono")
        for first in range(0, len(loud), 1024):
            samples_N = np.ascontiguousarray(loud[None, first : first + 1024], np.float32)
            piece = av.AudioFrame.from_ndarray(samples_N, "fltp", "mono")
            piece.sample_rate, piece.pts, piece.time_base = 16_000, first + 32_000, Fraction(1, 16_000)
            file.mux(audio.encode(piece))
        file.mux(audio.encode(None))
    path.with_suffix(".srt").write_text("1\n00:00:05,000 --> 00:00:06,000\nloud\n")
    prepare(tmp_path / "raw", tmp_path / "out", Shares(split="all"))
    (item,) = everything(tmp_path / "out").values()
    cut_N = read_audio(item.audio, start=item.start, end=item.end)
    assert len(cut_N) == 16_000 and (np.abs(cut_N.reshape(20, -1)).max(1) > 0.1).sum() >= 19


@pytest.mark.parametrize("ending", ["wav", "ogg"])
def test_cuts_of_a_long_recording_are_its_samples(tmp_path, ending):
    source = write(tmp_path / "raw" / f"talk.{ending}", 20.0)
    text = "WEBVTT\n\n00:01.000 --> 00:03.500\n<v Ann>hello &amp; you\n\n00:15.250 --> 00:19.000\n<v Bo>bye\n"
    source.with_suffix(".vtt").write_text(text)
    for _ in range(2):
        prepare(tmp_path / "raw", tmp_path / "out", Shares(split="all"))
    items = everything(tmp_path / "out")
    assert [(item.references[0], item.speaker) for item in items.values()] == [("hello & you", "Ann"), ("bye", "Bo")]
    own = source if ending == "wav" else tmp_path / "out" / "sounds" / "talk.wav"
    assert {item.audio for item in items.values()} == {own}
    whole_N = read_audio(source)
    for name, start, end in (("talk-0001", 1.0, 3.5), ("talk-0002", 15.25, 19.0)):
        item = items[name]
        cut_N = read_audio(item.audio, start=item.start, end=item.end)
        assert item.seconds == end - start and len(cut_N) == round(16_000 * (end - start))
        assert np.abs(cut_N - whole_N[round(16_000 * start) :][: len(cut_N)]).max() < 1e-3


def test_lines_between_pauses(tmp_path):
    silent = 0.001 * noise(1.0)
    sound = np.concatenate([silent, noise(8), silent, noise(6), silent])
    (tmp_path / "raw").mkdir()
    soundfile.write(tmp_path / "raw" / "a.wav", sound, 16_000)
    write_lines(tmp_path / "raw" / "a.txt", "first", "second")
    prepare(tmp_path / "raw", tmp_path / "out", Shares(split="all"))
    first, second = everything(tmp_path / "out").values()
    assert 0.6 < first.start <= 1 and 9 <= first.end < 9.6 <= second.start <= 10 and 16 <= second.end < 16.4


def kaldi(folder, names=("a1", "a2", "b1", "c1")):
    for name in names:
        write(folder / "wav" / f"{name}.wav", 3.0)
    write_lines(folder / "wav.scp", *(f"{name} {folder / 'wav' / name}.wav" for name in names))
    write_lines(folder / "segments", *(f"{name}-{k} {name} {k}.0 {k + 1}.5" for name in names for k in range(2)))
    write_lines(folder / "text", *(f"{name}-{k} words of {name} {k}" for name in names for k in range(2)))
    write_lines(folder / "utt2spk", *(f"{name}-{k} {name[0]}" for name in names for k in range(2)))
    return folder


def test_a_kaldi_folder(tmp_path):
    raw = kaldi(tmp_path / "raw")
    prepare(raw, tmp_path / "out", Shares())
    items = everything(tmp_path / "out")
    assert len(items) == 8 and items["a2-1"].references == ("words of a2 1",) and items["a2-1"].speaker == "a"
    assert (items["a2-1"].start, items["a2-1"].end, items["a2-1"].seconds) == (1.0, 2.5, 1.5)
    assert items["a2-1"].audio == raw / "wav" / "a2.wav"
    assert stats(tmp_path / "out")["all"]["split"] == "by speaker, of which there are 3"


def test_kaldi_folders_named_after_splits_stay_in_them(tmp_path):
    for split in ("train", "dev"):
        folder = kaldi(tmp_path / "raw" / split, (f"{split}1", f"{split}2"))
        (folder / "segments").unlink()
        write_lines(folder / "text", f"{split}1 one", f"{split}2 two")
        (folder / "utt2spk").unlink()
    found = prepare(tmp_path / "raw", tmp_path / "out", Shares(test=0.0))
    assert (found["train"]["items"], found["val"]["items"]) == (2, 2)
    item = everything(tmp_path / "out")["dev1"]
    assert item.start is None and item.speaker is None and item.seconds == 3.0


def test_commands_are_not_run_but_files_that_they_only_read_are_read(tmp_path):
    raw = kaldi(tmp_path / "raw")
    lines = (raw / "wav.scp").read_text().splitlines()
    lines[0] = "a1 flac -c -d -s wav/a1.wav |"
    lines[1] = f"a2 sox wav/a2.wav {tmp_path / 'run'} |"
    lines[2] = "b1 gone.wav"
    write_lines(raw / "wav.scp", *lines[:3])
    write_lines(raw / "text", "a1-0 one", "a1-1", "a2-0 two", "b1-0 three", "c1-0 four", "zz five")
    prepare(raw, tmp_path / "out", Shares(split="all"))
    assert list(everything(tmp_path / "out")) == ["a1-0"] and not (tmp_path / "run").exists()
    told = stats(tmp_path / "out")["all"]
    assert told["dropped"] == {"no_segment": 1, "no_text": 4, "command": 1, "missing": 2}
    assert "which is not run" in told["reasons"]["a2-0"]


@pytest.mark.parametrize(
    ("name", "line", "fault"),
    [
        ("segments", "a1-0 a1 1.0", r"segments: a1-0 must have a recording, start and end, got 'a1 1\.0'"),
        ("text", "a1-0 again", "text, line 9: must name 'a1-0' once, got it in line \\d, too"),
    ],
)
def test_malformed_kaldi_files_are_refused(tmp_path, name, line, fault):
    raw = kaldi(tmp_path / "raw")
    text = (raw / name).read_text()
    (raw / name).write_text(f"{text}{line}\n" if name == "text" else f"{line}\n")
    with pytest.raises(InputError, match=fault):
        prepare(raw, tmp_path / "out", Shares())


def test_a_command_whose_quotation_does_not_end_costs_its_utterance(tmp_path):
    raw = kaldi(tmp_path / "raw")
    (raw / "wav.scp").write_text((raw / "wav.scp").read_text() + 'odd sox "a.wav |\n')
    with (raw / "segments").open("a") as file:
        file.write("odd-0 odd 0 1\n")
    with (raw / "text").open("a") as file:
        file.write("odd-0 hello\n")
    prepare(raw, tmp_path / "out", Shares(split="all"))
    assert "is a command, which is not run" in stats(tmp_path / "out")["all"]["reasons"]["odd-0"]


def test_segments_beyond_their_recording_are_dropped(tmp_path):
    raw = kaldi(tmp_path / "raw")
    write_lines(raw / "segments", "a1-0 a1 2.0 9.0", "a1-1 a1 1.0 -1", "a2-0 gone 0 1")
    prepare(raw, tmp_path / "out", Shares(split="all"))
    (item,) = everything(tmp_path / "out").values()
    assert (item.id, item.start, item.end) == ("a1-1", 1.0, 3.0)
    told = stats(tmp_path / "out")["all"]
    assert "must be within the 3 seconds of the recording, got 2 to 9" in told["reasons"]["a1-0"]
    assert "has no gone" in told["reasons"]["a2-0"]


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(InputError, match="must be a folder of sound, got no folder"):
        prepare(tmp_path / "none", tmp_path / "out", Shares())
    with pytest.raises(InputError, match=r"must hold sound \(\.wav, .*\) or a Kaldi folder, got neither"):
        prepare(tmp_path, tmp_path / "out", Shares())
    with pytest.raises(InputError, match="--longest must be above 0 seconds, got -1"):
        prepare(tmp_path, tmp_path / "out", Shares(), longest=-1)
