"""Training state: everything besides the weights that a resumed run needs to equal one that never stopped."""

import dataclasses
import io
import math
import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqkit.errors import InputError
from seqkit.train import checkpoint, distributed
from seqkit.train.average import WeightAverage
from seqkit.train.schedule import Horizon
from seqkit.train.training_config import TrainingConfig

RESUMABLE = (
    "steps",
    "epochs",
    "max_minutes",
    "patience",
    "log_every",
    "checkpoint_every",
    "checkpoint_minutes",
)  # fields that may differ on resuming


class Progress(NamedTuple):
    """Position in a run."""

    step: int = 0
    """optimizer steps taken"""
    epoch: int = 0
    batch: int = 0
    """index of the next batch of the epoch"""
    seconds: float = 0.0
    """training time, all sessions together"""
    scores: tuple[float, ...] = ()
    """metric of every validation so far"""


class StepMetrics:
    """Loss, count, gradient norm and learning rate of the steps since the last log row; on the device until read."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.unread: list[tuple[Tensor, float]] = []

    def add(self, sums_3: Tensor, rate: float) -> None:
        """Add a step: (sum of losses, number of terms, gradient norm), and its learning rate."""
        self.unread.append((sums_3, rate))

    def read(self, step: int) -> list[tuple[float, ...]]:
        """All rows up to `step`; waits for the device. Raises InputError at the first step that was not finite."""
        if self.unread:
            values = torch.stack([sums_3 for sums_3, _ in self.unread]).tolist()
            fresh = [(*row, rate) for row, (_, rate) in zip(values, self.unread, strict=True)]
            self.unread.clear()
            for number, (loss, count, norm, rate) in enumerate(fresh, step - len(fresh) + 1):
                if not math.isfinite(loss / count if count else math.nan) or not math.isfinite(norm):
                    raise InputError(
                        f"step {number}: loss must be finite, got {loss:g} over {count:g} tokens, gradient norm "
                        f"{norm:g}, at learning rate {rate:g}: lower `learning_rate` or `clip`, or raise `warmup`; "
                        "the last checkpoint is from before"
                    )
            self.rows += fresh
        return self.rows


class Training(NamedTuple):
    """Model, optimizer and hyperparameters of a run."""

    config: TrainingConfig
    horizon: Horizon
    model: nn.Module
    optimizer: Optimizer
    average: WeightAverage
    pending: StepMetrics

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device


def seed_all(number: int) -> None:
    """Seed the generators of python, numpy and torch; `number` must be below 2**32."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def get_rng_state(device: torch.device) -> dict[str, Any]:
    """State of the generators of python, numpy and torch, in types that `torch.load` reads safely."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    keys_N = torch.from_numpy(np.asarray(keys, dtype=np.int64))
    return {
        "python": random.getstate(),
        "numpy": (str(name), keys_N, int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_rng_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore what `get_rng_state` returned."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)


def write_training_state(
    folder: Path, training: Training, progress: Progress, randoms: list[dict[str, Any]], logged: int
) -> None:
    """Write `training.pt`. randoms: generator states of all processes; logged: bytes of log.jsonl up to this step."""
    buffer = io.BytesIO()
    torch.save(
        {
            "progress": tuple(progress),
            "optimizer": training.optimizer.state_dict(),
            "random": randoms,
            "logged": logged,
            "average": training.average.state_dict(),
            "pending": training.pending.rows,
            "config": dataclasses.asdict(training.config),
        },
        buffer,
    )
    with open(folder / checkpoint.TRAINING, "wb") as file:
        file.write(buffer.getbuffer())


def load_training_state(folder: Path, training: Training) -> tuple[Progress, int]:
    """Load weights, optimizer and generators from a checkpoint; returns its progress and bytes of log.jsonl.

    The first process reads and sends it to the others.
    """
    state = distributed.on_rank_zero(lambda: _load(folder))
    if len(state["random"]) != distributed.world_size():
        raise InputError(
            f"{folder}: must be resumed by {len(state['random'])} processes, got {distributed.world_size()}"
        )
    config = dataclasses.asdict(training.config)
    for name in (name for name in config if name not in RESUMABLE and config[name] != state["config"][name]):
        raise InputError(
            f"`{name}` must stay {state['config'][name]} to resume {folder}, got {config[name]}: "
            "leave it as it was, or begin another run with --init"
        )
    if distributed.rank() == 0:
        checkpoint.load_weights(training.model, folder)
    distributed.broadcast(training.model)
    training.optimizer.load_state_dict(state["optimizer"])
    training.average.load_state_dict(state["average"])
    training.pending.rows[:] = state["pending"]
    set_rng_state(state["random"][distributed.rank()], training.device)
    return Progress(*state["progress"]), state["logged"]


def _load(folder: Path) -> dict[str, Any]:
    whole = checkpoint.find_checkpoint(folder) or folder
    try:
        state: dict[str, Any] = torch.load(whole / checkpoint.TRAINING, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(
            f"{whole}: must hold {checkpoint.TRAINING} to be resumed: begin another run with --init"
        ) from error
    return state
