"""Every preparation as a command: help that says what it is for, and one line for a mistake."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seqkit.tasks import CORPORA
from tests.corpora import DATA

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", CORPORA)
def test_help_says_what_a_corpus_is_what_is_read_and_what_is_written(name, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"seqkit.data_prep.{CORPORA[name].module}").main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and text.startswith(f"usage: seqkit prepare {name} ")
    assert f"    seqkit prepare {name} --" in text
    assert name == "synthetic" or "Reads " in text or "are found by name anywhere under --raw" in text
    assert re.search(r"\b([Ww]rites|written)\b", text)


def test_every_module_with_a_command_is_in_the_table():
    commands = {
        path.relative_to(ROOT / "data_prep").with_suffix("").as_posix().replace("/", ".")
        for path in (ROOT / "data_prep").glob("*/*.py")
        if "\ndef main(argv" in path.read_text(encoding="utf-8")
    }
    assert commands == {entry.module for entry in CORPORA.values()}


@pytest.mark.parametrize("name", ["wmt", "synthetic"])
def test_scripts_run_from_a_checkout_and_end_with_one_line(name, tmp_path):
    result = subprocess.run(
        [sys.executable, "data_prep", name, "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SEQKIT_DATA": str(DATA)},
        check=False,
    )
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "required" in result.stderr


@pytest.mark.parametrize("name", sorted(set(CORPORA) - {"wmt", "synthetic", "pairs"}))
def test_flags_that_are_missing_are_named(name, capsys):
    from seqkit.cli import main

    assert main(["prepare", name]) == 2
    assert "required: --raw" in capsys.readouterr().err
