"""Processes that evaluate together: each computes its share, and the figures are those of one process."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqkit.cli import main
from seqkit.decode.parallel import each_batch
from seqkit.errors import InputError
from seqkit.held_out import with_loss
from seqkit.share import shared
from seqkit.train import checkpoint
from seqkit.train.distributed import sharing_work
from seqkit.train.loop import RunFolder, TrainingConfig, fit
from tests.processes import free_port, together
from tests.tiny_runs import corpus, train
from tests.tiny_training import Tiny, make_data, make_loss

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
ROOT = Path(__file__).parents[2]
TIMES = re.compile(rb'"(seconds|items_per_second)": [0-9.e+-]+')
BATCHES = [[number, number + 1] for number in range(7)]


def test_every_batch_is_computed_once_and_seen_by_all(tmp_path: Path) -> None:
    def work(rank: int) -> None:
        computed: list[int] = []

        def compute(batch: Sequence[int]) -> list[int]:
            computed.append(batch[0])
            return [-number for number in batch]

        with sharing_work():
            assert each_batch(compute, BATCHES) == [[-a, -b] for a, b in BATCHES]
        assert computed == list(range(7))[rank::3]
        assert len(each_batch(compute, BATCHES)) == 7 and len(computed) == len(range(7)[rank::3]) + 7

    assert together(3, work) == [0, 0, 0]


def test_an_error_of_one_is_raised_in_all() -> None:
    def refuse(some: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        if [3, 4] in some:
            raise InputError("three must be even")
        return list(some)

    def work(rank: int) -> None:
        with sharing_work(), pytest.raises(InputError, match="three must be even"):
            shared(refuse, BATCHES)

    assert together(2, work) == [0, 0]


def test_validation_of_two_processes_has_the_figures_of_one(tmp_path: Path) -> None:
    def trained(folder: Path, grad_accumulation: int, share: bool) -> None:
        model = Tiny(dropout=0)
        loss, data, asked = make_loss(model, noisy=False), make_data(), list[int]()

        def score(batch_BT: Tensor) -> list[float]:
            asked.append(len(batch_BT))
            return [float(model(row_T[None]).sum()) for row_T in batch_BT]

        def validate() -> dict[str, float]:
            asked.clear()
            sums = each_batch(score, [torch.full((1, 2), number % 9 + 1) for number in range(6)])
            (folder.parent / f"asked{os.environ.get('RANK', '')}").write_text(str(len(asked)))
            return {"sum": sum(map(sum, sums))}

        both = with_loss(validate, loss, data, torch.device("cpu"))
        config = TrainingConfig(steps=2, metric="loss", grad_accumulation=grad_accumulation, learning_rate=1e-30)
        fit(model, loss, data, both, config, RunFolder(folder), metrics=("loss", "sum"), share_validation=share)

    assert together(2, lambda rank: trained(tmp_path / "two", 1, True)) == [0, 0]
    assert [(tmp_path / f"asked{rank}").read_text() for rank in (0, 1)] == ["3", "3"]
    trained(tmp_path / "one", 2, False)
    found = [checkpoint.read_meta(tmp_path / name / "best")["metrics"] for name in ("one", "two")]
    assert found[0] == found[1] and found[0].keys() == {"sum", "loss"}


@pytest.mark.parametrize("task", ["translation", pytest.param("language_model", marks=pytest.mark.slow)])
def test_an_evaluation_by_processes_is_that_of_one(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    data, run = corpus(task, tmp_path / "d"), tmp_path / "run"
    assert train(task, data, run, steps=1) == 0
    command = [task, "evaluate", "--run", str(run), "--split", "val", "--device", "cpu", "--name", "val"]
    command += [] if task == "language_model" else ["--decode_batch_size", "2"]
    monkeypatch.setattr("sys.argv", ["seqkit", *command])
    whole, found, said = run / "evaluate" / "val", [], []
    for count in (1, 2):
        capfd.readouterr()
        assert main(command) == 0 if count == 1 else together(2, lambda rank: evaluated(command), join=False) == [0, 0]
        said.append(re.sub(r"seconds.*", "", capfd.readouterr().out))
        names = [path for path in sorted(whole.iterdir()) if path.is_file() and path.suffix != ".html"]
        found.append({path.name: TIMES.sub(b"", path.read_bytes()) for path in names})
        for path in names:
            path.unlink()
    assert found[0] == found[1] and said[0] == said[1]


def evaluated(command: list[str]) -> None:
    assert main(command) == 0


@pytest.mark.slow
def test_torchrun_ends_soon_after_a_process_was_killed(tmp_path: Path) -> None:
    plan = '{"steps": 9, "checkpoint_every": 2, "log_every": 1}'
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
    script = [str(ROOT / "tests/tiny_training.py"), str(tmp_path / "run"), plan, "0", "5"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    words = [*launch, str(free_port()), *script]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode and time.monotonic() - began < 60
    assert done.stderr.count("all 2 processes must go on together") <= 1
    assert checkpoint.read_meta(tmp_path / "run/last")["step"] == 4
