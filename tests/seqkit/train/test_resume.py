"""Stop after any step, or be killed at any instant, and resume = never stopped, bit for bit."""

import dataclasses
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.errors import InputError
from seqkit.train import checkpoint
from seqkit.train.loop import TrainingConfig
from seqkit.train.schedule import Horizon, lr_factor
from tests.tiny_training import differences, forked, rows_of, state_of, stop_at, train

BASE = {"steps": 17, "learning_rate": 0.02, "log_every": 4, "validate_every": 5}
VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd", "momentum": 0.9},
    "adagrad": {"optimizer": "adagrad", "schedule": "inverse_sqrt", "warmup": 4},
    "adadelta": {"optimizer": "adadelta", "learning_rate": 1.0, "epsilon": 1e-6},
    "rmsprop": {"optimizer": "rmsprop", "momentum": 0.5, "schedule": "step", "step_after": 1, "step_every": 0.3},
    "adam": {"optimizer": "adam", "ema_decay": 0.8, "schedule": "cosine", "warmup": 3},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1, "average_last": 3, "grad_accumulation": 2},
    "plateau": {"learning_rate": 0.3, "schedule": "plateau", "plateau_patience": 0, "validate_every": 2},
    "patience": {"optimizer": "sgd", "learning_rate": 8.0, "patience": 2, "validate_every": 2},
    "bf16": {"precision": "bf16", "grad_accumulation": 3},
}


def config_of(variant: str) -> TrainingConfig:
    return TrainingConfig(**(BASE | VARIANTS[variant]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_interrupted_and_resumed_equals_never_stopped(tmp_path: Path, variant: str) -> None:
    config = config_of(variant)
    whole, outcome = train(tmp_path / "whole", config)
    assert outcome.ending == "finished"
    for number, stops in enumerate([(2,), (4,), (1, 6, 7)]):
        folder = tmp_path / str(number)
        for stop in stops:
            ending = train(folder, config, resume=True, hook=stop_at(stop))[1]
            assert (ending.ending, ending.progress.step) == ("interrupted", stop + 1)
        model, _ = train(folder, config, resume=True)
        assert differences(whole.state_dict(), model.state_dict()) == []
        assert differences(state_of(tmp_path / "whole"), state_of(folder)) == []


def test_the_variants_reach_what_they_are_named_for(tmp_path: Path) -> None:
    train(tmp_path / "plateau", config_of("plateau"))
    rates = [row["lr"] for row in rows_of(tmp_path / "plateau") if "lr" in row]
    assert rates[-1] < rates[0]
    _, outcome = train(tmp_path / "patience", config_of("patience"))
    assert outcome.progress.step < 17


def test_crash_between_checkpoints_resumes_from_the_latest_and_cuts_the_log(tmp_path: Path) -> None:
    def crash(step: int) -> None:
        if step == 9:
            raise ZeroDivisionError

    config = config_of("adam")
    train(tmp_path / "whole", config)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "crashed", config, hook=crash)
    assert rows_of(tmp_path / "crashed")[-1]["step"] == 8  # a row that the checkpoint of step 5 does not know
    train(tmp_path / "crashed", config, resume=True)
    assert differences(state_of(tmp_path / "whole"), state_of(tmp_path / "crashed")) == []


def test_more_steps_or_epochs_go_on_and_another_config_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "cut", TrainingConfig(**BASE | {"steps": 7}))  # one epoch
    with pytest.raises(InputError, match=r"`max_grad_norm` must stay 1.0 to resume .*, got 2.0: leave it as it w"):
        train(tmp_path / "cut", TrainingConfig(**BASE | {"max_grad_norm": 2.0}), resume=True)
    assert train(tmp_path / "cut", TrainingConfig(**BASE | {"steps": 14}), resume=True)[1].progress.step == 14
    assert "cut: resumed at step 7, to step 14 instead of 7\n" in capsys.readouterr().err
    longer = TrainingConfig(**BASE | {"steps": 0, "epochs": 3})
    assert train(tmp_path / "cut", longer, resume=True)[1].progress.step == 21
    train(tmp_path / "whole", longer)
    assert state_of(tmp_path / "whole")["last"] == state_of(tmp_path / "cut")["last"]


def test_a_schedule_that_follows_the_length_follows_the_new_one_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = BASE | {"schedule": "cosine", "log_every": 1}
    short, longer = TrainingConfig(**every | {"steps": 6}), TrainingConfig(**every | {"steps": 20})
    train(tmp_path, short)
    train(tmp_path, longer, resume=True)
    text = "resumed at step 6, to step 20 instead of 6; the learning rate follows the cosine of the new length\n"
    assert text in capsys.readouterr().err
    rates = [row["lr"] for row in rows_of(tmp_path) if "lr" in row]
    want = [lr_factor(short, Horizon(6, 7), step, ()) for step in range(6)]
    want += [lr_factor(longer, Horizon(20, 7), step, ()) for step in range(6, 20)]
    assert rates == [pytest.approx(0.02 * factor) for factor in want]


def test_more_patience_and_minutes_go_on(tmp_path: Path) -> None:
    impatient = config_of("patience")
    first = train(tmp_path, impatient)[1].progress
    more = dataclasses.replace(impatient, patience=3)
    assert train(tmp_path, more, resume=True)[1].progress.step > first.step
    short = TrainingConfig(**BASE | {"max_minutes": 1e-9})
    assert train(tmp_path / "minutes", short)[1].progress.step == 1
    assert train(tmp_path / "minutes", dataclasses.replace(short, max_minutes=0), resume=True)[1].progress.step == 17


@pytest.mark.parametrize("damage", [b"", b"PK", None, {"step": 1}], ids=["empty", "no archive", "cut", "other keys"])
def test_a_damaged_training_state_is_one_line(tmp_path: Path, damage: Any) -> None:
    train(tmp_path, config_of("sgd"), hook=stop_at(5))
    path = tmp_path / "last" / "training.pt"
    if isinstance(damage, dict):
        torch.save(damage, path)
    else:
        path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(
        InputError, match=r"training.pt: must be the training state of a run, got a damaged file \(.*\)"
    ):
        train(tmp_path, config_of("sgd"), resume=True)


def test_a_training_state_of_another_model_is_one_line(tmp_path: Path) -> None:
    train(tmp_path / "sgd", config_of("sgd"), hook=stop_at(5))
    path = tmp_path / "sgd" / "last" / "training.pt"
    state = torch.load(path, weights_only=True)
    state["optimizer"]["param_groups"] = []
    torch.save(state, path)
    with pytest.raises(InputError, match=r"training.pt: must be the training state of this model, got another's: "):
        train(tmp_path / "sgd", config_of("sgd"), resume=True)


def die_at(count: int) -> None:
    """Kill this process at its `count`-th change of a file's or folder's name, content or presence on the disk."""
    left = [count]

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)

        return wrapped

    for name in ("fsync", "rename", "mkdir", "unlink", "rmdir"):
        setattr(os, name, deadly(getattr(os, name)))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_at_any_point_of_writing_a_checkpoint(tmp_path: Path) -> None:
    config = TrainingConfig(steps=3, learning_rate=0.02, log_every=1, checkpoint_every=2, ema_decay=0.5)
    train(tmp_path / "whole", config)
    want = state_of(tmp_path / "whole")
    for count in range(1, 200):
        folder = tmp_path / "killed"
        shutil.rmtree(folder, ignore_errors=True)

        def work(count: int = count, folder: Path = folder) -> None:
            die_at(count)
            train(folder, config)

        status = os.waitpid(forked(work), 0)[1]
        if status == 0:
            break
        assert os.WIFSIGNALED(status), "the child must die by the signal alone"
        had = checkpoint.find_checkpoint(folder / "last")
        if had:
            assert checkpoint.read_weights(folder / "last").keys() == {"steps"} | names()
            with pytest.raises(InputError, match="must be a new folder, got one that holds last"):
                train(folder, config)
        train(folder, config, resume=True)
        assert differences(want, state_of(folder)) == [], f"killed at operation {count}"
    assert 30 < count < 199  # both that checkpoints were written and that the run outlived the last of them


def names() -> set[str]:
    from tests.tiny_training import Tiny

    return {name for name, _ in Tiny().named_parameters(remove_duplicate=False)}


def kill_repeatedly(folder: Path, config: TrainingConfig, kills: int, longest: float, seed: int) -> None:
    """Resume the run until `kills` SIGKILLs have hit it, each after a random time, then to its end."""
    rng = random.Random(seed)
    while kills:
        child = forked(lambda: train(folder, config, resume=True) and None)
        time.sleep(rng.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        kills -= os.WIFSIGNALED(os.waitpid(child, 0)[1])
        if (
            checkpoint.find_checkpoint(folder / "last")
            and checkpoint.read_meta(folder / "last")["step"] == config.steps
        ):
            shutil.rmtree(folder)  # done too soon: once more from the start
    train(folder, config, resume=True)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("kills", "steps"), [(4, 60), pytest.param(20, 300, marks=pytest.mark.slow)], ids=["four", "twenty"]
)
def test_killed_at_random_moments(tmp_path: Path, kills: int, steps: int) -> None:
    config = TrainingConfig(
        steps=steps, learning_rate=0.02, log_every=3, validate_every=10, checkpoint_every=4, ema_decay=0.9
    )
    began = time.monotonic()
    train(tmp_path / "whole", config)
    longest = (time.monotonic() - began) / 3
    kill_repeatedly(tmp_path / "killed", config, kills, longest, seed=steps)
    assert differences(state_of(tmp_path / "whole"), state_of(tmp_path / "killed")) == []
