"""The model card, as the Hub's own library reads it, and a config that holds paths of the machine it came from."""

import json
import logging
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from seqkit.cli import main
from seqkit.config import replace
from seqkit.hub.model_folder import portable
from seqkit.recipe import preset
from seqkit.tasks import find_recipe
from tests.hub_runs import small_run, stand_in

pytest.importorskip("huggingface_hub", reason="needs seqkit[hub]")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translation run with two reports; not to be changed."""
    run = small_run("translation", tmp_path_factory.mktemp("card"), evaluated=True)
    command = ["translation", "evaluate", "--run", str(run), "--split", "val", "--device", "cpu", "--beam", "1"]
    assert main(command) == 0
    return run


def card_of(run: Path, out: Path, *flags: str) -> Any:
    from huggingface_hub import ModelCard

    assert main(["push", str(run), "me/mine", "--license", "cc-by-4.0", "--dry_run", str(out), *flags]) == 0
    return ModelCard.load(out / "README.md")


def test_the_hubs_reader_takes_all_of_the_card_without_a_warning(run: Path, tmp_path: Path, caplog: Any) -> None:
    from huggingface_hub import ModelCard
    from huggingface_hub.utils import logging as their_logging

    their_logging.enable_propagation()
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        card = card_of(run, tmp_path / "out", "--dataset", "Some Corpus: 1 | 2", "--language", "en", "de")
    assert [record for record in caplog.records if "huggingface" in record.name and record.levelno > 20] == []
    data = card.data
    assert (data.license, data.library_name, data.pipeline_tag) == ("cc-by-4.0", "seqkit", "translation")
    assert (data.language, data.tags, data.model_name) == (["en", "de"], ["seqkit", "translation"], "mine")
    report = json.loads((run / "evaluate/val/report.json").read_text(encoding="utf-8"))
    found = {(one.metric_args["evaluation"], one.metric_name): one for one in data.eval_results}
    assert set(found) == {(name, metric) for name in ("val", "val_beam=1") for metric in ("bleu", "chrf", "ter")}
    for metric, score in report["metrics"].items():
        own = found["val", metric]
        assert (own.metric_type, own.dataset_split, own.dataset_name) == (metric, "val", "Some Corpus: 1 | 2")
        figures = own.metric_value, own.metric_args["low"], own.metric_args["high"]
        assert figures == pytest.approx((score["value"], score["low"], score["high"]), abs=0.005)
        assert (own.metric_args["items"], own.metric_args["signature"]) == (report["items"], score["signature"])
    assert ModelCard(str(card)).data.to_dict() == data.to_dict()  # written and read once more
    for title in ("Use", "Data", "Training", "Results", "Limits"):
        assert f"\n## {title}\n" in card.text
    assert "12 items in `train`" in card.text and "It learned from Some Corpus: 1 | 2 alone" in card.text
    assert "| val | 20 | bleu |" in card.text and "by length: bleu from" in card.text
    assert str(run.parent) not in str(card)


def test_the_lines_that_the_card_says_to_use_run(run: Path, tmp_path: Path, capfd: Any) -> None:
    with stand_in(tmp_path / "cache") as hub:
        assert main(["push", str(run), "me/mine", "--license", "mit"]) == 0
        card = hub.repositories["me/mine"].commits[-1][1]["README.md"].decode()
        (program,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        assert len(program.splitlines()) == 3
        capfd.readouterr()
        exec(program, {})
        assert capfd.readouterr().out.startswith("[[Prediction(text=")


def test_a_run_that_was_never_evaluated_says_so(tmp_path: Path) -> None:
    card = card_of(small_run("language_model", tmp_path), tmp_path / "out")
    assert card.data.eval_results is None and card.data.model_name is None
    assert "It was not evaluated after training." in card.text and "perplexity" in card.text
    assert "It learned from DATA alone" in card.text


def test_figures_on_other_data_are_those_of_other_data(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "RUN")
    shutil.copytree(run.parent / "DATA", tmp_path / "elsewhere")
    command = ["translation", "evaluate", "--run", str(tmp_path / "RUN"), "--split", "val", "--data"]
    assert main([*command, str(tmp_path / "elsewhere")]) == 0
    names = {one.dataset_name for one in card_of(tmp_path / "RUN", tmp_path / "out").data.eval_results}
    assert len(names) == 2 and "DATA" in names and any("elsewhere" in name for name in names)


def test_paths_stay_at_home() -> None:
    lipnet = replace(preset(find_recipe("lipnet"), "tiny"), {"lm": "runs/lm", "grammar": "words.txt"})
    values, lacking = portable(lipnet)
    assert (values["lm"], values["grammar"], lacking) == (None, None, ["lm", "grammar"])
    values, lacking = portable(replace(lipnet, {"lm": "hf://me/lm", "grammar": None}))
    assert (values["lm"], lacking) == ("hf://me/lm", [])
    captioning = replace(
        preset(find_recipe("captioning"), "tiny"), {"weights": "/home/me/net.safetensors", "cache": "/tmp/cache"}
    )
    values, lacking = portable(captioning)
    assert (values["weights"], values["cache"], lacking) == ("net.safetensors", None, [])
    untouched, lacking = portable(config := preset(find_recipe("lipnet"), "tiny"))
    assert (untouched["lm"], untouched["frame_size"], lacking) == ("own", list(config.video.frame_size), [])
