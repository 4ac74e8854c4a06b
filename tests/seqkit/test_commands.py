"""Train, evaluate and predict as every recipe has them: what reaches the recipe, and what is refused before it does."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.commands import main
from seqkit.config import fields_by_name, load_config
from seqkit.errors import InputError
from seqkit.flags import stdin_batches
from seqkit.train.loop import Outcome
from seqkit.train.run_folder import WRITTEN
from seqkit.train.state import Progress
from tests.pretend_recipe import (
    TINY,
    Config,
    EvaluationOptions,
    PredictionOptions,
    Run,
    Search,
    TrainingConfig,
    checkpoint,
    corpus,
    pretend,
)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command of the pretended recipe; status, what reached its functions, and what is on stderr."""
    calls: list[tuple[Any, ...]] = []
    recipe = pretend(tmp_path / "made", calls)
    monkeypatch.setattr("sys.argv", ["pretend.py"])

    def command(*argv: object) -> tuple[int, list[tuple[Any, ...]], str]:
        calls.clear()
        status = main(recipe, [str(word) for word in argv])
        return status, list(calls), capsys.readouterr().err

    return command


@pytest.fixture
def trained(run: Run, tmp_path: Path) -> Path:
    """A run folder of preset tiny with a checkpoint in it."""
    for split in ("val", "test"):
        corpus(tmp_path / "made", split, ["a b", "c d"])
    run("train", "--preset", "tiny", "--out", tmp_path / "run")
    checkpoint(tmp_path / "run", "last")
    return tmp_path / "run"


def test_preset_then_file_then_flags(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("learning_rate: 1e-2\nbeam: 3\n")
    found = []
    for more in ([], ["--preset", "tiny"], ["--config", file], ["--config", file, "--beam", "2", "--preset", "tiny"]):
        out = tmp_path / f"run{len(found)}"
        status, [(config, data, start)], line = run("train", "--data", tmp_path, "--out", out, *more)
        assert (status, data, line) == (0, tmp_path, "")
        assert (start.folder, start.init, start.assets) == (out, (), None)
        assert start.device == torch.device(start.device.type)
        assert load_config(Config, out / "config.yaml") == config
        found.append(config)
    assert found == [
        Config(),
        TINY,
        Config(training=TrainingConfig(learning_rate=0.01), search=Search(3)),
        Config(8, (3, 5), TrainingConfig(20, 0.01), Search(2)),
    ]


def test_dashes_read_as_underscores(run: Run, tmp_path: Path) -> None:
    _, [(config, *_)], _ = run("train", "--data", tmp_path, "--out", tmp_path / "run", "--learning-rate=1e-4")
    assert config.training.learning_rate == 1e-4


@pytest.mark.parametrize("words", [["7", "9"], ["7,9"], ["7, 9"], ["[7, 9]"], ["7", ",", "9"]])
def test_a_list_takes_spaces_and_commas_alike(run: Run, tmp_path: Path, words: list[str]) -> None:
    _, [(config, *_)], _ = run("train", "--sizes", *words, "--data", tmp_path, "--out", tmp_path / "run")
    assert config.sizes == (7, 9)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--hiden", "4"], "error: `--hiden` must be a flag of python pretend.py train; did you mean `--hidden`?\n"),
        (["--hidden", "4.5"], "error: `hidden` must be int, got '4.5'\n"),
        (["--sizes", "4", "x"], "error: `sizes` must be [int, ...], got '4 x'\n"),
        (["--penalty", "x"], "error: `penalty` must be wu|null, got 'x'\n"),
        (["--penalty", "none"], "error: `penalty` must be wu|null, got 'none'\n"),
        (["--preset", "tniy"], "error: argument --preset: invalid choice: 'tniy' (choose from"),
        (["--config", "nowhere.yaml"], "error: nowhere.yaml: No such file or directory\n"),
        (["--init", "nowhere"], "error: `--init` must be the folder of a run, got nowhere, which is none\n"),
        (["--device", "tpu"], "error: argument --device: invalid choice: 'tpu'"),
        (["--snr", "5"], "error: `--snr` must be a flag of python pretend.py train"),
        (["--subtitles", "x"], "error: `--subtitles` must be a flag of python pretend.py train"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_written(
    run: Run, tmp_path: Path, more: list[str], message: str
) -> None:
    status, calls, line = run("train", "--data", tmp_path, "--out", tmp_path / "run", *more)
    assert (status, calls) == (2, []) and line.startswith(message) and line.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_config_of_another_recipe_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("recipe: other\n")
    status, _, line = run("train", "--data", tmp_path, "--out", tmp_path / "run", "--config", tmp_path / "c.yaml")
    assert status == 2 and line.endswith("c.yaml: must be a config of pretend, got one of other\n")


def test_data_may_be_left_out_for_tiny_only(run: Run, tmp_path: Path) -> None:
    _, [(_, data, _)], _ = run("train", "--preset", "tiny", "--out", tmp_path / "run")
    assert data == tmp_path / "made"
    _, [(_, data, _)], _ = run("train", "--preset", "tiny", "--out", tmp_path / "second", "--data", "own")
    assert data == Path("own")
    status, _, line = run("train", "--out", tmp_path / "third")
    assert (status, line) == (2, "error: `--data` must be a folder of manifests; only --preset tiny makes its own\n")


def test_a_run_repeats_from_its_config_file(run: Run, trained: Path, tmp_path: Path) -> None:
    _, [(config, data, _)], _ = run("train", "--config", trained / "config.yaml", "--out", tmp_path / "again")
    assert config == TINY and data == tmp_path / "made"
    assert (tmp_path / "again" / "config.yaml").read_text() == (trained / "config.yaml").read_text()


def test_a_run_is_not_trained_over(run: Run, trained: Path) -> None:
    status, calls, line = run("train", "--preset", "tiny", "--out", trained)
    assert (status, calls) == (2, [])
    assert line == f"error: `--out` must be a new folder, got {trained}, which holds a run: --resume continues it\n"


@pytest.mark.parametrize("name", WRITTEN)
def test_a_strangers_file_of_a_name_that_a_run_writes_is_left_alone_and_no_other_file_is_in_the_way(
    run: Run, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / name).write_text("mine")
    status, calls, line = run("train", "--preset", "tiny", "--out", out)
    assert (status, calls, line.count("\n")) == (2, [], 1) and f"got one that holds {name}: " in line
    assert [path.name for path in out.iterdir()] == [name] and (out / name).read_text() == "mine"
    (out / name).rename(out / "notes.txt")
    assert run("train", "--preset", "tiny", "--out", out)[0] == 0
    assert (out / "notes.txt").read_text() == "mine" and (out / "config.yaml").is_file()


@pytest.mark.parametrize("more", [[], ["--preset", "tiny"], ["--hidden", "8"], ["--preset", "tiny", "--steps", "20"]])
def test_resuming_continues_with_the_same_config(run: Run, trained: Path, more: list[str]) -> None:
    status, [(config, _, start)], _ = run("train", "--out", trained, "--resume", *more)
    assert (status, config, start.assets) == (0, TINY, trained / "last")


def test_resuming_with_another_config_names_the_difference(run: Run, trained: Path) -> None:
    status, calls, line = run("train", "--out", trained, "--resume", "--hidden", "9")
    assert (status, calls) == (2, [])
    assert line == (
        f"error: `hidden` must stay 8 to resume {trained}, got 9: "
        f"leave it out, or begin another run with --init {trained}\n"
    )


def test_resuming_where_there_is_no_checkpoint_starts_afresh(run: Run, trained: Path, tmp_path: Path) -> None:
    (trained / "last" / "meta.json").unlink()
    status, [(config, _, start)], _ = run("train", "--out", trained, "--resume", "--hidden", "9")
    assert status == 0 and config == Config(hidden=9, training=TrainingConfig(20)) and start.assets is None
    status, [_], _ = run("train", "--out", tmp_path / "new", "--resume", "--preset", "tiny")
    assert status == 0


def test_another_runs_assets_are_taken_over_but_not_when_resuming(run: Run, trained: Path, tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    best = checkpoint(first, "best")
    checkpoint(second, "last")
    new = ("train", "--preset", "tiny", "--out", tmp_path / "new", "--init", first, second)
    _, [(_, _, start)], _ = run(*new)
    assert (start.assets, list(start.init)) == (best, [first, second])
    _, [(_, _, start)], _ = run("train", "--out", trained, "--resume", "--init", first)
    assert start.assets == trained / "last"


def test_only_the_first_process_writes_the_config(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqkit.recipe.rank", lambda: 1)
    status, [_], _ = run("train", "--preset", "tiny", "--out", tmp_path / "run")
    assert status == 0 and not (tmp_path / "run" / "config.yaml").exists()


def test_a_finished_run_without_its_last_checkpoint_is_left_alone(run: Run, tmp_path: Path) -> None:
    checkpoint(tmp_path / "run", "best")
    status, calls, line = run("train", "--preset", "tiny", "--out", tmp_path / "run", "--resume")
    assert (status, calls) == (0, []) and "left as it is" in line


def test_a_resumed_run_may_be_given_another_length(run: Run, trained: Path) -> None:
    _, [(config, *_)], _ = run("train", "--out", trained, "--resume", "--steps", "30")
    assert config.training.steps == 30 and load_config(Config, trained / "config.yaml") == config


def test_a_training_that_cannot_begin_leaves_nothing_behind(tmp_path: Path) -> None:
    def training_job(*_: Any) -> Any:
        raise InputError("train.jsonl must be good")

    recipe = pretend(tmp_path, [])._replace(training_job=training_job)
    assert main(recipe, ["train", "--preset", "tiny", "--out", str(tmp_path / "run")]) == 2
    assert not (tmp_path / "run").exists()


def test_an_interrupted_training_ends_with_the_signals_status(tmp_path: Path) -> None:
    for number in (0, 2, 15):
        recipe = pretend(tmp_path, [])._replace(training_job=lambda *_, n=number: Outcome("interrupted", Progress(), n))
        status = main(recipe, ["train", "--preset", "tiny", "--out", str(tmp_path / f"run{number}")])
        assert status == (128 + number if number else 0)


def test_resuming_on_changed_data_is_refused_unless_asked_for(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("a")
    words = ("train", "--preset", "tiny", "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert run(*words)[0] == 0
    (tmp_path / "run" / "last").mkdir(exist_ok=True)
    (tmp_path / "run" / "last" / "meta.json").write_text("{}")
    assert run(*words, "--resume")[0] == 0
    (tmp_path / "data" / "train.jsonl").write_text("b")
    status, _, line = run(*words, "--resume")
    assert status == 2 and "--changed_data continues all the same" in line
    assert run(*words, "--resume", "--changed_data")[0] == 0


def test_evaluate_takes_search_flags_and_the_runs_own_data(run: Run, trained: Path, tmp_path: Path) -> None:
    _, [(saved, _), (predictor, *rest)], _ = run("evaluate", "--run", trained, "--split", "test", "--beam", "7")
    assert rest == [tmp_path / "made", "test", EvaluationOptions()] and predictor.search == Search(7)
    assert saved == [(Config(8, training=TrainingConfig(20), search=Search(7)), trained, trained / "last")]
    own = corpus(tmp_path / "own", "test", ["e"])
    _, [_, (_, data, *_)], _ = run("evaluate", "--run", trained, "--split", "test", "--data", own)
    assert data == own


def test_what_is_asked_of_an_evaluation_alone_is_not_stored(run: Run, trained: Path) -> None:
    _, [_, (*_, options)], _ = run("evaluate", "--run", trained, "--split", "test", "--snr", "5", "-5")
    assert options == EvaluationOptions((5.0, -5.0)) and "snr" not in (trained / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ([], "test"),
        (["--beam", "5"], "test"),  # as the run has it
        (["--beam", "2"], "test_beam=2"),
        (["--penalty", "wu", "--beam", "2"], "test_beam=2_penalty=wu"),
        (["--beam", "2", "--penalty", "wu"], "test_beam=2_penalty=wu"),
        (["--snr", "5,0"], "test_snr=5.0,0.0"),
        (["--data", "{tmp}/made"], "test"),
        (["--data", "{tmp}/own"], "test_data=own"),
        (["--data", "{tmp}/deeper/made"], "test_data=deeper-made"),
        (["--run", "{tmp}/run"], "test_ensemble=run"),
        (["--run", "{tmp}/second"], "test_ensemble=second"),
        (["--beam", "2", "--name", "mine"], "mine"),
    ],
)
def test_a_report_lies_where_its_options_say(
    run: Run, trained: Path, tmp_path: Path, more: list[str], name: str
) -> None:
    for place in ("own", "deeper/made"):
        corpus(tmp_path / place, "test", ["e"])
    run("train", "--preset", "tiny", "--out", tmp_path / "second")
    checkpoint(tmp_path / "second", "best")
    words = [word.format(tmp=tmp_path) for word in more]
    for _ in range(2):  # the second replaces the first
        assert run("evaluate", "--run", trained, "--split", "test", *words)[0] == 0
    assert [path.name for path in (trained / "evaluate").iterdir()] == [name]
    report = json.loads((trained / "evaluate" / name / "report.json").read_text())
    assert report["recipe"] == "pretend" and report["split"] == "test"


def test_the_last_line_of_an_evaluation_is_the_reports_path(
    run: Run, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    run("evaluate", "--run", trained, "--split", "val")
    *table, last = shown.getvalue().splitlines()
    assert Path(last) == trained / "evaluate/val/report.html" and Path(last).is_file()
    assert any(line.startswith("wer ") for line in table)


def test_evaluate_without_a_data_folder(run: Run, trained: Path) -> None:
    (trained / "config.yaml").write_text("hidden: 8\n")
    status, _, line = run("evaluate", "--run", trained, "--split", "test")
    assert status == 2 and line.startswith("error: `--data` must be a folder of manifests")


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_only_search_can_be_changed_after_training(run: Run, trained: Path, command: str) -> None:
    status, _, line = run(command, "--run", trained, "--hidden", "9")
    assert status == 2 and line.startswith(f"error: `--hidden` must be a flag of python pretend.py {command}")


@pytest.mark.parametrize(
    "words", [["predict", "text"], ["evaluate", "--split", "val"], ["evaluate", "--split", "val", "--data", "x"]]
)
def test_a_folder_that_is_no_run(run: Run, tmp_path: Path, words: list[str]) -> None:
    status, _, line = run(*words, "--run", tmp_path)
    assert status == 2 and line.endswith(
        f"must be the folder of a trained run, got {tmp_path}, which has no config.yaml\n"
    )


def test_predict_takes_its_inputs_as_arguments(
    run: Run, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", shown := io.StringIO())
    words = ["a b", "--run", trained, "--nbest", 2, "-c d", "--json", "--plots", tmp_path / "p", "--penalty", "wu"]
    _, [(saved, _), (options, inputs, found)], _ = run("predict", *words, "--subtitles", "s")
    assert saved[0].config.search == Search(5, "wu") and options == PredictionOptions(Path("s"))
    assert inputs == ["a b", "-c d"] and [len(predictions) for predictions in found] == [2, 2]
    lines = [json.loads(line) for line in shown.getvalue().splitlines()]
    assert lines[1] == {
        "input": "-c d",
        "predictions": [{"text": "1 5 -c d", "logprob": -3 - n, "score": -1 - 1.5 * n} for n in range(2)],
    }
    drawn = {path.name: path.read_text() for path in (tmp_path / "p").iterdir()}
    assert drawn == {"0001.png": "a b: 1 5 a b", "0002.png": "-c d: 1 5 -c d"}


def test_several_predictions_are_lines_of_score_and_text(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", shown := io.StringIO())
    run("predict", "é", "b", "--run", trained, "--nbest", 2, "--beam", 1)
    assert shown.getvalue().splitlines() == [f"{s}\t1 1 {t}" for t in "éb" for s in ("-1.0000", "-2.5000")]


def test_runs_given_together_are_an_ensemble(run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", shown := io.StringIO())
    status, [(saved, _), *_], _ = run("predict", "--run", trained, "a", "--run", trained)
    assert (status, shown.getvalue(), len(saved)) == (0, "2 5 a\n", 2)


@pytest.mark.parametrize("as_json", [False, True])
def test_predict_answers_what_it_can(
    run: Run, trained: Path, tmp_path: Path, as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", shown := io.StringIO())
    words = ["a", "bad x", "b", "c", "bad y", "--plots", tmp_path / "p", *(["--json"] if as_json else [])]
    status, [_, (_, usable, _)], lines = run("predict", "--run", trained, *words)
    assert status == 2 and usable == ["a", "b", "c"]
    assert lines.splitlines() == ["error: bad x: must be good", "error: bad y: must be good"]
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["0001.png", "0003.png", "0004.png"]
    said = shown.getvalue().splitlines()  # one line an input, in step with the inputs
    if as_json:
        assert [json.loads(line)["input"] for line in said] == words[:5]
        assert json.loads(said[4]) == {"input": "bad y", "error": "bad y: must be good"}
    else:
        assert said == ["1 5 a", "", "1 5 b", "1 5 c", ""]
    again = run("predict", "--run", trained, "a", "--plots", tmp_path / "p")
    assert (again[0], again[2]) == (
        2,
        f"error: `--plots` must be a folder without pictures, got {tmp_path / 'p'}; name another\n",
    )


def test_an_option_that_no_input_can_be_used_with_is_one_line(run: Run, trained: Path) -> None:
    status, _, line = run("predict", "--run", trained, "a", "b", "c", "--beam", -1)
    assert (status, line) == (2, "error: `beam` must be at least 0, got -1\n")


@pytest.mark.parametrize(
    ("sent", "inputs"),
    [
        ("one\n\ntwo é\u2028\r\n".encode(), ["one", "", "two é\u2028"]),
        (b"one", ["one"]),
        (b"\n", [""]),
        (b"\xef\xbb\xbfone\ntwo\n", ["one", "two"]),
    ],
)
def test_predict_reads_lines_from_standard_input(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes, inputs: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sent)))
    _, [_, (_, found, _)], _ = run("predict", "--run", trained)
    assert found == inputs


@pytest.mark.parametrize(
    ("paired", "sent", "batches"),
    [
        (False, [b"one\n", b"t", b"wo\nthree\n", b"four"], [["one"], ["two", "three"], ["four"]]),
        (
            True,
            [b"a.png\n", b"what?\nb.png\n", b"why?\nc.png\twho?\n"],
            [["a.png", "what?"], ["b.png", "why?", "c.png\twho?"]],
        ),
    ],
)
def test_what_a_pipe_holds_is_predicted_before_it_closes(
    monkeypatch: pytest.MonkeyPatch, paired: bool, sent: list[bytes], batches: list[list[str]]
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdin", stdin)
        found = stdin_batches(paired=paired)
        pipe.write(sent[0])
        if not paired:
            assert next(found) == batches.pop(0)  # the pipe is still open
        for part in sent[1:-1]:
            pipe.write(part)
        assert next(found) == batches.pop(0)
        pipe.write(sent[-1])
        pipe.close()
        assert list(found) == batches


def test_lines_before_one_that_cannot_be_read_are_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"good\nb\xff\nmore\n")))
    found = stdin_batches()
    assert next(found) == ["good"]
    with pytest.raises(InputError, match="standard input, line 2: must be UTF-8, got 0xff"):
        next(found)


def test_nothing_on_standard_input_is_nothing_to_predict(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    monkeypatch.setattr(sys, "stdout", shown := io.StringIO())
    assert run("predict", "--run", trained)[0] == 0 and shown.getvalue() == ""


def test_standard_input_that_cannot_be_read(run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"good\nb\xff\n")))
    assert run("predict", "--run", trained)[::2] == (2, "error: standard input, line 2: must be UTF-8, got 0xff\n")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    status, _, line = run("predict", "--run", trained)
    assert (status, line) == (2, "error: `INPUT` must be given, or piped in on standard input, got neither\n")


def test_nbest_is_at_least_one(run: Run, trained: Path) -> None:
    found = run("predict", "--run", trained, "a", "--nbest", "0")
    assert found[::2] == (2, "error: `--nbest` must be at least 1, got 0\n")


def shown_by(run: Run, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        run(*words)
    return capsys.readouterr().out


def test_help_lists_the_common_fields_and_help_all_every_one(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    everything = shown_by(run, capsys, "train", "--help-all")
    for name, leaf in fields_by_name(Config).items():
        assert f"--{name} " in everything and leaf.doc in everything
    assert "[512]" in everything and "[0.001]" in everything and "wu|null" in everything and "[3, 5]" in everything
    assert "tiny        hidden 8, steps 20" in everything and "small       the defaults" in everything
    common = shown_by(run, capsys, "train", "--help")
    assert {name for name in fields_by_name(Config) if f"--{name} " in common} == {"hidden", "steps", "beam"}
    assert "--help-all" in common and "presets: small, tiny" in common
    assert "example: python pretend.py train --data DIR --out RUN" in common
    shown = shown_by(run, capsys, "predict", "--help")
    assert "--beam" in shown and "--subtitles" in shown and "--hidden" not in shown and "--snr" not in shown
    shown = shown_by(run, capsys, "evaluate", "--help")
    assert "--beam" in shown and "--snr" in shown and "--hidden" not in shown and "--subtitles" not in shown


def test_a_recipe_without_variants_has_no_compare(run: Run) -> None:
    status, _, line = run("compare")
    assert status == 2 and "must be train, evaluate, predict or --help, got `compare`" in line
