"""The first word of a command: what there is, and what is answered to a word that is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from seqkit import __version__
from seqkit.cli import COMMANDS, main
from seqkit.tasks import CORPORA, TASKS


def test_one_screen_lists_every_task_and_command_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    for name, example in [(name, entry.example) for name, entry in TASKS.items()] + [
        (name, example) for name, (_, example) in COMMANDS.items()
    ]:
        (line,) = (line for line in lines if line.split()[:2] == ["seqkit", name])
        assert example.partition(" ")[2] in line
    assert main(["--help"]) == main(["-h"]) == 0
    assert capsys.readouterr().out == shown * 2
    assert main(["--version"]) == 0 and capsys.readouterr().out == f"seqkit {__version__}\n"


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("translate", "translation"), ("lip_net", "lipnet"), ("scoer", "score"), ("caption", "captioning"), ("zzz", "")],
)
def test_an_unknown_first_word_names_the_nearest_and_how_to_train(
    word: str, nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word, "train"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: the first word must be a task or a command, got `{word}`") and line.count("\n") == 1
    assert (f"; did you mean `{nearest}`?" in line) if nearest else ("did you mean" not in line)
    task = nearest if nearest in TASKS else "translation"
    assert f"To train: `seqkit {task} train --data DIR --out RUN`" in line


def test_a_task_folder_as_first_word_names_its_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lipreading", "train"]) == 2
    assert "got `lipreading`; its recipes are `lipnet` and `wlas`. To train: `seqkit lipnet" in capsys.readouterr().err


def test_a_folder_of_two_tasks_knows_these_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], only=("lipnet", "wlas")) == 0
    shown = capsys.readouterr().out
    assert "lipnet" in shown and "wlas" in shown and "translation" not in shown and "demo" not in shown
    assert main(["translation"], only=("lipnet", "wlas")) == 2
    assert "`seqkit lipnet train --data DIR --out RUN`" in capsys.readouterr().err


def test_a_task_and_a_command_are_two_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translation"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "error: seqkit translation: the first word must be train, evaluate, predict or --help, got nothing\n"
    )
    assert main(["translation", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: seqkit translation COMMAND")


def test_score_and_check_are_mounted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.txt").write_text("a b c d\n")
    assert main(["score", "--metric", "wer", "--json", str(tmp_path / "r.txt"), str(tmp_path / "r.txt")]) == 0
    assert json.loads(capsys.readouterr().out)["systems"][0]["metrics"]["wer"]["value"] == 0
    assert main(["check", str(tmp_path)]) == 2
    assert "no *.jsonl" in capsys.readouterr().err


def test_prepare_lists_its_corpora(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown and entry.about in shown for name, entry in CORPORA.items())
    assert main(["prepare", "multi30"]) == 2
    assert "got `multi30`; did you mean `multi30k`?" in capsys.readouterr().err
    assert main(["prepare", "synthetic", "--task", "nothing", "--out", "x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "program", [["-m", "seqkit"], ["-c", "import sys; from seqkit.cli import main; sys.exit(main())"]]
)
def test_the_installed_command_ends_with_its_status(program: list[str]) -> None:
    command = [sys.executable, *program, "check", "no such folder"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
