"""The page without a browser: what it answers, its examples, and what it refuses."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from seqkit.cli import main
from seqkit.data.manifest import Item, write_manifest
from seqkit.data.sound_track import write_wav
from seqkit.data.video_file import read_clip, write_clip
from seqkit.errors import InputError
from seqkit.recipe import TrainedRun
from seqkit.recipes.common.input_remarks import remark
from seqkit.recipes.page import app
from seqkit.recipes.page.answer import Answer, answers, nbest_table
from seqkit.recipes.page.app import FORMS, Tab, digest, example_rows, respond_to
from seqkit.recipes.page.examples import copy_clip, find_items, write_playable
from seqkit.score.prediction import Prediction, Word
from seqkit.tasks import TASKS, find_recipe


class Fake:
    """A predictor that says what it was asked, and draws where it can."""

    def __init__(self, attends: bool = True) -> None:
        self.attends = attends

    def predict(self, inputs: Sequence[Any], nbest: int) -> list[list[Prediction]]:
        if "odd" in str(inputs[0]):
            remark(inputs[0], "the sound is <silent>")
        if "broken" in str(inputs[0]):
            raise InputError(f"{inputs[0]}: must be a picture, got other data")
        words = (Word("<b>", 0.5, 1.0, 0.25), Word("x"))
        return [[Prediction(f"<b> {inputs[0]} {n}", -float(n), -1.0, words if not n else ()) for n in range(nbest)]]

    def plot(self, given: Any, found: Sequence[Prediction], path: Path) -> None:
        if not self.attends:
            raise InputError("plots need a model with attention, got none")
        path.write_bytes(b"")
        path.with_name("answer_more.png").write_bytes(b"")


def fake_tab(task: str, **more: Any) -> Tab:
    return Tab(task, TrainedRun(find_recipe(task), Fake(**more), torch.device("cpu")), Path(), FORMS[task])


def respond(tab: Tab, *values: object, clips: dict[str, Path] | None = None, folder: Path) -> list[Answer]:
    return list(respond_to(tab, values, clips or {}, folder, lambda *args, **more: None))


def test_every_task_has_a_form() -> None:
    assert set(TASKS) <= set(FORMS)


def test_the_answer_comes_first_and_then_what_was_attended_to(tmp_path: Path) -> None:
    shares: list[float] = []
    run = fake_tab("translation").run
    first, last = answers(run, "a", tmp_path, lambda share, desc: shares.append(share))
    assert first.text == last.text == "<b> a 0" and not first.plots and shares == [0.1, 0.6]
    assert [path.name for path in last.plots] == ["answer.png", "answer_more.png"]
    for text in ("&lt;b&gt; a 4", "<td dir='auto'>0.50</td>", "<td dir='auto'>0.250</td>", "0.368", "-1.00", "on cpu"):
        assert text in last.details
    assert "<b>" not in last.details


def test_what_is_odd_about_an_input_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `predict` tells it, without the folder of the file, and of that input alone."""
    run = fake_tab("wlas").run
    for found in answers(run, tmp_path / "odd.mp4", tmp_path, lambda *args, **more: None):
        assert "<p class='remark'>The sound is &lt;silent&gt;.</p>" in found.details
        assert str(tmp_path) not in found.details.partition("<h4>")[0]
    assert capsys.readouterr().err == f"{tmp_path}/odd.mp4: the sound is <silent>\n"
    assert all("remark" not in found.details for found in answers(run, "a", tmp_path, lambda *args, **more: None))


def test_a_share_that_reads_as_nothing_and_what_the_search_ranked_by_are_told() -> None:
    plain = nbest_table([Prediction("a", -9.0, -9.0)])
    assert "below 0.001" in plain and "score of the search" not in plain
    assert "-1.25" in nbest_table([Prediction("a", -9.0, -1.25)])
    assert "score" not in nbest_table([Prediction("a", -0.7, 0.5, probability=0.5)])


def test_a_model_without_attention_says_so(tmp_path: Path) -> None:
    *_, last = answers(fake_tab("vqa", attends=False).run, "a", tmp_path, lambda *args, **more: None)
    assert last.text and "plots need a model with attention" in last.details and not last.plots


def test_a_language_model_gives_figures(tmp_path: Path) -> None:
    [only] = answers(fake_tab("language_model").run, "a", tmp_path, lambda *args, **more: None)
    assert only.text == "perplexity 2.72, log-probability -0.00 nats" and "Best answers" not in only.details


def test_what_is_missing_or_broken_is_a_sentence(tmp_path: Path) -> None:
    tab = fake_tab("captioning")
    for value in (None, " "):
        assert respond(tab, value, folder=tmp_path) == [Answer(problem="Drop a picture.")]
    broken = tmp_path / "broken.png"
    broken.touch()
    *_, last = respond(tab, str(broken), folder=tmp_path)
    assert last == Answer(problem="Broken.png: must be a picture, got other data.")


def test_an_example_is_answered_from_the_clip_that_it_stands_for(tmp_path: Path) -> None:
    shown, clip = tmp_path / "shown.mp4", tmp_path / "clip.mp4"
    shown.write_bytes(b"shown")
    *_, last = respond(fake_tab("lipnet"), str(shown), clips={digest(shown): clip}, folder=tmp_path)
    assert last.text == f"<b> {clip} 0"
    *_, last = respond(fake_tab("lipnet"), str(shown), folder=tmp_path)
    assert last.text == f"<b> {shown} 0"


def test_examples_are_the_runs_own_where_they_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, own, run = (tmp_path / name for name in ("made", "own", "run"))
    for folder in (made, own, run):
        folder.mkdir()
    write_manifest(made / "test.jsonl", [Item(id="m", source="made", references=("x",))])
    items = [Item(id=str(n), source=f"own {n}" if n else None, references=("x",)) for n in range(6)]
    write_manifest(own / "val.jsonl", items)
    recipe = find_recipe("translation")._replace(synthetic=lambda: made)
    for data, found in ((own, ["own 1", "own 2", "own 3"]), (tmp_path / "gone", ["made"]), (None, ["made"])):
        (run / "config.yaml").write_text(f"data: {data}\n" if data else "recipe: translation\n")
        assert [item.source for item in find_items(recipe, run, ("source",))] == found
    assert find_items(recipe._replace(synthetic=None), run, ("source",)) == []
    assert find_items(recipe, run, ("source", "image")) == []


def test_examples_keep_the_names_of_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = []
    for part in ("a", "b"):
        picture = tmp_path / part / "dog.png"
        picture.parent.mkdir()
        picture.write_bytes(part.encode())
        items.append(Item(id=part, image=picture, references=("x",)))
    monkeypatch.setattr(app, "find_items", lambda *_: items)
    rows = example_rows(fake_tab("captioning"), tmp_path / "page", {})
    assert [(Path(row[0]).name, Path(row[0]).read_bytes()) for row in rows] == [("dog.png", b"a"), ("dog.png", b"b")]


def test_browsers_can_show_the_copy_of_a_clip_with_its_sound(tmp_path: Path) -> None:
    frames = np.full((25, 31, 40, 3), 200, np.uint8)
    write_clip(tmp_path / "clip.mp4", frames, {})
    write_wav(tmp_path / "sound.wav", [np.ones(16_000, np.int16) * 1000], 25)
    item = Item(id="a", video=tmp_path / "clip.mp4", audio=tmp_path / "sound.wav", references=("x",))
    clip = copy_clip(item, tmp_path / "copies")
    assert clip.read_bytes() == item.video.read_bytes() and clip.with_suffix(".wav").is_file()  # type: ignore[union-attr]
    write_playable(clip, tmp_path / "shown.mp4")
    with av.open(str(tmp_path / "shown.mp4")) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
    pixels = read_clip(tmp_path / "shown.mp4")
    assert pixels.shape == (25, 248, 320, 3) and abs(float(pixels.mean()) - 200) < 4
    clip.with_suffix(".wav").unlink()
    write_playable(clip, tmp_path / "silent.mp4")
    with av.open(str(tmp_path / "silent.mp4")) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264"]


def test_the_command_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["page", str(tmp_path), "--max_megabytes", "0"]) == 2
    assert "`--max_megabytes` must be at least 1, got 0" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    assert main(["page", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {app.MISSING}\n"


def test_a_run_of_a_recipe_of_ones_own_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = TrainedRun(find_recipe("vqa")._replace(name="dance"), Fake(), torch.device("cpu"))
    monkeypatch.setattr("seqkit.load", lambda place, device: run)
    with pytest.raises(InputError, match="the page must be given runs of translation, .*, got .*, one of dance"):
        app.open_tab(str(tmp_path), [], "cpu")
    monkeypatch.setattr("seqkit.load", lambda place, device: run._replace(recipe=find_recipe("vqa")))
    assert app.open_tab(str(tmp_path / "a"), ["vqa: a"], "cpu").title == "vqa: a (2)"
