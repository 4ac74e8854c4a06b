"""A language model small enough to be trained a hundred times by the tests, and by the processes that they start.

It has what makes resuming hard: dropout, tied weights, a buffer that training moves, and random numbers of all kinds.
"""

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.data.batch import Data
from seqkit.flags import run_cli
from seqkit.train.distributed import process_group
from seqkit.train.loop import Outcome, RunFolder, TrainingConfig, fit
from seqkit.train.step import Loss

ITEMS, WIDTH, VOCAB = 26, 6, 11
TIMES = ("seconds", "tokens_per_second", "waiting")


class Tiny(nn.Module):
    """Tied embedding, dropout, GRU; `dropout` 0 makes it a pure function of its input."""

    def __init__(self, dropout: float = 0.3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.rnn = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(WIDTH, VOCAB)
        self.output.weight = self.embed.weight
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, tokens_BT: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
        return self.output(self.dropout(self.rnn(self.embed(tokens_BT))[0]))


def tokens() -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(1, VOCAB, (3 + item % 4,), generator=generator) for item in range(ITEMS)]


def order(epoch: int, rows: int = 4) -> list[list[int]]:
    """Batches of `rows` items, the last one smaller."""
    items = np.random.default_rng((5, epoch)).permutation(ITEMS).tolist()
    return [items[i : i + rows] for i in range(0, ITEMS, rows)]


def make_data(rows: int = 4) -> Data:
    items = tokens()

    def collate(batch: Any) -> Tensor:
        return nn.utils.rnn.pad_sequence([items[item] for item in batch], batch_first=True)

    return Data(lambda epoch: order(epoch, rows), lambda batches, epoch: map(collate, batches))


def make_loss(model: nn.Module, *, noisy: bool = True, hook: Callable[[int], None] | None = None) -> Loss:
    """Next-token cross entropy; when noisy, scaled by random numbers of python and numpy."""

    def loss(batch_BT: Tensor, step: int) -> tuple[Tensor, int]:
        if hook:
            hook(step)
        logits_BTV, targets_BT = model(batch_BT[:, :-1]), batch_BT[:, 1:]
        scale = 0.5 + 0.5 * random.random() * float(np.random.rand()) if noisy else 1.0
        total = nn.functional.cross_entropy(logits_BTV.mT, targets_BT, ignore_index=0, reduction="sum")
        return scale * total, int((targets_BT > 0).sum())

    return loss


def make_validate(model: nn.Module, count: int = 5) -> Callable[[], dict[str, float]]:
    """Loss on the first items; it draws random numbers too, which training must not notice."""
    items = tokens()[:count]

    def validate() -> dict[str, float]:
        random.random(), torch.rand(3), np.random.rand()
        losses = [nn.functional.cross_entropy(model(t[None, :-1])[0], t[1:]).item() for t in items]
        return {"loss": sum(losses) / len(losses), "accuracy": 100.0 - losses[0]}

    return validate


def train(
    folder: Path,
    config: TrainingConfig,
    *,
    resume: bool = False,
    dropout: float = 0.3,
    rows: int = 4,
    seed: int = 0,
    hook: Callable[[int], None] | None = None,
) -> tuple[nn.Module, Outcome]:
    """A fresh model, trained; `hook` is called with the number of every step as its loss is computed."""
    model = Tiny(dropout, seed)
    loss = make_loss(model, noisy=dropout > 0, hook=hook)
    run = RunFolder(folder, resume, lambda part: (part / "vocab.txt").write_text("a b c") and None)
    return model, fit(model, loss, make_data(rows), make_validate(model), config, run)


def stop_at(stop: int) -> Callable[[int], None]:
    """A hook that interrupts training once, as Ctrl-C does, within that step."""
    left = [stop]

    def hook(step: int) -> None:
        if step in left:
            left.clear()
            signal.raise_signal(signal.SIGINT)

    return hook


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """log.jsonl without its times."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def state_of(folder: Path) -> dict[str, Any]:
    """All of a run folder that must not depend on when and how often it was stopped."""
    training = torch.load(folder / "last" / "training.pt", weights_only=True)
    step, epoch, batch, _, scores = training.pop("progress")
    training.pop("logged")  # a time may have a digit more
    weights = {name: (folder / name / "model.safetensors").read_bytes() for name in ("best", "last")}
    best = json.loads((folder / "best" / "meta.json").read_text())
    return {
        "progress": (step, epoch, batch, scores),
        **training,
        **weights,
        "log": rows_of(folder),
        "best step": (best["step"], best["metrics"]),
        "files": sorted(path.name for path in folder.iterdir()),
    }


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """The places where two nested values differ by so much as a bit."""
    if isinstance(a, Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [path]
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [found for key in a for found in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [found for i, pair in enumerate(zip(a, b, strict=True)) for found in differences(*pair, f"{path}/{i}")]
    return [] if type(a) is type(b) and a == b else [path]


def forked(work: Callable[[], None]) -> int:
    """The process id of a child that does `work` and exits with 0; it never returns into the test."""
    child = os.fork()
    if child:
        return child
    try:
        signal.alarm(60)  # whoever waits for a process that died waits no longer
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


def killed_once(step: int, mark: Path) -> Callable[[int], None]:
    """A hook that kills the second process within that step, but not where it has left its mark before."""

    def hook(now: int) -> None:
        if now == step and os.environ["RANK"] == "1" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def main(folder: str, plan: str, dropout: str, kill_at: str = "-1") -> int:
    """What each process of torchrun runs: FOLDER PLAN-AS-JSON DROPOUT [STEP-TO-BE-KILLED-AT]."""
    torch.set_num_threads(1)
    hook = killed_once(int(kill_at), Path(f"{folder}.killed"))
    with process_group(torch.device("cpu")):
        train(Path(folder), TrainingConfig(**json.loads(plan)), dropout=float(dropout), resume=True, hook=hook)
    return 0


if __name__ == "__main__":
    sys.exit(run_cli(lambda argv: main(*argv)))
