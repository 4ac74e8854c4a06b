"""A run folder has one owner, is refused before anything is written there, and is cleared of what kills leave."""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seqkit.errors import InputError
from seqkit.train import checkpoint
from seqkit.train import lock as locks
from seqkit.train.loop import RunFolder, TrainingConfig, fit
from seqkit.train.run_folder import claim
from tests.tiny_training import Tiny, forked, make_data, make_loss, make_validate, stop_at, train

QUICK = TrainingConfig(steps=3, learning_rate=0.02, log_every=4)
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def holder(folder: Path, hold: Callable[[], None] = lambda: time.sleep(60)) -> int:
    """The process id of a child that has claimed `folder` and does `hold`."""

    def work() -> None:
        with claim(folder, resume=True):
            (folder.parent / "ready").touch()
            hold()

    child = forked(work)
    while not (folder.parent / "ready").exists():
        time.sleep(0.01)
    return child


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.parametrize("resume", [False, True])
def test_another_process_is_named_and_its_folder_left_alone(tmp_path: Path, resume: bool) -> None:
    child = holder(tmp_path / "run")
    before = contents(tmp_path)
    with pytest.raises(InputError, match=rf"run: must be used by one process at a time, got process {child} on"):
        train(tmp_path / "run", QUICK, resume=resume)
    assert contents(tmp_path) == before
    kill(child)
    assert train(tmp_path / "run", QUICK, resume=resume)[1].ending == "finished"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_child_that_outlives_its_killed_parent_does_not_keep_the_folder(tmp_path: Path) -> None:
    def hold() -> None:
        orphan = os.fork()
        if not orphan:
            time.sleep(60)
            os._exit(0)
        (tmp_path / "orphan").write_text(str(orphan))
        time.sleep(60)

    child = holder(tmp_path / "run", hold)
    while not (tmp_path / "orphan").exists() or not (tmp_path / "orphan").read_text():
        time.sleep(0.01)
    kill(child)
    try:
        with claim(tmp_path / "run", resume=True):
            pass
    finally:
        os.kill(int((tmp_path / "orphan").read_text()), signal.SIGKILL)


def test_a_process_may_claim_its_folder_again_and_keeps_it_until_the_end(tmp_path: Path) -> None:
    def refused() -> None:
        with pytest.raises(InputError, match="one process at a time"), claim(tmp_path / "run", resume=True):
            pass

    with claim(tmp_path / "run"):
        (tmp_path / "run" / "config.yaml").touch()
        with claim(tmp_path / "run"):
            pass
        assert os.waitpid(forked(refused), 0)[1] == 0


def no_locks(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Switch off what this platform has."""
    if kind == "file system":
        import fcntl

        def flock(*_: Any) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", flock)
    else:
        monkeypatch.setitem(sys.modules, "fcntl", None)


@pytest.mark.parametrize("kind", ["file system", "platform"])
def test_without_locks_nothing_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    child = holder(tmp_path / "run")
    no_locks(monkeypatch, kind)
    with claim(tmp_path / "run", resume=True):
        pass
    kill(child)


def test_windows_locks_a_byte_behind_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []

    def locking(handle: int, mode: int, count: int) -> None:
        if held:
            raise PermissionError(errno.EACCES, "Permission denied")
        held.append(os.lseek(handle, 0, os.SEEK_CUR))

    no_locks(monkeypatch, "platform")
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    with claim(tmp_path / "run"):
        assert held[0] > 1000
        text = (tmp_path / "run" / ".lock").read_text()
        assert text.split()[1] == str(os.getpid())
        (tmp_path / "run" / ".lock").write_text(text.replace(locks.TOKEN, "another"))
        with pytest.raises(InputError, match="one process at a time"), claim(tmp_path / "run", resume=True):
            pass


@pytest.mark.parametrize("name", ["config.yaml", "log.jsonl", "best", "last", "tensorboard", "evaluate"])
def test_a_folder_that_holds_what_a_run_writes_is_refused_and_no_other(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"must be a new folder, got one that holds {name}: resume the run that is th"):
        train(tmp_path, QUICK)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "notes.txt"])
    (tmp_path / name).unlink()
    assert train(tmp_path, QUICK)[1].ending == "finished"
    assert not (tmp_path / ".lock").exists()


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: must be a folder, got a file: choose another place"):
        train(tmp_path / "file", QUICK)


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`metric` must be one"):
        train(tmp_path / "a" / "run", TrainingConfig(steps=3, metric="bleu"))
    assert list((tmp_path / "a").iterdir()) == []


def test_a_finished_run_without_its_last_checkpoint_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "run", QUICK)
    last = tmp_path / "run" / "last"
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    before = contents(tmp_path)
    with pytest.raises(InputError, match="must be a new folder, got one that holds best"):
        train(tmp_path / "run", QUICK)
    model = Tiny(seed=3)
    again = RunFolder(tmp_path / "run", resume=True, write_config=lambda folder: (folder / "config.yaml").touch())
    outcome = fit(model, make_loss(model), make_data(), make_validate(model), QUICK, again)
    assert (outcome.ending, outcome.progress.step, outcome.exit_status) == ("already finished", 3, 0)
    assert "finished, and cannot go on without its `last`: left as it is" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_run_that_broke_off_before_its_first_last_checkpoint_starts_afresh(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", QUICK)[0].embed.weight

    def crash(step: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "run", QUICK, hook=crash)
    checkpoint.replace_folder(tmp_path / "run" / "best", lambda part: checkpoint.write_model(part, Tiny(), {"step": 3}))
    model, outcome = train(tmp_path / "run", QUICK, resume=True)
    assert outcome.ending == "finished" and model.embed.weight.equal(whole)


def test_the_config_is_written_when_the_run_begins_and_when_it_goes_on_but_not_when_it_is_refused(
    tmp_path: Path,
) -> None:
    def begin(text: str, steps: int, *, resume: bool, stop: int = -1) -> str:
        def write(folder: Path) -> None:
            (folder / "config.yaml").write_text(text)

        model, run = Tiny(), RunFolder(tmp_path, resume, write_config=write)
        config = TrainingConfig(steps=steps, learning_rate=0.02)
        fit(model, make_loss(model, hook=stop_at(stop)), make_data(), make_validate(model), config, run)
        return (tmp_path / "config.yaml").read_text()

    assert begin("one", 5, resume=False, stop=1) == "one"
    with pytest.raises(InputError, match="must be a new folder"):
        begin("two", 5, resume=False)
    assert (tmp_path / "config.yaml").read_text() == "one"
    assert begin("three", 5, resume=True) == "three"
    assert begin("four", 5, resume=True) == "three"  # it has finished
    assert begin("five", 6, resume=True) == "five"


def test_temporary_files_of_killed_processes_are_cleared(tmp_path: Path) -> None:
    left = [".config.yaml.ab12_x9z", "last.part", "best.part", "best.old"]
    mine = [".config.yaml.backup", ".other.ab12_x9z"]
    for name in left[:1] + mine:
        (tmp_path / name).touch()
    for name in left[1:]:
        (tmp_path / name).mkdir()
    with claim(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {*mine, ".lock"}


def test_a_folder_of_a_full_disk_goes_on_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Tiny()

    def begin(write: Callable[[Path], None]) -> str:
        run = RunFolder(tmp_path / "run", resume=True, write_config=write)
        return fit(model, make_loss(model), make_data(), make_validate(model), QUICK, run).ending

    def full(*_: Any, **others: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match="run: disk must have room .*free some and resume the run"):
        begin(full)
    with monkeypatch.context() as patch, pytest.raises(InputError, match="run: disk must have room"):
        patch.setattr(Path, "mkdir", full)
        begin(lambda folder: None)
    with monkeypatch.context() as patch, pytest.raises(InputError, match="run: disk must have room"):
        patch.setattr(os, "write", full)  # the owner's name in the lock
        begin(full)
    assert begin(lambda folder: None) == "finished"


def test_folders_that_cannot_be_opened_are_not_forced_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows; a file that cannot be opened is an error as ever."""
    opened = os.open

    def windows(path: Any, flags: int, *more: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        if Path(path).name == "meta.json" and flags & (os.O_RDWR | os.O_WRONLY) == 0:
            raise PermissionError("only a file that may be written can be forced to the disk")
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", windows)
    train(tmp_path / "run", QUICK)
    assert checkpoint.read_meta(tmp_path / "run" / "best")["step"] == 3
