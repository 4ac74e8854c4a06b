"""Train, evaluate and predict as every recipe has them: what reaches the recipe, and what is refused before it does."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import torch

from seqkit.cli import Recipe, main, print_answers, run_recipe
from seqkit.config import fields_by_name, load_config


@dataclass(frozen=True)
class TrainingConfig:
    steps: int = 1000
    """updates in all"""
    learning_rate: float = 1e-3
    """step size (Kingma & Ba 2015)"""


@dataclass(frozen=True)
class Search:
    beam: int = 5
    """hypotheses kept a sentence"""
    penalty: Literal["none", "wu"] = "none"
    """of length (Wu et al. 2016, equation 14)"""


@dataclass(frozen=True)
class Config:
    hidden: int = 512
    """units of a layer, 100% of them"""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    search: Search = field(default_factory=Search)


TINY = Config(hidden=8, training=TrainingConfig(steps=20))
Run = Callable[..., tuple[int, list[tuple[Any, ...]], str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command of a recipe that only notes what it is given; status, notes, and the line on stderr."""
    calls: list[tuple[Any, ...]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *values, **named: calls.append((name, *values, named))

    recipe = Recipe(
        "pretend",
        Config,
        {"tiny": lambda: TINY, "base": Config},
        note("train"),
        note("evaluate"),
        note("predict"),
        lambda: tmp_path / "made",
    )

    def command(*argv: object) -> tuple[int, list[tuple[Any, ...]], str]:
        calls.clear()
        status = run_recipe(recipe, [str(word) for word in argv])
        return status, list(calls), capsys.readouterr().err

    return command


@pytest.fixture
def trained(run: Run, tmp_path: Path) -> Path:
    """A run folder of preset tiny with a checkpoint in it."""
    run("train", "--preset", "tiny", "--out", tmp_path / "run")
    (tmp_path / "run" / "last").mkdir()
    (tmp_path / "run" / "last" / "meta.json").write_text("{}")
    return tmp_path / "run"


def test_preset_then_file_then_flags(run: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "some.yaml", tmp_path / "run"
    file.write_text("learning_rate: 1e-2\nbeam: 3\n")
    found = []
    for more in ([], ["--preset", "tiny"], ["--config", file], ["--config", file, "--beam", "2", "--preset", "tiny"]):
        status, [(name, config, data, folder, named)], line = run("train", "--data", tmp_path, "--out", out, *more)
        assert (status, name, data, folder, line) == (0, "train", tmp_path, out, "")
        assert named == {"resume": False, "init": (), "device": torch.device(named["device"].type)}
        assert load_config(Config, out / "config.yaml") == config
        found.append(config)
    assert found == [
        Config(),
        TINY,
        Config(training=TrainingConfig(learning_rate=0.01), search=Search(3)),
        Config(8, TrainingConfig(20, 0.01), Search(2)),
    ]


def test_dashes_read_as_underscores(run: Run, tmp_path: Path) -> None:
    _, [(_, config, *_)], _ = run("train", "--data", tmp_path, "--out", tmp_path / "run", "--learning-rate=1e-4")
    assert config.training.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--hiden", "4"], "error: `--hiden` must be a flag of pretend train; did you mean `--hidden`?\n"),
        (["--hidden", "4.5"], "error: `hidden` must be int, got '4.5'\n"),
        (["--penalty", "x"], "error: `penalty` must be none|wu, got 'x'\n"),
        (["--preset", "tniy"], "error: argument --preset: invalid choice: 'tniy' (choose from"),
        (["--config", "nowhere.yaml"], "error: nowhere.yaml: No such file or directory\n"),
        (["--init", "nowhere"], "error: `--init` must be the folder of a run, got nowhere, which is none\n"),
        (["--device", "tpu"], "error: argument --device: invalid choice: 'tpu'"),
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
    _, [(_, _, data, *_)], _ = run("train", "--preset", "tiny", "--out", tmp_path / "run")
    assert data == tmp_path / "made"
    _, [(_, _, data, *_)], _ = run("train", "--preset", "tiny", "--out", tmp_path / "run", "--data", "own")
    assert data == Path("own")
    status, _, line = run("train", "--out", tmp_path / "run")
    assert (status, line) == (2, "error: `--data` must be a folder of manifests; only --preset tiny makes its own\n")


def test_a_run_repeats_from_its_config_file(run: Run, trained: Path, tmp_path: Path) -> None:
    _, [(_, config, data, *_)], _ = run("train", "--config", trained / "config.yaml", "--out", tmp_path / "again")
    assert config == TINY and data == tmp_path / "made"
    assert (tmp_path / "again" / "config.yaml").read_text() == (trained / "config.yaml").read_text()


def test_a_run_is_not_trained_over(run: Run, trained: Path) -> None:
    status, calls, line = run("train", "--preset", "tiny", "--out", trained)
    assert (status, calls) == (2, [])
    assert line == f"error: `--out` must be a new folder, got {trained}, which holds a run: --resume continues it\n"


@pytest.mark.parametrize("more", [[], ["--preset", "tiny"], ["--hidden", "8"], ["--preset", "tiny", "--steps", "20"]])
def test_resuming_goes_on_with_the_same_config(run: Run, trained: Path, more: list[str]) -> None:
    status, [(_, config, _, _, named)], _ = run("train", "--out", trained, "--resume", *more)
    assert (status, config, named["resume"]) == (0, TINY, True)


def test_resuming_with_another_config_names_the_difference(run: Run, trained: Path) -> None:
    status, calls, line = run("train", "--out", trained, "--resume", "--hidden", "9")
    assert (status, calls) == (2, [])
    assert line == (
        f"error: `hidden` must stay 8 to resume {trained}, got 9: "
        f"leave it out, or begin another run with --init {trained}\n"
    )


def test_resuming_where_there_is_no_checkpoint_starts_afresh(run: Run, trained: Path, tmp_path: Path) -> None:
    (trained / "last" / "meta.json").unlink()
    _, [(_, config, _, _, named)], _ = run("train", "--out", trained, "--resume", "--hidden", "9")
    assert config == Config(hidden=9, training=TrainingConfig(20)) and named["resume"]
    status, [_], _ = run("train", "--out", tmp_path / "new", "--resume", "--preset", "tiny")
    assert status == 0


def test_only_the_first_process_writes_the_config(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    run("train", "--preset", "tiny", "--out", tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_evaluate_takes_search_flags_and_the_runs_own_data(run: Run, trained: Path, tmp_path: Path) -> None:
    _, [(name, config, *rest, named)], _ = run("evaluate", "--run", trained, "--split", "test", "--beam", "7")
    assert (name, *rest, list(named)) == ("evaluate", trained, tmp_path / "made", "test", ["device"])
    assert config == Config(8, TrainingConfig(20), Search(7))
    _, [(_, _, _, data, *_)], _ = run("evaluate", "--run", trained, "--split", "test", "--data", "own")
    assert data == Path("own")


def test_evaluate_without_a_data_folder_to_go_to(run: Run, trained: Path) -> None:
    (trained / "config.yaml").write_text("hidden: 8\n")
    status, _, line = run("evaluate", "--run", trained, "--split", "test")
    assert status == 2 and line.startswith("error: `--data` must be a folder of manifests")


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_only_search_can_be_changed_after_training(run: Run, trained: Path, command: str) -> None:
    status, _, line = run(command, "--run", trained, "--hidden", "9")
    assert status == 2 and line.startswith(f"error: `--hidden` must be a flag of pretend {command}")


def test_a_folder_that_is_no_run(run: Run, tmp_path: Path) -> None:
    status, _, line = run("predict", "--run", tmp_path, "text")
    assert status == 2
    assert line == f"error: `--run` must be the folder of a trained run, got {tmp_path}, which has no config.yaml\n"


def test_predict_takes_its_inputs_as_arguments(run: Run, trained: Path) -> None:
    _, [(name, config, folder, inputs, named)], _ = run(
        "predict", "a b", "--run", trained, "--nbest", 2, "-c d", "--json", "--pictures", "p", "--penalty", "wu"
    )
    assert (name, config.search, folder, inputs) == ("predict", Search(5, "wu"), trained, ["a b", "-c d"])
    assert (named["as_json"], named["nbest"], named["pictures"]) == (True, 2, Path("p"))


@pytest.mark.parametrize(
    ("sent", "inputs"),
    [("one\n\ntwo é\u2028\r\n".encode(), ["one", "", "two é\u2028"]), (b"one", ["one"]), (b"", []), (b"\n", [""])],
)
def test_predict_reads_lines_from_standard_input(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes, inputs: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sent)))
    _, [(_, _, _, found, _)], _ = run("predict", "--run", trained)
    assert found == inputs


def test_standard_input_that_cannot_be_read(run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"good\nb\xff\n")))
    assert run("predict", "--run", trained)[::2] == (2, "error: standard input, line 2: must be UTF-8, got 0xff\n")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    status, _, line = run("predict", "--run", trained)
    assert (status, line) == (2, "error: `INPUT` must be given, or piped in on standard input, got neither\n")


def test_nbest_is_at_least_one(run: Run, trained: Path) -> None:
    assert run("predict", "--run", trained, "a", "--nbest", "0")[::2] == (
        2,
        "error: `--nbest` must be at least 1, got 0\n",
    )


def test_help_lists_every_field_with_its_documentation_and_default(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="0"):
        run("train", "--help")
    shown = capsys.readouterr().out
    for name, leaf in fields_by_name(Config).items():
        assert f"--{name} " in shown and leaf.doc in shown
    assert "[512]" in shown and "[0.001]" in shown and "none|wu" in shown
    assert "tiny        hidden 8, steps 20" in shown and "base        the defaults" in shown
    with pytest.raises(SystemExit, match="0"):
        run("predict", "--help")
    shown = capsys.readouterr().out
    assert "--beam" in shown and "--hidden" not in shown


def test_score_and_check_are_mounted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.txt").write_text("a b c d\n")
    assert main(["score", "--metric", "wer", "--json", str(tmp_path / "r.txt"), str(tmp_path / "r.txt")]) == 0
    assert json.loads(capsys.readouterr().out)["systems"][0]["metrics"]["wer"]["value"] == 0
    assert main(["check", str(tmp_path)]) == 2
    assert "no *.jsonl" in capsys.readouterr().err
    assert main(["scoer"]) == 2
    assert "did you mean `score`?" in capsys.readouterr().err


def test_the_installed_command_ends_with_its_status() -> None:
    program = "import sys; from seqkit.cli import main; sys.exit(main())"
    result = subprocess.run([sys.executable, "-c", program, "check", "no such folder"], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr


class Found(NamedTuple):
    logprob: float
    score: float


@pytest.mark.parametrize(
    ("as_json", "count", "lines"),
    [
        (False, 1, ["é", "é"]),
        (False, 2, ["-1.0000\té", "-2.5000\tb"] * 2),
        (
            True,
            1,
            [
                f'{{"input": "{given}", "hypotheses": [{{"text": "é", "logprob": -3.0, "score": -1.0}}]}}'
                for given in "xy"
            ],
        ),
    ],
)
def test_answers_are_lines(as_json: bool, count: int, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    answers = [("é", Found(-3.0, -1.0)), ("b", Found(-4.0, -2.5))][:count]
    print_answers(["x", "y"], [answers, answers], as_json=as_json)
    assert capsys.readouterr().out.splitlines() == lines
