"""All that a run needs to go on as if it had never stopped: `training.pt`, besides the weights."""

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
from seqkit.train.average import Average
from seqkit.train.schedule import Horizon
from seqkit.train.training_config import TrainingConfig

FREE = ("steps", "epochs", "minutes", "patience", "log_every", "checkpoint_every", "checkpoint_minutes")  # may change


class Progress(NamedTuple):
    """How far a run has come."""

    step: int = 0
    """optimizer steps taken"""
    epoch: int = 0
    batch: int = 0
    """the next of the epoch's list"""
    seconds: float = 0.0
    """at work, all sessions together"""
    scores: tuple[float, ...] = ()
    """the validation metric, every time"""


class Window:
    """The steps since the last row of the log; they stay on the device until somebody reads them."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []  # loss, count, gradient norm, learning rate
        self.pending: list[tuple[Tensor, float]] = []

    def add(self, sums_3: Tensor, rate: float) -> None:
        """Sum of losses, their count and the gradient's norm; the learning rate."""
        self.pending.append((sums_3, rate))

    def read(self, step: int) -> list[tuple[float, ...]]:
        """All rows up to `step`, waiting for the device; InputError names the first step that was not finite."""
        if self.pending:
            values = torch.stack([sums_3 for sums_3, _ in self.pending]).tolist()
            fresh = [(*row, rate) for row, (_, rate) in zip(values, self.pending, strict=True)]
            self.pending.clear()
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
    """What is trained, by what rule."""

    plan: TrainingConfig
    horizon: Horizon
    model: nn.Module
    optimizer: Optimizer
    average: Average
    window: Window

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


def seed(number: int) -> None:
    """Seed python's, numpy's and torch's random numbers; `number` must be below 2**32."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of all random numbers, as values that `torch.load` can read safely."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    keys_N = torch.from_numpy(np.asarray(keys, dtype=np.int64))
    return {
        "python": random.getstate(),
        "numpy": (str(name), keys_N, int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)


def write(folder: Path, training: Training, progress: Progress, randoms: list[dict[str, Any]], logged: int) -> None:
    """`training.pt`: the random states of all processes, and `logged`, the bytes of log.jsonl that belong to it."""
    buffer = io.BytesIO()
    torch.save(
        {
            "progress": tuple(progress),
            "optimizer": training.optimizer.state_dict(),
            "random": randoms,
            "logged": logged,
            "average": training.average.state_dict(),
            "window": training.window.rows,
            "plan": dataclasses.asdict(training.plan),
        },
        buffer,
    )
    with open(folder / checkpoint.TRAINING, "wb") as file:
        file.write(buffer.getbuffer())


def read(folder: Path, training: Training) -> tuple[Progress, int]:
    """Put a checkpoint's weights and state into `training` and the random numbers; its progress and log length.

    The first process reads, and hands the others what it read.
    """
    state = distributed.on_rank_zero(lambda: _load(folder))
    if len(state["random"]) != distributed.world_size():
        raise InputError(
            f"{folder}: must be resumed by {len(state['random'])} processes, got {distributed.world_size()}"
        )
    plan = dataclasses.asdict(training.plan)
    for name in (name for name in plan if name not in FREE and plan[name] != state["plan"][name]):
        raise InputError(
            f"`{name}` must stay {state['plan'][name]} to resume {folder}, got {plan[name]}: "
            "leave it as it was, or begin another run with --init"
        )
    if distributed.rank() == 0:
        checkpoint.load_weights(training.model, folder)
    distributed.broadcast(training.model)
    training.optimizer.load_state_dict(state["optimizer"])
    training.average.load_state_dict(state["average"])
    training.window.rows[:] = state["window"]
    set_random_state(state["random"][distributed.rank()], training.device)
    return Progress(*state["progress"]), state["logged"]


def _load(folder: Path) -> dict[str, Any]:
    whole = checkpoint.find(folder) or folder
    try:
        state: dict[str, Any] = torch.load(whole / checkpoint.TRAINING, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(
            f"{whole}: must hold {checkpoint.TRAINING} to be resumed: begin another run with --init"
        ) from error
    return state
