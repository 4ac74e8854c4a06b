"""Training state: everything besides the weights that a resumed run needs to equal one that never stopped."""

import dataclasses
import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqkit.data.batch import Data
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.nn.tensor_file import read_tensors
from seqkit.train import checkpoint, distributed
from seqkit.train.average import WeightAverage
from seqkit.train.random_state import seed_all, set_rng_state
from seqkit.train.schedule import Horizon
from seqkit.train.training_config import RESUMABLE, TrainingConfig

OPTIONS = ("betas", "eps", "weight_decay", "momentum", "rho", "alpha", "lr_decay")  # numbers of a parameter group
STATES: dict[type[Optimizer], tuple[str, ...]] = {  # what an optimizer keeps of each parameter
    torch.optim.Adam: ("step", "exp_avg", "exp_avg_sq"),
    torch.optim.Adagrad: ("step", "sum"),
    torch.optim.Adadelta: ("step", "square_avg", "acc_delta"),
    torch.optim.RMSprop: ("step", "square_avg"),
}


@described
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
                        f"step {number}: loss must be finite, got {loss:g} over {count:g} terms, gradient norm "
                        f"{norm:g}, at learning rate {rate:g}: lower `learning_rate` or `max_grad_norm`, or raise "
                        "`warmup`; the last checkpoint is from before"
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
    data: Data
    share_validation: bool = False  # all processes run it

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device


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
            "steps": training.horizon.steps,
        },
        buffer,
    )
    with open(folder / checkpoint.TRAINING, "wb") as file:
        file.write(buffer.getbuffer())


@described
class Resumed(NamedTuple):
    """A run as its checkpoint has it."""

    progress: Progress
    logged: int
    """bytes of log.jsonl"""
    steps: int
    """length that the run was to have"""
    processes: int


def load_training_state(folder: Path, training: Training) -> Resumed:
    """Load weights, optimizer and random number generators of a checkpoint into `training`.

    The first process reads and sends it to the others; more processes than before draw random numbers of their own.
    Raises InputError for another config and for a damaged file.
    """
    path = (checkpoint.find_checkpoint(folder) or folder) / checkpoint.TRAINING
    state = distributed.on_rank_zero(lambda: _read(path))
    config = dataclasses.asdict(training.config)
    for name in (name for name in config if name not in RESUMABLE and config[name] != state["config"].get(name)):
        raise InputError(
            f"`{name}` must stay {state['config'].get(name)} to resume {folder}, got {config[name]}: "
            "leave it as it was, or initialize another run with these weights"
        )
    if distributed.rank() == 0:
        checkpoint.load_weights(training.model, folder)
    distributed.broadcast(training.model)
    try:
        progress, rank = checked_progress(state), distributed.rank()
        check_optimizer(state["optimizer"], training.optimizer)
        training.optimizer.load_state_dict(state["optimizer"])
        training.average.load_state_dict(state["average"])
        training.pending.rows[:] = state["pending"]
        if rank < len(state["random"]):
            set_rng_state(state["random"][rank], training.device)
        else:
            seed_process(training.config.seed + progress.step)
        return Resumed(progress, state["logged"], state["steps"], len(state["random"]))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: must be the training state of this model, got another's: {error}") from error


def checked_progress(state: dict[str, Any]) -> Progress:
    """The position of a stored run. Raises ValueError where it, or a number beside it, is none."""
    progress = Progress(*state["progress"])
    counts = (progress.step, progress.epoch, progress.batch, state["logged"], state["steps"])
    numbers = (progress.seconds, *progress.scores, *(value for row in state["pending"] for value in row))
    if not all(type(count) is int and 0 <= count < 2**62 for count in counts):
        raise ValueError(f"counts {counts}")
    if not all(isinstance(number, int | float) for number in numbers) or not 0 <= progress.seconds < 1e12:
        raise ValueError("times and metrics that are no numbers")
    if not all(map(_finite, state["optimizer"]["state"].values())):
        raise ValueError("an optimizer whose numbers are not finite")
    return progress


def check_optimizer(state: dict[str, Any], optimizer: Optimizer) -> None:
    """Raises ValueError for the state of another optimizer, or one whose numbers would not let it step."""
    for found, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
        if any(name in own and own[name] != found.get(name) for name in OPTIONS):
            raise ValueError("an optimizer with other options")
        if not all(0 <= float(found.get(name, 0)) < 1e9 for name in ("lr", "initial_lr")):
            raise ValueError("learning rates that are none")
    names = {name for kind, own in STATES.items() if isinstance(optimizer, kind) for name in own}
    for values in state["state"].values():
        if not names <= values.keys() or not 0 <= float(values.get("step", 0)) < 2**40:
            raise ValueError("an optimizer that lacks something, or whose steps are no count")


def _finite(values: dict[str, Any]) -> bool:
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor) and value.is_floating_point()}
    squares = all(bool((tensor >= 0).all()) for name, tensor in tensors.items() if name.endswith("_sq"))
    return squares and all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def seed_process(seed: int) -> None:
    """Seed the random number generators of this process, each of several differently."""
    seed_all((seed + 1_000_003 * distributed.rank()) % 2**32)


def _read(path: Path) -> dict[str, Any]:
    """The content of `training.pt`."""
    if not path.is_file():
        raise InputError(
            f"{path.parent}: must hold {path.name} to be resumed: initialize another run with its weights instead"
        )
    fault, wanted = "", {"progress", "optimizer", "random", "logged", "average", "pending", "config", "steps"}
    try:
        state = read_tensors(path)
        if not isinstance(state, dict) or state.keys() != wanted or not isinstance(state["config"], dict):
            fault = "other keys"
    except InputError as error:
        fault = str(error).rpartition("(")[2].rstrip(")")
    if fault:
        raise InputError(
            f"{path}: must be the training state of a run, got a damaged file ({fault}): "
            "initialize another run with its weights instead"
        )
    found: dict[str, Any] = state
    return found
