"""Long recordings: stretches of speech between pauses, blocks of a video that is streamed, and that nothing is lost."""

import random
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

import seqkit
from seqkit.cli import main
from seqkit.data.decoder_process import DecoderEnded
from seqkit.data.manifest import read_manifest
from seqkit.data.video_file import read_clip, write_clip
from seqkit.data_prep.lipreading.mouths import STILL_MOUTH
from seqkit.errors import InputError
from seqkit.recipes.lipreading import face_stream, long_recording, raw_video
from seqkit.recipes.lipreading.face_stream import FaceStream
from seqkit.recipes.lipreading.long_recording import (
    LOUD,
    QUIET,
    Activity,
    Progress,
    Stretch,
    Stretches,
    joined,
    loudness,
    motion,
    read_parts,
    spoken_stretches,
    with_margins,
)
from seqkit.recipes.lipreading.recording import StreamedRecording, open_recording
from seqkit.score.prediction import Interrupted, Prediction, Word
from tests.drawn_faces import RATE, clicks, face, talking, write_video
from tests.tiny_runs import corpus, train


def stretches(flags: Sequence[int], blocks: list[int], **numbers: int) -> list[Stretch]:
    """What is found in levels that come in blocks of so many."""
    finder = Stretches(**{"pause": 4, "most": 20, "context": 3, "least": 1, "least_quiet": 1, **numbers})
    found, done = [], 0
    for block in blocks:
        found += finder.feed(np.array(flags[done : done + block], np.int8))
        done += block
    return [*found, *finder.feed(np.array(flags[done:], np.int8), last=True)]


@pytest.mark.parametrize("seed", range(30))
def test_stretches_have_all_speech_in_order_however_it_comes(seed: int) -> None:
    draw, flags = random.Random(seed), list[bool]()
    while len(flags) < 300:
        flags += [bool(draw.random() < 0.5)] * draw.choice([1, 2, 3, 5, 9, 30])
    whole = stretches(flags, [])
    assert whole == stretches(flags, [draw.randrange(1, 40) for _ in range(7)]) == stretches(flags, [1] * len(flags))
    assert all(0 < own.end - own.first <= 20 + 3 + 3 for own in whole)
    assert all(
        one.end <= other.first and one.ends == other.begins for one, other in zip(whole, whole[1:], strict=False)
    )
    covered = {place for own in whole for place in range(own.first, own.end)}
    assert {place for place, said in enumerate(flags) if said} <= covered
    for own in whole:  # no pause within
        inner = "".join("x" if flag else "." for flag in flags[own.first : own.end]).strip(".")
        assert "...." not in inner


def test_a_stretch_ends_in_a_pause_or_else_at_its_longest_gap() -> None:
    said = [False] * 5 + [True] * 6 + [False] * 5 + [True] * 30 + [False] * 5
    first, second, third = stretches(said, [])
    assert (first, second) == (Stretch(2, 13, True, True), Stretch(13, 33, True, False))
    assert third == Stretch(33, 49, False, True)
    gap = [True] * 14 + [False] * 3 + [True] * 10
    assert stretches(gap, []) == [Stretch(0, 15, True, False), Stretch(15, 27, False, True)]
    assert stretches([False] * 30, [7]) == [] and stretches([0] * 9 + [LOUD] + [0] * 9, [], least=2) == []


def test_a_breath_between_sentences_is_not_read_and_a_quiet_sentence_is() -> None:
    said, breath, quiet = [0] * 5 + [QUIET, LOUD, LOUD, QUIET], [0] * 9 + [QUIET] * 4, [0] * 9 + [QUIET] * 5 + [0] * 9
    found = stretches(said + breath + quiet, [], least=3, least_quiet=5)
    assert found == [Stretch(2, 12, True, True), Stretch(28, 39, True, True)]


def test_speech_is_told_from_pauses_by_sound_and_by_lips() -> None:
    sound = np.concatenate([np.full(640 * 10, 1e-4), np.full(640 * 10, 0.1), np.full(640 * 10, 1e-4)])
    assert Activity(10.0, -45.0).feed(loudness(sound, 30)).tolist() == [0] * 10 + [LOUD] * 10 + [0] * 10
    level_T = np.array([-60.0] * 10 + [-35.0] * 3 + [-20.0] * 10)
    assert Activity(10.0, -45.0).feed(level_T).tolist() == [0] * 10 + [QUIET] * 3 + [LOUD] * 10
    assert not Activity(10.0, -45.0).feed(loudness(np.full(640 * 10, 1e-4), 10)).any()
    assert Activity(10.0, -45.0).feed(loudness(np.full(640 * 10, 0.1), 10)).all()
    still, moving = torch.zeros(20, 1, 8, 8), torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 90
    flags = Activity(0.3, -9.0).feed(motion(torch.cat([still, moving, still])))
    assert flags[22:38].all() and not flags[:18].any() and not flags[42:].any()


def test_a_video_comes_in_blocks_with_its_sound(tmp_path: Path) -> None:
    sky = [np.full((144, 176, 3), 60, np.uint8)] * 260
    pictures = [*talking(300), *sky, *talking(120, places=((90, 66),))]
    path = write_video(tmp_path / "a.mkv", pictures, clicks(27, [1.0, 26.0]))
    recording = StreamedRecording(path, tmp_path, video=True)
    assert recording.seconds == pytest.approx(27.2, abs=0.2)
    held, places = [], []
    while recording.advance():
        held.append(len(recording.pixels))
        seen_T = recording.seen(recording.begin, recording.read)
        places += (np.abs(recording.samples_N[-250 * 640 :].astype(int)) > 10_000).nonzero()[0].tolist()
        if seen_T.all():
            clip = recording.item(recording.begin, recording.read)
            assert len(read_clip(clip.video)) == recording.read - recording.begin and clip.audio
        recording.forget(recording.read - 10)
        assert recording.begin == max(0, recording.read - 10) and len(recording.samples_N) == 640 * 10
    recording.close()
    assert recording.read == 680 and max(held) <= 260 and len(list(tmp_path.glob("*.mp4"))) <= 1
    assert places and recording.stream.process.child.poll() is not None


def test_a_long_video_says_what_is_odd_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def two(number: int, second: float) -> np.ndarray:
        picture = np.full((160, 320, 3), (70, 120, 150), np.uint8)
        face(x=80, y=72, width=54, opened=0.3, picture=picture)
        return face(x=230, y=72, width=80, opened=second, picture=picture)

    pictures = [two(number, 0.3) for number in range(520)]
    path = write_video(tmp_path / "a.mkv", pictures, np.zeros(RATE * 20, np.int16))
    recording = StreamedRecording(path, tmp_path, video=True)
    while recording.advance():
        pass
    recording.close()
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: the sound is silent",
        f"{path}: 2 faces, of which the largest near the center was taken",
        f"{path}: {STILL_MOUTH}",
    ]


def test_lips_tell_of_speech_where_the_sound_is_silent(tmp_path: Path) -> None:
    moving, still = talking(60), [face(opened=0.3)] * 60
    path = write_video(tmp_path / "a.mkv", [*still, *moving, *still], np.zeros(RATE * 7, np.int16))
    recording = StreamedRecording(path, tmp_path, video=True)
    reader = SimpleNamespace(read_video_stream=lambda item: torch.from_numpy(read_clip(item.video, grayscale=True)))
    found = [own for own in spoken_stretches(recording, cast(Any, reader)) if own is not None]
    recording.close()
    assert any(abs(own.first - 50) < 5 and abs(own.end - 130) < 5 for own in found)


def test_sound_alone_comes_in_blocks(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(clicks(25, [3.0]).tobytes())
    recording = open_recording(tmp_path / "a.wav", tmp_path, video=False)
    while recording.advance():
        pass
    item = recording.item(70, 80)
    assert recording.read == 625 and item.video is None and item.audio and item.seconds == 0.4
    recording.close()


def test_a_process_that_ends_is_an_error_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mkv", [face()] * 10)
    stream = FaceStream(path)
    stream.process.child.kill()
    with pytest.raises(InputError, match=r"a\.mkv: must be a whole file, got one that "):
        stream.next_block()
    assert issubclass(DecoderEnded, Exception) and face_stream.BLOCK == 250


def part(text: str, start: float) -> Prediction:
    return Prediction(text, -1.0, -2.0, (Word(text, start, start + 1),), tokens=(4, 5))


def test_parts_are_joined_to_one() -> None:
    whole = joined([part("a", 0.0), part("", 2.0)._replace(words=(), tokens=()), part("b", 3.0)], 9.0, 7)
    assert (whole.text, whole.logprob, whole.score, whole.seconds) == ("a b", -3.0, -6.0, 9.0)
    assert [word.start for word in whole.words] == [0.0, 3.0] and whole.tokens == (4, 5, 7, 4, 5)


class Pretended:
    """A recording of 100 seconds of which 50 are read."""

    seconds, read, rate, begin = 100.0, 1250, 25.0, 1000
    closed = False

    def close(self) -> None:
        self.closed = True


def test_an_interrupt_gives_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    def parts() -> Iterator[Prediction | None]:
        yield part("a", 0.0)
        yield None
        raise KeyboardInterrupt

    recording = Pretended()
    with pytest.raises(Interrupted) as caught:
        read_parts(recording, parts(), "x.mp4", None)  # type: ignore[arg-type]
    assert (caught.value.found.text, caught.value.found.seconds) == ("a", 50.0) and recording.closed
    assert "x.mp4: interrupted after 50 of 100 s, of which the words follow\n" in capsys.readouterr().err


def test_progress_says_how_fast_and_how_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 5.0, 10.0, 12.0])
    monkeypatch.setattr(long_recording.time, "monotonic", lambda: next(clock))
    progress = Progress("x.mp4", 3600.0)
    for done in (10.0, 20.0, 30.0):
        progress.show(done)
    assert capsys.readouterr().err == "x.mp4: 20 of 3600 s read, 2.0 s a second, 29:50 left\n"


def test_a_side_without_a_pause_is_read_with_margins() -> None:
    assert with_margins(Pretended(), Stretch(1100, 1180, True, True)) == (1100, 1180)  # type: ignore[arg-type]
    assert with_margins(Pretended(), Stretch(1100, 1180, False, False)) == (1050, 1230)  # type: ignore[arg-type]
    assert with_margins(Pretended(), Stretch(1020, 1240, False, False)) == (1000, 1250)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An untrained run of either recipe, and a clip of four sentences with pauses between."""
    folder = tmp_path_factory.mktemp("long")
    data = corpus("lipnet", folder / "data")
    for task in ("lipnet", "wlas"):
        assert train(task, data, folder / task) == 0
    items = read_manifest(data / "val.jsonl")[:4]
    frames = [read_clip(item.video)[..., ::-1] for item in items if item.video]
    write_clip(folder / "long.mp4", (own for clip in frames for own in [*clip, *[clip[-1]] * 20]), {"frames": 1})
    with wave.open(str(folder / "long.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        for clip, item in zip(frames, items, strict=True):
            with wave.open(str(item.audio)) as own:
                sound = own.readframes(len(clip) * 640)
            file.writeframes(sound.ljust(len(clip) * 1280, b"\0") + bytes(20 * 1280))
    return {"clip": folder / "long.mp4", "lipnet": folder / "lipnet", "wlas": folder / "wlas"}


@pytest.mark.parametrize("task", ["lipnet", "wlas"])
def test_what_is_read_of_a_long_clip_is_what_its_stretches_give(
    task: str, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_video, "LONGEST", 2.0)
    trained = seqkit.load(runs[task])
    assert trained.predictor.readers[0].clips is None  # else the whole clip would be kept in memory
    [[whole]] = trained.predict([runs["clip"]])
    predictor = trained.predictor
    recording = open_recording(runs["clip"], runs["clip"].parent)
    found = [own for own in long_recording.spoken_stretches(recording, predictor.readers[0]) if own]
    assert len(found) == 4 and all(own.begins and own.ends for own in found)
    items = [recording.item(own.first, own.end) for own in found]
    if task == "lipnet":
        alone = [best for [best] in predictor.decode(predictor.item_logits(items))]
    else:
        alone = [best for [best] in predictor.predict_items(items)]
    assert whole.text == " ".join(own.text for own in alone if own.text)
    assert whole.logprob == pytest.approx(sum(own.logprob for own in alone), abs=1e-3)
    assert whole.seconds == pytest.approx(recording.frames / 25)
    assert all(word.start is not None and word.probability is not None for word in whole.words)
    starts = [word.start for word in whole.words]
    assert starts == sorted(starts) or task == "wlas"
    with pytest.raises(
        InputError, match=r"`nbest` must be 1 for recordings of more than .* seconds, got 2: .*long\.mp4"
    ):
        trained.predict([runs["clip"]], nbest=2)


def test_a_long_video_without_a_face_is_named(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_video, "LONGEST", 1.0)
    path = write_video(tmp_path / "sky.mkv", [np.full((144, 176, 3), 60, np.uint8)] * 50)
    with pytest.raises(InputError, match=r"sky\.mkv: must show a face from the front, got none in 2 seconds"):
        seqkit.load(runs["lipnet"]).predict([path])


@pytest.mark.parametrize("longest", [1.0, 60.0])
def test_a_run_of_both_senses_reads_the_one_that_is_there(
    longest: float,
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whether a recording is short or long: sound alone, a face without sound, sound without a face, neither."""
    monkeypatch.setattr(raw_video, "LONGEST", longest)
    trained, sky = seqkit.load(runs["wlas"]), [np.full((144, 176, 3), 60, np.uint8)] * 50
    trained.predict([runs["clip"].with_suffix(".wav")])
    assert capsys.readouterr().err == ""
    path = write_video(tmp_path / "sky.mkv", sky, clicks(2, [0.5, 1.0]))
    trained.predict([path])
    assert capsys.readouterr().err == f"{path}: {raw_video.FACELESS}\n"
    trained.predict([write_video(tmp_path / "face.mkv", talking(50))])
    assert capsys.readouterr().err == f"face.mkv: {raw_video.SOUNDLESS}\n"
    with pytest.raises(InputError, match=r"sky\.mkv: must show a face from the front, got "):
        trained.predict([write_video(tmp_path / "sky.mkv", sky)])


def test_features_are_long_for_either_recipe(runs: dict[str, Path], tmp_path: Path) -> None:
    for rows in (1000, 2000):
        np.save(tmp_path / "a.npy", np.zeros((rows, 2), np.float32))
        for task in ("lipnet", "wlas"):
            assert seqkit.load(runs[task]).predictor.is_long(tmp_path / "a.npy") == (rows > 60 * 25)


@pytest.mark.parametrize("task", ["lipnet", "wlas"])
def test_speech_without_a_pause_is_read_in_windows(
    task: str, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_video, "LONGEST", 1.0)
    monkeypatch.setattr(long_recording, "MOST", 1.0)
    monkeypatch.setattr(long_recording, "MARGIN", 10)
    [[whole]] = seqkit.load(runs[task]).predict([runs["clip"]])
    assert whole.seconds and all(0 <= (word.start or 0.0) <= whole.seconds for word in whole.words)


def test_an_interrupted_command_prints_what_was_read(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from seqkit.recipes.lipreading.ctc_model import CtcPredictor

    def interrupted(*_: object) -> Prediction:
        raise Interrupted(part("so", 0.0))

    monkeypatch.setattr(raw_video, "LONGEST", 1.0)
    monkeypatch.setattr(CtcPredictor, "predict_long", interrupted)
    command = ["lipnet", "predict", "--run", str(runs["lipnet"]), str(runs["clip"]), "never", "--subtitles"]
    assert main([*command, str(tmp_path)]) == 130
    assert capsys.readouterr().out == "so\n" and (tmp_path / "long.TextGrid").is_file()


def test_an_interrupt_between_inputs_leaves_the_subtitles_of_those_before(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from seqkit.recipes.lipreading.ctc_model import CtcPredictor

    answers = iter([[[part("so", 0.0)]]])

    def predict(*_: object) -> list[list[Prediction]]:
        for answer in answers:
            return answer
        raise KeyboardInterrupt

    monkeypatch.setattr(CtcPredictor, "predict", predict)
    assert (
        main(["lipnet", "predict", "--run", str(runs["lipnet"]), "one.mp4", "two.mp4", "--subtitles", str(tmp_path)])
        == 130
    )
    assert capsys.readouterr().out == "so\n" and [path.stem for path in tmp_path.glob("*.srt")] == ["one"]


def test_a_long_recording_is_not_drawn(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(raw_video, "LONGEST", 1.0)
    for task in ("lipnet", "wlas"):
        seqkit.load(runs[task]).predictor.plot(runs["clip"], [part("a", 0.0)], tmp_path / "a.png")
        assert "long.mp4: longer than " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
