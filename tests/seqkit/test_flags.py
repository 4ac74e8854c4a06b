"""One line and a status for every mistake of the caller's; a traceback for every bug."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seqkit.errors import InputError
from seqkit.flags import Parser, parse, pick_device, run_cli, run_command


def parser() -> Parser:
    made = Parser("prog", "about")
    made.add_argument("--learning_rate", type=float)
    made.add_argument("--no-case", action="store_true")
    made.add_argument("inputs", nargs="*")
    return made


def test_dashes_and_underscores_are_one_and_inputs_may_stand_anywhere() -> None:
    found = parse(parser(), ["a b", "--learning-rate=2", "--no-case", "c_d", "--", "--e-f"])
    assert (found.learning_rate, found.no_case, found.inputs) == (2.0, True, ["a b", "c_d", "--e-f"])
    assert parse(parser(), ["--learning_rate", "3"]).learning_rate == 3.0
    assert parse(parser(), ["--so it begins"]).inputs == ["--so it begins"]


@pytest.mark.parametrize("number", ["-1", "-1.5", "-.5", "-2.", "-1e-3", "-1E+06", "-.5e2"])
def test_a_negative_number_of_any_form_is_a_value(number: str) -> None:
    assert parse(parser(), ["--learning_rate", number]).learning_rate == float(number)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--learnin-rate", "2"], "`--learnin-rate` must be a flag of prog; did you mean `--learning_rate`?"),
        (["--xyz=2"], "`--xyz` must be a flag of prog$"),
        (["--learn", "2"], "`--learn` must be a flag of prog; did you mean `--learning_rate`"),
        (["--rate", "2"], "`--rate` must be a flag of prog; did you mean `--learning_rate`"),
        (["--lerning_date", "2"], "`--lerning_date` must be a flag of prog; did you mean `--learning_rate`"),
        (["--no_cars"], "`--no_cars` must be a flag of prog$"),
        (["--learning_rate", "x"], r"argument --learning_rate: invalid float value: 'x' \(see prog --help\)"),
        (["--learning_rate"], "expected one argument"),
    ],
)
def test_flags_that_are_wrong(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(parser(), argv)


def test_a_synonym_is_answered_with_the_flag_that_means_it_here() -> None:
    made = Parser("prog", "about")
    for name in ("device", "batch_budget", "decode_batch_size", "workers"):
        made.add_argument(f"--{name}")
    for word, flag in (("--gpu", "device cuda"), ("--batch-size", "batch_budget"), ("--num_workers=2", "workers")):
        with pytest.raises(
            InputError, match=f"`{word.partition('=')[0]}` must be a flag of prog; did you mean `--{flag}`"
        ):
            parse(made, [word])
    bare = Parser("prog", "about")
    bare.add_argument("--decode_batch_size")
    with pytest.raises(InputError, match="; did you mean `--decode_batch_size`"):
        parse(bare, ["--batch-size", "8"])
    for word in ("--workers", "--num-workers"):
        with pytest.raises(InputError, match="read in the training process: leave it out"):
            parse(bare, [word, "4"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("`x` must be\nsmall"), "error: `x` must be small\n"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.txt"), "error: a.txt: No such file\n"),
        (PermissionError(errno.EACCES, "Permission denied", "b"), "error: b: Permission denied\n"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device\n"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "d"), "error: d: Is a directory\n"),
    ],
)
def test_mistakes_of_the_callers_are_one_line_and_status_2(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(argv: list[str]) -> None:
        raise error

    assert run_cli(main, []) == 2
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("error", [ValueError("bug"), OSError(errno.EBADF, "Bad file descriptor"), KeyError("bug")])
def test_bugs_keep_their_traceback(error: Exception) -> None:
    def main(argv: list[str]) -> None:
        raise error

    with pytest.raises(type(error)):
        run_cli(main, [])


def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main(argv: list[str]) -> None:
        raise KeyboardInterrupt

    assert run_cli(main, []) == 130 and capsys.readouterr().err == "interrupted\n"


def test_status_and_arguments_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prog", "a"])
    assert run_cli(len) == 1 and run_cli(len, []) == 0 and run_cli(lambda argv: None, ["a"]) == 0


def test_a_reader_that_stops_ends_the_command_quietly() -> None:
    program = (
        "import sys; from seqkit.flags import run_cli; "
        "sys.exit(run_cli(lambda argv: [print(i) for i in range(10**6)] and 0))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141


COMMANDS = {"train": ("fit it", lambda argv: 3 + len(argv)), "predict": ("use it", lambda argv: None)}


def test_dispatch_hands_on_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("prog", COMMANDS, ["train", "--help"]) == 4
    assert run_command("prog", COMMANDS, ["--help"]) == 0
    shown = capsys.readouterr().out
    assert "train" in shown and "fit it" in shown and "use it" in shown
    assert run_command("prog", COMMANDS, ["--version"]) == 0
    assert capsys.readouterr().out.startswith("seqkit ")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "must be train, predict or --help, got nothing"),
        (["trian"], "got `trian`; did you mean `train`?"),
        (["--preset"], "got `--preset`$"),
    ],
)
def test_dispatch_refuses_what_is_no_command(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_command("prog", COMMANDS, argv)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps"):
        with pytest.raises(InputError, match=f"`--device` must be one of auto, cpu on this machine, got {name}, which"):
            pick_device(name)
    with pytest.raises(InputError, match="`--device` must be one of auto, cpu on this machine, got gpu$"):
        pick_device("gpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("mps") == torch.device("mps") and pick_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == pick_device("cuda").type == "cuda" and pick_device("cpu").type == "cpu"


def test_a_misspelt_flag_is_answered_without_torch(tmp_path: Path) -> None:
    program = "import sys; from seqkit.cli import main; main(['check', '--hlep']); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n" and "did you mean `--help`" in result.stderr
