"""What a run tells while it trains, and its last line."""

import io
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seqkit.train import log as logs
from seqkit.train.log import Log, one_line
from seqkit.train.loop import RunFolder, TrainingConfig, fit
from seqkit.train.state import Progress
from tests.tiny_training import Tiny, make_data, make_loss, make_validate, rows_of, stop_at, train

QUIET = {"learning_rate": 0.02, "log_every": 100}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_first_step_is_shown_at_once_and_leaves_no_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, TrainingConfig(steps=7, **QUIET), dropout=0)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert lines[0].startswith("step 1 of 7, epoch 0: loss ") and " left" in lines[0]
    assert lines[1].startswith("step 7 of 7, epoch 1: validation loss ")
    assert [row["step"] for row in rows_of(tmp_path)] == [7, 7]


def test_on_a_terminal_a_line_lives_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(logs, "TERMINAL_INTERVAL", 60.0)
    train(tmp_path / "seldom", TrainingConfig(steps=3, **QUIET), dropout=0)
    assert sys.stderr.getvalue().count(", epoch 0: loss ") == 2  # type: ignore[attr-defined]  # first step and last row
    monkeypatch.setattr(logs, "TERMINAL_INTERVAL", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    train(tmp_path, TrainingConfig(steps=3, **QUIET), dropout=0)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert [f"\rstep {step} of 3, epoch 0: loss " in shown for step in (1, 2, 3)] == [True] * 3
    with closing(Log(tmp_path)) as log:
        log.show("left open")
    assert sys.stderr.getvalue() == f"{shown}\rleft open\x1b[K\n"  # type: ignore[attr-defined]


def test_lines_are_as_far_apart_as_they_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Log(tmp_path)) as log, closing(Log(None)) as nowhere:
        assert log.is_line_due()
        log.show("one")
        assert not log.is_line_due()
        monkeypatch.setattr(logs, "LINE_INTERVAL", 0.0)
        assert log.is_line_due() and not nowhere.is_line_due()


def test_showing_progress_changes_nothing_in_training_or_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seldom, _ = train(tmp_path / "seldom", TrainingConfig(steps=9, **QUIET | {"log_every": 4}))
    monkeypatch.setattr(logs, "LINE_INTERVAL", 0.0)
    often, _ = train(tmp_path / "often", TrainingConfig(steps=9, **QUIET | {"log_every": 4}))
    assert often.embed.weight.equal(seldom.embed.weight) and rows_of(tmp_path / "often") == rows_of(tmp_path / "seldom")


def run(folder: Path, samples: list[tuple[str, str]], **others: Any) -> None:
    model = Tiny()
    validate = make_validate(model)
    fit(
        model,
        make_loss(model),
        make_data(),
        lambda: (validate(), samples),
        TrainingConfig(steps=2, validate_every=1, **QUIET),
        RunFolder(folder, **others),
    )


def test_two_sample_outputs_at_each_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, [("ein \x1b[31mHund\n", "a dog"), ("zwei", "x" * 200), ("drei", "three")])
    lines = capsys.readouterr().err.splitlines()
    assert lines.count(r"  given:  ein \x1b[31mHund ") == lines.count("  output: a dog") == 2
    assert lines.count(f"  output: {'x' * 99}…") == 2 and not any("three" in line for line in lines)
    rows = [row for row in rows_of(tmp_path) if "validation" in row]
    assert all(row["samples"] == [["ein \x1b[31mHund\n", "a dog"], ["zwei", "x" * 200]] for row in rows)


def test_without_samples_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, [])
    assert "given" not in capsys.readouterr().err
    assert not any("samples" in row for row in rows_of(tmp_path))


def test_texts_as_a_terminal_can_show_them() -> None:
    assert one_line("a\tb\u2028c\u200bd é 漢") == r"a b c\u200bd é 漢"


def test_the_last_lines_name_the_best_figures_their_folder_and_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run", [], next_command="seqkit evaluate it")
    best = json.loads((tmp_path / "run" / "best" / "meta.json").read_text())
    line = (
        f"{tmp_path / 'run'}: finished at step 2; best at step {best['step']}: loss {best['metrics']['loss']:.4f}, "
        f"accuracy {best['metrics']['accuracy']:.4f}, in {tmp_path / 'run' / 'best'}"
    )
    assert capsys.readouterr().err.splitlines()[-2:] == [line, "seqkit evaluate it"]
    run(tmp_path / "run", [], next_command="seqkit evaluate it", resume=True)
    again = line.replace(" finished", " already finished")
    assert capsys.readouterr().err.splitlines() == [again, "seqkit evaluate it"]
    run(tmp_path / "other", [])
    assert "other: finished at step 2; " in capsys.readouterr().err.splitlines()[-1]


def test_an_interrupted_run_has_no_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Tiny()
    run = RunFolder(tmp_path, next_command="seqkit evaluate it")
    loss = make_loss(model, hook=stop_at(1))
    outcome = fit(model, loss, make_data(), make_validate(model), TrainingConfig(steps=5, **QUIET), run)
    assert outcome.exit_status == 130
    assert capsys.readouterr().err.endswith("interrupted by SIGINT and saved at step 2; resume the run to go on\n")


def test_progress_has_no_total_where_none_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(tmp_path)
    log.train([(6.0, 3, 1.0, 0.1)], Progress(2, 0, 2, 5.0), lambda seconds: 1.0)
    assert capsys.readouterr().err.startswith("step 2, epoch 0: loss 2.0000")
    log.close()
