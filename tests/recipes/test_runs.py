"""What a run of any recipe promises when others go on from it, join it, or are averaged with it."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from seqkit.cli import main
from seqkit.data.manifest import read_manifest, write_manifest
from seqkit.errors import InputError
from seqkit.score import meteor
from seqkit.start import check_origin
from seqkit.tasks import TASKS, find_recipe
from seqkit.train.checkpoint import read_weights
from tests.tiny_runs import FIELDS, corpus, evaluate, rewritten, train

CLOSE = pytest.approx  # log-probabilities, as the order of a sum has it
QUICK = {"steps": 1, "learning_rate": 1e-20}


class First(NamedTuple):
    """A trained run, its corpus, and one with other texts in another alphabet."""

    task: str
    run: Path
    data: Path
    other: Path
    predictions: list[tuple[str, float]]
    """of the validation set"""

    def check_equal(self, *runs: Path) -> None:
        """That runs predict what this one does, as sure of it."""
        found = evaluate(self.task, self.data, *runs)
        assert [text for text, _ in found] == [text for text, _ in self.predictions]
        assert [value for _, value in found] == [CLOSE(value, abs=1e-4) for _, value in self.predictions]


@pytest.fixture(scope="module", params=FIELDS)
def first(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[First]:
    task, folder = request.param, tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(meteor, "installed", lambda: False)  # Java takes seconds to start
        data = corpus(task, folder / "data")
        assert train(task, data, folder / "run") == 0
        strange = corpus(task, folder / "second", seed=2, items=14)
        other = rewritten(strange, folder / "other", lambda text: text.replace("e", "ę"))
        yield First(task, folder / "run", data, other, evaluate(task, data, folder / "run"))


def test_every_recipe_is_here() -> None:
    assert FIELDS.keys() == TASKS.keys()


def test_a_run_that_goes_on_from_another_keeps_what_its_weights_mean(
    first: First, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(set(first.predictions)) > 5
    assert train(first.task, first.other, tmp_path / "next", "--init", first.run, **QUICK) == 0
    told = capsys.readouterr().err
    assert " weights loaded, 0 left as they were\n" in told and "ę" in told
    assert f" are not in {first.run}: '" in told and "unknown to the model; `extend_vocab` adds them\n" in told
    first.check_equal(tmp_path / "next")


def test_what_is_new_is_added_as_new_rows_and_the_old_rows_keep_their_tokens(
    first: First, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = tmp_path / "longer"
    assert train(first.task, first.other, longer, "--init", first.run, "--extend_vocab", "true", **QUICK) == 0
    told = capsys.readouterr().err
    assert " weights loaded, 0 left as they were\n" in told and "added, with new weights\n" in told
    before, after = (read_weights(run / "best") for run in (first.run, longer))
    grown = [name for name in before if before[name].shape != after[name].shape]
    rows = next(line for line in told.splitlines() if line.startswith("rows matched by token"))
    assert grown and all(f"{name} {len(before[name])} of {len(after[name])}" in rows for name in grown)
    for name in before:
        torch.testing.assert_close(after[name][: len(before[name])] if name in grown else after[name], before[name])
    again = tmp_path / "again"  # nothing is new any more
    assert train(first.task, first.other, again, "--init", longer, "--extend_vocab", "true", **QUICK) == 0
    assert "with new weights" not in capsys.readouterr().err
    third = tmp_path / "third"  # rows by token: the vocabulary is the first run's, the weights are the second's too
    assert train(first.task, first.other, third, "--init", first.run, longer, **QUICK) == 0
    first.check_equal(third)


def test_every_answer_says_how_sure_each_word_is(first: First, capsys: pytest.CaptureFixture[str]) -> None:
    """By the run itself and alike by an ensemble: a probability each, whose product with the end's is the text's."""
    inputs = inputs_of(first.task, first.data)
    capsys.readouterr()
    runs = [["--run", str(first.run)], ["--run", str(first.run)] * 2]
    for given, nbest in [(runs[0], 1), (runs[1], 1 if first.task == "language_model" else 2)]:
        assert main([first.task, "predict", *given, "--json", "--nbest", str(nbest), *inputs]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        for found in (found for line in lines for found in line["predictions"]):
            if first.task in ("vqa", "grounding"):
                assert found["probability"] == CLOSE(math.exp(found["logprob"]))
                continue
            words = found.get("words", [])
            assert " ".join(word["text"] for word in words) == " ".join(found["text"].split())
            total = sum(math.log(word["probability"]) for word in words)
            assert all(0 < word["probability"] <= 1 for word in words)
            assert first.task == "lipnet" or total >= found["logprob"] - 1e-4  # whose beam does not sum all paths


def test_language_model_hot_words_and_grammar_work_in_every_search_for_text(
    first: First, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if first.task in ("vqa", "grounding", "language_model"):
        return  # which choose or score, and search for no text
    inputs = inputs_of(first.task, first.data)

    def found(*flags: object) -> list[dict[str, Any]]:
        capsys.readouterr()
        command = [first.task, "predict", "--run", str(first.run), "--json", *map(str, flags), *inputs]
        assert main(command) == 0
        return [json.loads(line)["predictions"][0] for line in capsys.readouterr().out.splitlines()]

    texts = [item.references[0] for item in read_manifest(first.data / "train.jsonl")]
    word = max((word for word in texts[0].split() if word.isalnum()), key=len)
    (tmp_path / "words").write_text(f"{word}\n")
    units = {"translation": ("subwords", "--subword_run", first.run), "captioning": ("words",)}
    own = [*units.get(first.task, ("characters",)), "--kind", "ngram", "--order", 2]
    (tmp_path / "text").write_text("\n".join(texts))
    model = ["language_model", "train", "--data", tmp_path / "text", "--out", tmp_path / "lm", "--units", *own]
    assert main([str(part) for part in model]) == 0
    plain = found("--beam", 4)
    unused = found("--beam", 4, "--hotwords", tmp_path / "words", "--hotword_weight", 0, "--lm", tmp_path / "lm")
    assert [own["text"] for own in found("--beam", 4, "--lm", tmp_path / "lm", "--lm_weight", 0)] == [
        own["text"] for own in plain
    ]
    assert all(own["score"] != CLOSE(before["score"]) for own, before in zip(unused, plain, strict=True))
    width = 20 if first.task == "lipnet" else 1  # an untrained model ends a wider beam before the word is whole
    hot = found("--beam", width, "--hotwords", tmp_path / "words", "--hotword_weight", 200)
    assert all(word in own["text"] for own in hot) and not all(word in own["text"] for own in plain)
    assert all(own["logprob"] < 0 < own["score"] for own in hot)
    bound = found("--beam", 20, "--grammar", tmp_path / "words")
    assert all(word.startswith(part) for own in bound for part in own["text"].split())  # the maximum length cuts a word
    assert all(set(own["text"].split()[:-1]) <= {word} for own in bound)


def inputs_of(task: str, data: Path) -> list[str]:
    """A few inputs of `predict`, as the command line has them."""
    items = read_manifest(data / "val.jsonl")[:3]
    if task in ("vqa", "grounding"):
        return [word for item in items for word in (str(item.image), item.question or item.source or "")]
    return [str(item.video or item.image or item.source) for item in items]


def test_an_ensemble_of_a_run_with_itself_is_the_run(first: First) -> None:
    first.check_equal(first.run, first.run)


def test_the_mean_of_a_run_and_itself_is_the_run(first: First, tmp_path: Path) -> None:
    assert main(["average", str(first.run), str(first.run / "best"), str(tmp_path / "mean")]) == 0
    first.check_equal(tmp_path / "mean")


def test_a_run_of_another_recipe_is_refused_unless_they_share_a_part(tmp_path: Path) -> None:
    shared = {("lipnet", "wlas"), ("wlas", "lipnet")}
    for task in TASKS:
        recipe = find_recipe(task)
        for other in TASKS:
            (tmp_path / other / "best").mkdir(parents=True, exist_ok=True)
            (tmp_path / other / "config.yaml").write_text(f"recipe: {other}\n")
            for place in (tmp_path / other, tmp_path / other / "best"):
                if task == other or (task, other) in shared:
                    check_origin(place, (task, *recipe.shares))
                else:
                    with pytest.raises(InputError, match=f"`init` must be a run of {task}.*, a run of {other}$"):
                        check_origin(place, (task, *recipe.shares))


def test_a_run_of_another_recipe_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text("recipe: vqa\n")
    assert train("lipnet", tmp_path, tmp_path / "run", "--init", other) == 2
    line = f"error: `init` must be a run of lipnet or wlas, got {other}, a run of vqa\n"
    assert capsys.readouterr().err == line and not (tmp_path / "run").exists()
    assert train("lipnet", tmp_path, tmp_path / "run", "--extend_vocab", "true") == 2
    assert "`--extend_vocab` must be given with `--init`" in capsys.readouterr().err


def test_a_split_without_references_is_answered_and_not_scored(
    first: First, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blind = tmp_path / "blind"
    write_manifest(
        blind / "test.jsonl", (replace(item, references=()) for item in read_manifest(first.data / "val.jsonl"))
    )
    command = [first.task, "evaluate", "--run", str(first.run), "--data", str(blind), "--split", "test", "--name", "x"]
    folder = first.run / "evaluate/x"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text("of earlier references")
    if first.task == "language_model":
        assert main(command) == 2
        return
    assert main(command) == 0
    said, items = capsys.readouterr().out, read_manifest(blind / "test.jsonl")
    assert f"{len(items)} items without references: there is nothing to score\n{folder / 'hypotheses.jsonl'}" in said
    lines = [json.loads(line) for line in (folder / "hypotheses.jsonl").read_text().splitlines()]
    assert [line["hypothesis"] for line in lines] == [text for text, _ in first.predictions]
    assert not (folder / "report.json").exists()
    entry = find_recipe(first.task).server_entry
    if entry:
        results = sorted(path.name for path in folder.iterdir() if path.name != "hypotheses.jsonl")
        text = (folder / results[0]).read_text()
        entries = json.loads(text) if results == ["results.json"] else text.splitlines()
        assert entries == [entry(line["id"], line["hypothesis"]) for line in lines]
