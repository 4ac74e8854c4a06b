"""Batch normalization over several batches of a step: on one process or on two, the same statistics."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqkit.data.batch import Data
from seqkit.train import checkpoint
from seqkit.train.batch_norm import StepStatistics
from seqkit.train.loop import RunFolder, TrainingConfig, fit
from tests.seqkit.train.test_distributed import together

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def normalized(momentum: float | None = 0.1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=momentum), nn.Linear(4, 1))


def rows() -> list[Tensor]:
    """Batches of several sizes, each with a mean of its own."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3 + i % 3, 3, generator=generator) + i for i in range(9)]


def run(folder: Path, grad_accumulation: int, momentum: float | None = 0.1) -> dict[str, Tensor]:
    model, batches = normalized(momentum), rows()
    data = Data(lambda epoch: [[i] for i in range(9)], lambda some, epoch: [batches[i] for (i,) in some])
    config = TrainingConfig(optimizer="sgd", epochs=2, learning_rate=0.1, grad_accumulation=grad_accumulation)
    loss: Any = lambda batch, step: ((model(batch) ** 2).sum(), len(batch))  # noqa: E731
    fit(model, loss, data, lambda: {"loss": 0.0}, config, RunFolder(folder), metrics=["loss"])
    return checkpoint.read_weights(folder / "last")


@pytest.mark.parametrize("momentum", [0.1, None])
def test_two_processes_have_the_statistics_of_one_that_accumulates(tmp_path: Path, momentum: float | None) -> None:
    assert together(2, lambda rank: run(tmp_path / "two", 1, momentum) and None) == [0, 0]
    torch.testing.assert_close(checkpoint.read_weights(tmp_path / "two" / "last"), run(tmp_path / "one", 2, momentum))


def test_statistics_move_toward_the_mean_over_the_batches_of_the_step() -> None:
    layer, batches = nn.BatchNorm1d(3), rows()[:3]
    statistics = StepStatistics(layer)
    for batch in batches:
        layer(batch)
        statistics.after_batch()
    statistics.after_step()
    mean = torch.stack([batch.mean(0) for batch in batches]).mean(0)
    variance = torch.stack([batch.var(0) for batch in batches]).mean(0)
    torch.testing.assert_close(layer.running_mean, 0.1 * mean)
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * variance)
    assert layer.num_batches_tracked == 1


def test_one_batch_on_one_process_is_left_to_torch(tmp_path: Path) -> None:
    model = normalized()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        for batch in rows():
            optimizer.zero_grad()
            ((model(batch) ** 2).sum() / len(batch)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    ours = run(tmp_path, 1)
    torch.testing.assert_close(ours, dict(model.state_dict()))
    assert ours["1.num_batches_tracked"] == 18


def test_frozen_statistics_stay_to_the_bit() -> None:
    layer = nn.BatchNorm1d(3)
    layer.running_mean.normal_()
    layer.eval()
    before = layer.running_mean.clone()
    statistics = StepStatistics(layer)
    for batch in rows()[:3]:
        layer(batch)
        statistics.after_batch()
    statistics.after_step()
    assert torch.equal(layer.running_mean, before) and statistics.to_reduce() == []
