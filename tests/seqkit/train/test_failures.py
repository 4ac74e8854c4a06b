"""Failures from outside and divergence end a run in one line; the last checkpoint stays whole."""

import errno
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqkit.errors import InputError
from seqkit.nn.ctc import ctc_loss
from seqkit.train import checkpoint, distributed
from seqkit.train.failures import explain_full_disk, explain_out_of_memory
from seqkit.train.loop import RunFolder, TrainingConfig, fit
from tests.processes import together
from tests.tiny_training import Tiny, forked, make_data, make_loss, make_validate, train

CONFIG = TrainingConfig(steps=9, learning_rate=0.02, checkpoint_every=2)
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def raises(error: Exception) -> Callable[[int], None]:
    """A hook that raises in step 5."""

    def hook(step: int) -> None:
        if step == 5:
            raise error

    return hook


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nand so on"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=["python", "cuda", "cpu", "mps", "fork"],
)
def test_too_little_memory_is_one_line_that_names_the_batch_budget(tmp_path: Path, error: Exception) -> None:
    first = re.escape((str(error) or "MemoryError").splitlines()[0])
    line = f"^memory must hold a training batch, got '{first}': lower `batch_budget`; the last checkpoint is whole$"
    with pytest.raises(InputError, match=line):
        train(tmp_path, CONFIG, hook=raises(error))
    assert checkpoint.read_meta(tmp_path / "last")["step"] == 4
    assert train(tmp_path, CONFIG, resume=True)[1].ending == "finished"


def test_memory_that_the_system_does_not_give(tmp_path: Path) -> None:
    def work() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (1 << 36, 1 << 36))
        with pytest.raises(InputError, match="memory must hold a training batch, got .*lower `batch_budget`"):
            train(tmp_path, CONFIG, hook=lambda step: torch.empty(1 << 40) and None if step == 5 else None)

    assert os.waitpid(forked(work), 0)[1] == 0
    assert checkpoint.read_meta(tmp_path / "last")["step"] == 4


def test_too_little_memory_in_validation_names_its_batches(tmp_path: Path) -> None:
    def validate() -> dict[str, float]:
        raise MemoryError

    model = Tiny()
    with pytest.raises(InputError, match="memory must hold a batch of validation, got .*: lower `decode_batch_size`; "):
        fit(model, make_loss(model), make_data(), validate, CONFIG, RunFolder(tmp_path))


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(errno.EIO, "I/O error"), ValueError("no")])
def test_other_errors_are_called_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error), match=re.escape(str(error))):
        train(tmp_path, CONFIG, hook=raises(error))
    with pytest.raises(OSError, match="I/O error"), explain_full_disk(tmp_path), explain_out_of_memory("it", "so"):
        raise OSError(errno.EIO, "I/O error")


def test_a_platform_without_quotas_knows_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    from seqkit.train import failures

    with monkeypatch.context() as patch:
        patch.delattr(errno, "EDQUOT")
        importlib.reload(failures)
        with pytest.raises(InputError, match="disk must have room"), failures.explain_full_disk(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")
    importlib.reload(failures)


def test_divergence_is_put_down_to_the_learning_rate_whatever_the_loss_complains_of(tmp_path: Path) -> None:
    model = nn.Linear(3, 1)

    def loss(batch: Tensor, step: int) -> Tensor:
        value = model(batch).sum()
        if not torch.isfinite(value):
            raise ValueError("`tokens` must be something, got something else")
        return value * 1e15

    steep = TrainingConfig(optimizer="sgd", learning_rate=1e25, max_grad_norm=0.0, steps=9, log_every=9)
    with pytest.raises(InputError, match=r"^step 1: weights must be finite, got a norm of .*: lower `learning_rate`"):
        fit(model, loss, [torch.ones(2, 3)] * 9, lambda: {"loss": 0.0}, steep, tmp_path, metrics=["loss"])


def test_logits_that_ran_away_are_not_put_down_to_silent_frames() -> None:
    targets_BL, lengths_B = torch.tensor([[1, 2]]), torch.tensor([4])
    silent_BT = torch.tensor([[True, False, False, True]])
    for value in (1e35, float("inf"), float("nan")):
        logits_BTV = torch.zeros(1, 4, 3)
        logits_BTV[..., 0] = value
        loss_B = ctc_loss(logits_BTV, lengths_B, targets_BL, torch.tensor([2]), silent_BT)
        assert loss_B.shape == (1,)


def test_a_process_that_is_killed_costs_the_others_one_line(tmp_path: Path) -> None:
    def work(rank: int) -> None:
        def hook(step: int) -> None:
            if rank == 1 and step == 5:
                os.kill(os.getpid(), signal.SIGKILL)

        with pytest.raises(InputError, match="all 2 processes must go on together, got one that has ended: .*any"):
            train(tmp_path, CONFIG, hook=hook)

    assert together(2, work) == [0, -signal.SIGKILL]
    assert train(tmp_path, CONFIG, resume=True)[1].progress.step == 9


def test_an_error_of_the_first_process_is_raised_in_all(tmp_path: Path) -> None:
    def work(rank: int) -> None:
        def make() -> Any:
            raise InputError("`x` must be 1")

        with pytest.raises(InputError, match="`x` must be 1"):
            distributed.on_rank_zero(make)
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "log.jsonl").touch()
        distributed.all_gather(0)
        model = Tiny()
        with pytest.raises(InputError, match="must be a new folder, got one that holds log.jsonl"):
            fit(model, make_loss(model), make_data(), make_validate(model), CONFIG, RunFolder(tmp_path / "run"))

    assert together(2, work) == [0, 0]
