"""Two processes with n rows each are one with 2n; they resume as one does; only the first writes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from seqkit.data.batch import Data
from seqkit.train import checkpoint, distributed
from seqkit.train.distributed import process_group
from seqkit.train.loop import TrainingConfig
from seqkit.train.state import Progress
from seqkit.train.step import _gradients, batches
from tests.processes import free_port, together
from tests.tiny_training import Tiny, differences, order, rows_of, state_of, stop_at, train

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
CPU = torch.device("cpu")


def test_alone_everything_is_as_it_is() -> None:
    with process_group(CPU) as device:
        assert device == CPU and (distributed.rank(), distributed.world_size()) == (0, 1)
    tensor = torch.ones(2)
    distributed.all_reduce([tensor])
    assert tensor.tolist() == [1, 1] and distributed.on_rank_zero(lambda: 5) == 5
    assert distributed.all_gather("a") == ["a"] and distributed.any_rank([True, False]) == [True, False]


def test_messages_between_processes() -> None:
    def work(rank: int) -> None:
        assert (distributed.rank(), distributed.world_size()) == (rank, 2)
        one, two, three = torch.full((2, 3), 1.0 + rank), torch.tensor(10.0 * rank), torch.ones(2, dtype=torch.float64)
        distributed.all_reduce([one.T, two, three])
        assert one.tolist() == [[3.0] * 3] * 2 and two.item() == 10 and three.tolist() == [2, 2]
        assert distributed.on_rank_zero(lambda: {"rank": rank}) == {"rank": 0}
        assert distributed.all_gather(f"r{rank}") == ["r0", "r1"]
        assert distributed.any_rank([rank == 0, rank == 1, False]) == [True, True, False]
        model = Tiny(seed=rank)
        distributed.broadcast(model)
        assert differences(model.state_dict(), Tiny(seed=0).state_dict()) == []

    assert together(2, work) == [0, 0]


@pytest.mark.parametrize("grad_accumulation", [1, 2])
def test_two_processes_are_one_with_the_doubled_batch(tmp_path: Path, grad_accumulation: int) -> None:
    def make_config(grad_accumulation: int) -> TrainingConfig:
        return TrainingConfig(
            optimizer="sgd",
            learning_rate=0.5,
            steps=9,
            max_grad_norm=0.3,
            log_every=2,
            grad_accumulation=grad_accumulation,
            ema_decay=0.5,
        )

    assert together(
        2, lambda rank: train(tmp_path / "two", make_config(grad_accumulation), dropout=0, seed=rank) and None
    ) == [0, 0]
    train(tmp_path / "one", make_config(2 * grad_accumulation), dropout=0)
    one, two = (checkpoint.read_weights(tmp_path / name / "best") for name in ("one", "two"))
    one.pop("steps"), two.pop("steps")  # counts forward passes, of which each process does half
    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    for a, b in zip(rows_of(tmp_path / "one"), rows_of(tmp_path / "two"), strict=True):
        assert a["step"] == b["step"] and a.get("loss", 0) == pytest.approx(b.get("loss", 0), rel=1e-5)


def test_two_processes_resume_as_if_never_stopped(tmp_path: Path) -> None:
    config = TrainingConfig(steps=9, learning_rate=0.02, log_every=2, validate_every=4, ema_decay=0.5)

    def stopped(rank: int) -> None:
        def hook(step: int) -> None:
            (tmp_path / f"seed{rank}").write_text(str(torch.initial_seed()))
            if rank == 1 and step == 5:  # one of them is told; both must stop at the same step
                signal.raise_signal(signal.SIGTERM)

        ending = train(tmp_path / "cut", config, hook=hook)[1]
        assert (ending.ending, ending.progress.step) == ("interrupted", 6)

    assert together(2, lambda rank: train(tmp_path / "whole", config) and None) == [0, 0]
    assert together(2, stopped) == [0, 0]
    assert together(2, lambda rank: train(tmp_path / "cut", config, resume=True) and None) == [0, 0]
    assert differences(state_of(tmp_path / "whole"), state_of(tmp_path / "cut")) == []
    assert (tmp_path / "seed0").read_text() != (tmp_path / "seed1").read_text()  # each has dropout of its own


def test_any_number_of_processes_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = TrainingConfig(epochs=4, learning_rate=0.02, log_every=2)  # 7 batches: 7 steps an epoch alone, 4 of two

    def stopped(rank: int) -> None:
        assert train(tmp_path, config, hook=stop_at(5))[1].progress[:3] == (6, 1, 4)

    assert together(2, stopped) == [0, 0]
    assert train(tmp_path, config, resume=True, hook=stop_at(10))[1].progress[:3] == (11, 2, 2)
    assert "resumed at step 6, with 1 processes instead of 2, to step 23 instead of 16" in capsys.readouterr().err

    def go_on(rank: int) -> None:
        def hook(step: int) -> None:
            if step == 11:
                (tmp_path / f"seed{rank}").write_text(str(torch.initial_seed()))

        train(tmp_path, config, resume=True, hook=hook)

    assert together(3, go_on) == [0, 0, 0]
    assert (tmp_path / "seed2").read_text() == str(1 + 11 + 2 * 1_000_003)  # it was not there before
    meta = checkpoint.read_meta(tmp_path / "last")
    assert (meta["epoch"], meta["step"]) == (4, 11 + 2 + 3)
    assert [row["step"] for row in rows_of(tmp_path) if "validation" in row] == [4, 9, 13, 16]


def test_every_batch_goes_to_one_process(tmp_path: Path) -> None:
    def work(rank: int) -> None:
        stream = batches(
            Data(order, lambda some, epoch: iter(some)), TrainingConfig(grad_accumulation=2), Progress(batch=1)
        )
        shares = [share for _, share in (next(stream), next(stream))]  # 7 batches, the first behind us
        dealt = order(0)
        assert shares == [[dealt[1 + rank], dealt[3 + rank]], [dealt[5 + rank]]]

    assert together(2, work) == [0, 0]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_processes_goes_on_in_the_same_order(
    before: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Data(order, lambda some, epoch: iter(some))

    def taken(progress: Progress, world: int, steps: int) -> tuple[list[list[int]], Progress]:
        """The batches of all ranks of some steps, in the order of the epoch, and where they end."""
        found, end = list[list[int]](), progress
        monkeypatch.setattr(distributed, "world_size", lambda: world)
        streams = []
        for rank in range(world):
            monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
            stream = batches(data, TrainingConfig(), progress)
            streams.append([next(stream) for _ in range(steps)])
        for step in zip(*streams, strict=True):
            found += [batch for _, share in step for batch in share]
            end = progress._replace(epoch=step[0][0][0], batch=step[0][0][1])
        return found, end

    first, middle = taken(Progress(), before, 2)
    assert middle[1:3] == (0, 2 * before)
    rest, end = taken(middle, after, -(-(7 - 2 * before) // after))
    assert first + rest == list(order(0)) and end[1:3] == (1, 0)  # every item once, in the order of one process
    assert sorted(item for batch in first + rest for item in batch) == list(range(26))


def test_parameters_that_took_no_part_do_not_stop_the_others() -> None:
    model = nn.ModuleList([nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)])
    model[0](torch.ones(1, 1)).sum().backward()
    gradients = _gradients(torch.optim.SGD(model.parameters(), 1.0))
    assert [gradient.item() for gradient in gradients] == [1, 0]


def test_torchrun_runs_the_same_command(tmp_path: Path) -> None:
    config = {"steps": 5, "learning_rate": 0.5, "optimizer": "sgd", "log_every": 1}
    root = Path(__file__).parents[3]
    script = root / "tests" / "tiny_training.py"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(free_port()),
        str(script),
        str(tmp_path / "two"),
        json.dumps(config),
        "0",
    ]
    result = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("starts afresh") == 1  # the second process is silent
    train(tmp_path / "one", TrainingConfig(**(config | {"grad_accumulation": 2})), dropout=0)  # type: ignore[arg-type]
    losses = [[row["loss"] for row in rows_of(tmp_path / name) if "loss" in row] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
