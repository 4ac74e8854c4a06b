"""Micro-batches: the gradient of the whole batch, the same whatever the threads, and only where the model allows it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seqkit.data.batch import Batches, Data, split
from seqkit.nn import kernels
from seqkit.nn.decoder import Decoder, build_decoder
from seqkit.nn.dropout import Dropout
from seqkit.nn.losses import cross_entropy
from seqkit.train.loop import RunFolder, fit
from seqkit.train.micro_batches import parts_of_batch
from seqkit.train.state import Progress
from seqkit.train.step import batches
from seqkit.train.training_config import TrainingConfig

ROWS, SYMBOLS = 12, 7


def made(dropout: float) -> Decoder:
    torch.manual_seed(0)
    return build_decoder(
        SYMBOLS, 6, 8, (4,), layers=2, attention="additive", attention_dim=5, readout_dim=6, dropout=dropout
    )


def trained(folder: Path, parts: int, *, dropout: float, sampling: float = 0.0, threads: int = 2) -> dict[str, Tensor]:
    """The weights after an epoch of three batches."""
    generator = torch.Generator().manual_seed(1)
    memory_RSD = torch.randn(ROWS, 5, 4, generator=generator)
    tokens_RT = torch.randint(3, SYMBOLS, (ROWS, 6), generator=generator)
    data = Data(
        lambda epoch: [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9, 10, 11]],
        lambda some, epoch: [(memory_RSD[list(rows)], tokens_RT[list(rows)]) for rows in some],
    )
    model = made(dropout)

    def loss(batch: tuple[Tensor, Tensor], step: int) -> tuple[Tensor, int]:
        memories = model.make_memory((batch[0], torch.full((len(batch[0]),), 5), batch[0].mean(1)))
        logits_BTV = model(batch[1][:, :-1], memories, sampling=sampling, argmax=False)
        return cross_entropy(logits_BTV.flatten(0, 1), batch[1][:, 1:].flatten()), batch[1][:, 1:].numel()

    config = TrainingConfig(epochs=1, optimizer="sgd", learning_rate=0.5, micro_batches=parts)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fit(model, loss, data, lambda: {"loss": 0.0}, config, RunFolder(folder))
    finally:
        torch.set_num_threads(before)
    return model.state_dict()


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_learn_what_the_whole_batch_teaches(tmp_path: Path, parts: int) -> None:
    whole, cut = trained(tmp_path / "1", 1, dropout=0.0), trained(tmp_path / "n", parts, dropout=0.0)
    for name, weights in whole.items():
        torch.testing.assert_close(cut[name], weights)


@pytest.mark.parametrize("sampling", [0.0, 0.5])
def test_threads_change_nothing(tmp_path: Path, sampling: float) -> None:
    one = trained(tmp_path / "one", 3, dropout=0.3, sampling=sampling, threads=1)
    for number in range(3):
        several = trained(tmp_path / str(number), 3, dropout=0.3, sampling=sampling, threads=3)
        assert all(torch.equal(one[name], several[name]) for name in one)
    whole = trained(tmp_path / "whole", 1, dropout=0.3, sampling=sampling)
    assert not all(torch.equal(one[name], whole[name]) for name in one)  # parts there were


@pytest.mark.parametrize(
    ("module", "parts"),
    [
        (lambda: Dropout(0.1), 2),
        (lambda: nn.Dropout(0.0), 2),
        (lambda: nn.BatchNorm1d(3, track_running_stats=False), 2),
        (lambda: nn.BatchNorm1d(3).eval(), 2),
        (lambda: nn.BatchNorm1d(3), 1),
        (lambda: nn.Dropout(0.1), 1),
        (lambda: nn.Dropout2d(0.1), 1),
        (lambda: nn.GRU(3, 3, 2, dropout=0.1), 1),
    ],
)
def test_a_model_that_writes_to_itself_or_draws_elsewhere_takes_whole_batches(
    module: Callable[[], nn.Module], parts: int
) -> None:
    assert parts_of_batch(nn.Sequential(nn.Linear(3, 3), module()), 2) == parts


def test_other_devices_and_machines_without_kernels_take_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parts_of_batch(nn.Linear(3, 3, device="meta"), 2) == 1
    monkeypatch.setenv("SEQKIT_KERNELS", "0")
    assert not kernels.available() and parts_of_batch(nn.Linear(3, 3), 2) == 1


def test_batches_are_split_into_runs_as_equal_as_can_be() -> None:
    plain = [[4, 2, 7, 1, 0], [9], [3, 5]]
    assert split(plain, 2) == [[4, 2], [7, 1, 0], [9], [3], [5]]
    assert split(split(plain, 1), 3) == [[4], [2, 7], [1, 0], [9], [3], [5]]
    assert isinstance(split([], 2), Batches) and len(split([], 2)) == 0


def test_a_step_gets_all_parts_of_its_batches() -> None:
    data = Data(lambda epoch: [[0, 1, 2], [3], [4, 5]], lambda some, epoch: [list(own) for own in some])
    steps = batches(data, TrainingConfig(grad_accumulation=2), Progress(), 2)
    assert next(steps) == ((0, 2), [[0], [1, 2], [3]]) and next(steps) == ((1, 0), [[4], [5]])
    assert next(batches(data, TrainingConfig(), Progress(batch=2), 2)) == ((1, 0), [[4], [5]])
