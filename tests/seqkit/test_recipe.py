"""Recipes as Python uses them: training, loading, predicting, and what a preset is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import seqkit
from seqkit import recipe as recipes
from seqkit.data.manifest import Item
from seqkit.errors import InputError
from seqkit.recipe import Evaluation, Job, Recipe
from seqkit.score.evaluate import Statistics, statistics
from seqkit.score.prediction import Prediction
from seqkit.start import Start
from seqkit.train import checkpoint
from seqkit.train.loop import Outcome, RunFolder
from seqkit.train.training_config import TrainingConfig
from tests import pretend_recipe as pretend
from tests.tiny_training import Tiny, make_data, make_loss, make_validate

CPU = torch.device("cpu")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return pretend.pretend(tmp_path, [])


@pytest.fixture
def saved(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained run, whose recipe the table of tasks knows."""
    monkeypatch.setattr("seqkit.tasks.find_recipe", lambda name: {"pretend": recipe}[name])
    pretend.checkpoint(tmp_path / "saved", "best")
    (tmp_path / "saved" / "config.yaml").write_text("recipe: pretend\nhidden: 8\nbeam: 3\n")
    return tmp_path / "saved"


def test_a_preset_changes_fields_and_resets_no_section(recipe: Recipe) -> None:
    changed = {"rate": {"learning_rate": 0.5}, "width": {"hidden": 4}}
    first = recipe._replace(presets={**recipe.presets, **changed})
    assert recipes.preset(first, "rate") == pretend.Config(training=pretend.TrainingConfig(1000, 0.5))
    assert recipes.preset(first, "width") == pretend.Config(hidden=4)
    assert recipes.preset(first, "small") == pretend.Config()
    whole = recipe._replace(presets={"section": {"training": pretend.TrainingConfig()}})
    with pytest.raises(InputError, match="`training` must be a field of the config"):
        recipes.preset(whole, "section")


def test_a_loaded_run_predicts_and_draws(saved: Path, tmp_path: Path) -> None:
    run = seqkit.load(saved)
    assert [[found.text for found in own] for own in run.predict(["a", "b"])] == [["1 3 a"], ["1 3 b"]]
    assert [found.logprob for found in run.predict(["a"], nbest=2)[0]] == [-3.0, -4.0]
    assert run.predict([]) == []
    run.plot(["a", "b"], tmp_path / "plots")
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["0001.png", "0002.png"]
    with pytest.raises(InputError, match="`folder` must be a folder without pictures, got .*plots; name another"):
        run.plot(["c"], tmp_path / "plots")


@pytest.mark.parametrize("one", ["text", Path("image.png")])
def test_one_input_instead_of_a_list_is_refused(saved: Path, one: Any) -> None:
    with pytest.raises(InputError, match=f"`inputs` must be a list of inputs, got one, '{one}'"):
        seqkit.load(str(saved)).predict(one)


def test_search_options_are_given_by_name(saved: Path) -> None:
    assert seqkit.load(saved, beam=7).predict(["a"])[0][0].text == "1 7 a"
    assert seqkit.load(saved, device="cpu", penalty="wu").predictor.search == pretend.Search(3, "wu")
    for wrong, message in (
        ({"beem": 7}, "`beem` must be a search option of pretend; did you mean `beam`?"),
        ({"hidden": 7}, "`hidden` must be a search option of pretend"),  # stored, but no option of the search
        ({"beam": "x"}, "`beam` must be int, got 'x'"),
    ):
        with pytest.raises(InputError, match=message):
            seqkit.load(saved, **wrong)


def test_several_runs_are_an_ensemble(saved: Path) -> None:
    assert seqkit.load([saved, str(saved)]).predict(["a"])[0][0].text == "2 3 a"


def test_what_cannot_be_loaded(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be the folder of a run, or several, got none"):
        seqkit.load([])
    with pytest.raises(
        InputError, match=f"must be the folder of a trained run, got {tmp_path}, which has no config.yaml"
    ):
        seqkit.load(tmp_path)
    with pytest.raises(InputError, match=f"must be the folder of a trained run, got {tmp_path}"):
        seqkit.load([saved, tmp_path])
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.yaml").write_text("recipe: other\n")
    with pytest.raises(InputError, match="must be a config of pretend, got one of other"):
        seqkit.load([saved, tmp_path / "other"])
    (tmp_path / "other/config.yaml").write_text("recipe: pretend\n")
    with pytest.raises(InputError, match="must hold a checkpoint, best/ or last/, got none"):
        seqkit.load(tmp_path / "other")


@pytest.mark.parametrize("bad", [(), (0,), (4,), (0, 3), (1, 2, 4), (0, 1, 2, 3, 4)])
def test_an_unusable_input_costs_no_other(saved: Path, bad: tuple[int, ...]) -> None:
    inputs = [f"bad {n}" if n in bad else str(n) for n in range(5)]
    found = seqkit.load(saved).predict_each(inputs)
    for number, (given, own) in enumerate(zip(inputs, found, strict=True)):
        if number in bad:
            assert str(own) == f"bad {number}: must be good"
        else:
            assert not isinstance(own, InputError) and own[0].text == f"1 3 {given}"


def training_recipe(recipe: Recipe, starts: list[Start]) -> Recipe:
    """The same, that trains a model of a thousand weights."""

    def training_job(config: Any, data: Path, start: Start) -> Job:
        starts.append(start)
        model = Tiny()
        start.initialize(model)
        return Job(
            model,
            make_loss(model),
            make_data(),
            make_validate(model),
            lambda folder: (folder / "vocab.txt").write_text("a b c") and None,
        )

    return recipe._replace(config=Config, training_job=training_job)


class Config:
    """The part of a config that `recipes.train` reads."""

    training = TrainingConfig(steps=4, validate_every=2)


def test_training_logs_its_size_and_writes_assets_and_resumes(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts: list[Start] = []
    trainable = training_recipe(recipe, starts)
    folder = tmp_path / "run"
    outcome = recipes.train(trainable, Config(), tmp_path, RunFolder(folder), init=(), device=CPU)
    assert outcome.ending == "finished" and outcome.progress.step == 4
    assert (folder / "best/vocab.txt").read_text() == (folder / "last/vocab.txt").read_text() == "a b c"
    size = sum(p.numel() for p in Tiny().parameters())
    assert f"{size:,} parameters to train\n" in capsys.readouterr().err
    again = recipes.train(trainable, Config(), tmp_path, RunFolder(folder, True), init=(), device=CPU)
    assert again.ending == "already finished"
    assert [start.assets for start in starts] == [None, folder / "last"]


def test_training_starts_from_another_runs_weights_and_says_what_did_not_fit(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, model = tmp_path / "other", Tiny()
    with torch.no_grad():
        model.embed.weight.fill_(0.25)
    weights = nn.Module()
    weights.embed, weights.output = model.embed, nn.Linear(2, 3)
    (other / "best").mkdir(parents=True)
    checkpoint.write_model(other / "best", weights, {})
    starts: list[Start] = []
    recipes.train(
        training_recipe(recipe, starts), Config(), tmp_path, RunFolder(tmp_path / "run"), init=(other,), device=CPU
    )
    said = capsys.readouterr().err
    assert "other shape: output.weight" in said and "not in the file: steps, rnn.weight_ih_l0" in said
    assert (starts[0].assets, starts[0].init) == (other / "best", (other,))
    target = Tiny()
    Start(CPU, tmp_path, None, (other,)).initialize(target)
    assert (target.embed.weight == 0.25).all()


def test_a_training_without_gradients_gives_its_outcome(recipe: Recipe, tmp_path: Path) -> None:
    found = recipes.train(recipe, pretend.Config(), tmp_path, RunFolder(tmp_path / "run"), init=(), device=CPU)
    assert isinstance(found, Outcome) and found.ending == "finished"


def evaluation(recipe: Recipe, evaluate: Any, tmp_path: Path, saved: Path) -> tuple[dict[str, Any], str]:
    """The report and what is shown of one evaluation."""
    pretend.corpus(tmp_path / "data", "val", ["a b", "c d"])
    run = recipes.load(recipe._replace(evaluate=evaluate), [saved], CPU, {})
    found = recipes.evaluate(run, tmp_path / "data", "val", None, tmp_path / "report")
    return json.loads((found.folder / "report.json").read_text()), found.summary


ITEMS = [Item(id="0", references=("a b",)), Item(id="1", references=("c d",))]
FOUND = [Prediction("a b", -1.0, -0.5), Prediction("c x", -2.0, -1.5, cut=True)]


def test_an_evaluation_is_scored_broken_down_and_finished(recipe: Recipe, tmp_path: Path, saved: Path) -> None:
    def finish(folder: Path, report: Any) -> str:
        (folder / "more.txt").write_text(str(report["items"]))
        return "and more"

    noisy = {"snr": {"0": [Prediction("z z", 0.0, 0.0)] * 2}}
    by = {"speaker": ["s1", "s2"], "snr": [None, "clean"]}
    report, shown = evaluation(
        recipe,
        lambda *_: Evaluation(ITEMS, FOUND, ["wer"], by=by, conditions=noisy, decode={"beam": 3}, finish=finish),
        tmp_path,
        saved,
    )
    assert report["metrics"]["wer"]["value"] == 25 and report["decode"]["beam"] == 3
    assert report["decode"]["cut_at_maximum_length"] == 1 and report["decode"]["seconds"] >= 0
    found = {name: {g: s["wer"]["value"] for g, s in groups.items()} for name, groups in report["by"].items()}
    assert found == {"speaker": {"s1": 0, "s2": 50}, "snr": {"clean": 50, "0": 100}}
    lines = [json.loads(line) for line in (tmp_path / "report/hypotheses.jsonl").read_text().splitlines()]
    assert [(line["id"], line["hypothesis"], line["logprob"], line["score"]) for line in lines] == [
        ("0", "a b", -1.0, -0.5),
        ("1", "c x", -2.0, -1.5),
    ]
    assert (tmp_path / "report/more.txt").read_text() == "2"
    assert shown.splitlines()[-3:] == ["and more", "", str(tmp_path / "report/report.html")]


def test_statistics_may_be_those_of_no_comparison(recipe: Recipe, tmp_path: Path, saved: Path) -> None:
    """As names of metrics, they are scored, broken down and shown."""
    names = statistics(["wer"], [item.references for item in ITEMS], [found.text for found in FOUND])
    ready = {"mine": Statistics(names["wer"].metric, names["wer"].statistics_NK, "mine|x")}
    compared, _ = evaluation(recipe, lambda *_: Evaluation(ITEMS, FOUND, ["wer"], {"g": "ab"}), tmp_path, saved)
    own, shown = evaluation(recipe, lambda *_: Evaluation(ITEMS, FOUND, ready, {"g": "ab"}), tmp_path, saved)
    assert own["metrics"]["mine"] == compared["metrics"]["wer"] | {"signature": "mine|x"}
    assert own["by"]["g"]["b"]["mine"]["value"] == compared["by"]["g"]["b"]["wer"]["value"] == 50
    assert "mine|x" in shown
