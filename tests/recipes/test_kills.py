"""A training of any recipe that is killed again and again, half of the times while it writes a checkpoint, ends as one
that was never interrupted, byte for byte: subwords are drawn anew every epoch, and workers load the batches."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqkit.config import fields_by_name
from seqkit.score import meteor
from seqkit.tasks import TASKS, find_recipe
from seqkit.train import checkpoint, loop
from tests.tiny_runs import corpus, train
from tests.tiny_training import differences, forked, state_of

KILLS = 20
RUN = {"steps": 24, "warmup": 4, "ema_decay": 0.9, "checkpoint_every": 2, "validate_every": 6, "log_every": 5}
HARDER = {"workers": 1, "merge_dropout": 0.2, "scheduled_sampling": 0.5, "scheduled_sampling_end": 4}
DISK = ("fsync", "rename", "mkdir", "unlink", "rmdir")


def deadly(call: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """`call`, before the last of so many calls of which this process dies."""

    def wrapped(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **options)

    return wrapped


def die_at_step(count: int) -> None:
    loop.train_step = deadly(loop.train_step, [count])


def die_while_writing(count: int) -> None:
    """Die at the `count`-th change on the disk by which checkpoints are written."""
    replace_folder, left = checkpoint.replace_folder, [count]

    def replace(folder: Path, write: Callable[[Path], None]) -> None:
        own = {name: getattr(os, name) for name in DISK}
        for name, call in own.items():
            setattr(os, name, deadly(call, left))
        replace_folder(folder, write)
        for name, call in own.items():
            setattr(os, name, call)

    checkpoint.replace_folder = replace


def killed(work: Callable[[], object]) -> bool:
    """Whether a child that does `work` was killed; it must not fail."""

    def quiet() -> None:
        signal.alarm(600)  # a loaded machine takes its time
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        assert work() in (None, 0)

    status = os.waitpid(forked(quiet), 0)[1]
    assert status == 0 or os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return status != 0


def end_of(run: Path) -> dict[str, Any]:
    """All of a run but its times."""
    state = state_of(run)
    for name in ("best", "last"):
        state |= {f"{name}/{path.name}": path.read_bytes() for path in (run / name).iterdir()}
        del state[f"{name}/meta.json"]
    del state["last/training.pt"]
    return {**state, "config": (run / "config.yaml").read_bytes()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("task", TASKS)
def test_killed_twenty_times_it_ends_in_the_same_bytes(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(meteor, "installed", lambda: False)
    known, rng = fields_by_name(find_recipe(task).config), random.Random(task)
    fields = {**RUN, **{name: value for name, value in HARDER.items() if name in known}}
    data, whole, broken = (tmp_path / name for name in ("data", "whole", "broken"))
    assert not killed(lambda: corpus(task, data) and None)
    assert not killed(lambda: train(task, data, whole, **fields))
    want = end_of(whole)

    def go_on(prepare: Callable[[], None]) -> int:
        prepare()
        return train(task, data, broken, "--resume", **fields)

    kills, torn = 0, 0
    while kills < KILLS:
        kind = die_while_writing if kills % 2 else die_at_step
        count = rng.randint(1, 40 if kills % 2 else 3)
        if killed(lambda kind=kind, count=count: go_on(lambda: kind(count))):
            kills += 1
            torn += any(path.suffix in (".part", ".new", ".old") for path in broken.iterdir())
        else:  # it has ended: once more from the start
            assert differences(want, end_of(broken)) == []
            shutil.rmtree(broken)
    assert torn > KILLS // 5
    assert not killed(lambda: go_on(lambda: None))
    assert differences(want, end_of(broken)) == []
