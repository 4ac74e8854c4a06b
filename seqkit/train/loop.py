"""The train loop: one function, with every piece of it named.

All that decides the next step is in `Progress`, `Training` and the random states. A checkpoint holds them, so a
resumed run equals one that never stopped, bit for bit (on a GPU as far as its kernels are deterministic). A row of the
log that is not yet due, the scores of past validations and the best of them count as such state too.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from seqkit.data.batch import Data
from seqkit.errors import InputError
from seqkit.train import checkpoint, distributed, state
from seqkit.train.average import Average
from seqkit.train.log import Log
from seqkit.train.optimizer import make_optimizer, set_rates
from seqkit.train.schedule import evaluations_since_best, factor
from seqkit.train.signals import interruptible, room
from seqkit.train.state import Progress, Training, Window
from seqkit.train.step import Loss, batches, measure_horizon, update
from seqkit.train.training_config import TrainingConfig

__all__ = ["Outcome", "RunFolder", "TrainingConfig", "fit"]

Validate = Callable[[], Mapping[str, float]]


class RunFolder(NamedTuple):
    """Where a run lives."""

    folder: Path
    resume: bool = False
    """go on from the last checkpoint, if there is one"""
    assets: Callable[[Path], None] | None = None
    """writes into a checkpoint's folder what loading it needs besides weights: config, vocabulary"""


class Outcome(NamedTuple):
    """How training ended."""

    ending: Literal["finished", "already finished", "interrupted"]
    progress: Progress


def fit(
    model: nn.Module,
    loss: Loss,
    data: Data,
    validate: Validate,
    plan: TrainingConfig,
    run: RunFolder,
    optimizer: Optimizer | None = None,
) -> Outcome:
    """Train `model`, on the device it is on, and leave `best`, `last` and the log in the run's folder.

    loss(batch, step) gives the sum of a batch's losses and how many it sums (tokens, or sentences); validate() gives
    free-running scores by name, run with the averaged weights, in eval mode, by the first process alone. optimizer
    defaults to the plan's over all parameters.

    Raises InputError where the folder holds a run that is not to be resumed, where a loss, gradient or weight is not
    finite and where the disk is full; the last checkpoint is then as it was.
    """
    training = prepare(model, optimizer, data, plan)
    with room(run.folder):
        progress, logged = begin(training, run)
    if ended(progress, training):
        distributed.print0(f"{run.folder}: already finished at step {progress.step:,}")
        return Outcome("already finished", progress)
    clock, saved = time.monotonic() - progress.seconds, progress.seconds
    folder = run.folder if distributed.rank() == 0 else None
    with room(run.folder), interruptible() as signals, closing(Log(folder, length=logged, step=progress.step)) as log:
        for (epoch, batch), own in log.waited(batches(data, plan, progress)):
            rate = set_rates(training.optimizer, factor(plan, training.horizon, progress.step, progress.scores))
            training.window.add(update(training, loss, own, progress.step), rate)
            training.average.follow(progress.step + 1)
            progress = Progress(progress.step + 1, epoch, batch, time.monotonic() - clock, progress.scores)
            due = next_actions(progress, training, interrupted=bool(signals), saved=saved)
            if due.log:
                write_row(log, training, progress)
            with log.paused():
                if due.validate:
                    score = validate_and_save_best(training, validate, progress, run, log)
                    progress = progress._replace(scores=(*progress.scores, score))
                if due.save:
                    save(training, progress, run, log)
                    saved = progress.seconds
            if due.end or out_of_patience(progress, plan):
                break
            if due.leave:
                distributed.print0(f"{run.folder}: interrupted and saved at step {progress.step:,}; --resume continues")
                return Outcome("interrupted", progress)
    return Outcome("finished", progress)


def prepare(model: nn.Module, optimizer: Optimizer | None, data: Data, plan: TrainingConfig) -> Training:
    """The first process's weights in all of them, and what trains them."""
    horizon = measure_horizon(data, plan)
    distributed.broadcast(model)
    model.train()
    average = Average(model, ema=plan.ema, last=plan.last)
    return Training(plan, horizon, model, optimizer or make_optimizer(model.parameters(), plan), average, Window())


def begin(training: Training, run: RunFolder) -> tuple[Progress, int]:
    """Where to start, and the length of log.jsonl there; `training` and the random numbers are set accordingly."""
    last, best = run.folder / "last", run.folder / "best"
    saved, judged = distributed.on_rank_zero(lambda: (checkpoint.find(last), checkpoint.find(best)))
    if run.resume and distributed.rank() == 0:
        checkpoint.recover(last)
        checkpoint.recover(best)
    if saved and run.resume:
        progress, logged = state.read(last, training)
        distributed.print0(f"{run.folder}: resumed at step {progress.step:,}")
        return progress, logged
    if run.resume:
        distributed.print0(f"{run.folder}: no checkpoint yet, so training starts afresh")
    elif saved or judged:
        raise InputError(
            f"{run.folder}: must be a new folder, got one that holds a run: "
            "--resume continues it, another --out leaves it alone"
        )
    run.folder.mkdir(parents=True, exist_ok=True)
    state.seed((training.plan.seed + 1_000_003 * distributed.rank()) % 2**32)
    return Progress(), 0


class Actions(NamedTuple):
    """What is to be done after a step, the same in all processes."""

    log: bool
    validate: bool
    save: bool
    end: bool
    leave: bool


def next_actions(progress: Progress, training: Training, *, interrupted: bool, saved: float) -> Actions:
    """saved: the run's seconds at the latest checkpoint."""
    plan, step = training.plan, progress.step
    late = plan.checkpoint_minutes > 0 and progress.seconds - saved >= 60 * plan.checkpoint_minutes
    leave, end, late = distributed.any_rank([interrupted, ended(progress, training), late])
    validating = end or (step % plan.validate_every == 0 if plan.validate_every else progress.batch == 0)
    saving = plan.checkpoint_every > 0 and step % plan.checkpoint_every == 0
    return Actions(end or step % plan.log_every == 0, validating, validating or saving or late or leave, end, leave)


def ended(progress: Progress, training: Training) -> bool:
    """Whether steps, minutes or patience are used up."""
    plan = training.plan
    out_of_time = plan.minutes > 0 and progress.seconds >= 60 * plan.minutes
    return progress.step >= training.horizon.steps or out_of_time or out_of_patience(progress, plan)


def out_of_patience(progress: Progress, plan: TrainingConfig) -> bool:
    return plan.patience > 0 and evaluations_since_best(progress.scores, plan.goal) >= plan.patience


def write_row(log: Log, training: Training, progress: Progress) -> None:
    """Log the steps since the last row."""

    def left(seconds_a_step: float) -> float:
        by_steps = (training.horizon.steps - progress.step) * seconds_a_step
        minutes = training.plan.minutes
        return min(by_steps, max(0.0, 60 * minutes - progress.seconds)) if minutes else by_steps

    log.train(training.window.read(progress.step), progress, left)
    training.window.rows.clear()


def validate_and_save_best(
    training: Training, validate: Validate, progress: Progress, run: RunFolder, log: Log
) -> float:
    """The validation metric of the averaged weights, which become `best` where none was better."""
    check_finite(training, progress.step)
    name, goal = training.plan.metric, training.plan.goal
    if training.plan.last:
        training.average.keep()
    with training.average.swapped():
        with evaluating(training.model, training.device):
            metrics = distributed.on_rank_zero(validate)
        if name not in metrics:
            raise InputError(f"`metric` must be one that validation gives ({', '.join(metrics)}), got {name!r}")
        best = evaluations_since_best((*progress.scores, metrics[name]), goal) == 0
        if best and distributed.rank() == 0:
            checkpoint.replace_folder(run.folder / "best", lambda part: write(part, training, progress, run, metrics))
    log.validation(metrics, progress, best=best)
    return metrics[name]


def save(training: Training, progress: Progress, run: RunFolder, log: Log) -> None:
    """Replace `last` by a checkpoint of now."""
    check_finite(training, progress.step)
    randoms = distributed.all_gather(state.random_state(training.device))

    def fill(part: Path) -> None:
        write(part, training, progress, run, {})
        state.write(part, training, progress, randoms, log.length())

    if distributed.rank() == 0:
        checkpoint.replace_folder(run.folder / "last", fill)


def write(part: Path, training: Training, progress: Progress, run: RunFolder, metrics: Mapping[str, float]) -> None:
    """Weights, meta and assets of one checkpoint."""
    meta = {"step": progress.step, "epoch": progress.epoch, "seconds": progress.seconds, "metrics": dict(metrics)}
    checkpoint.write_model(part, training.model, meta)
    if run.assets:
        run.assets(part)


def check_finite(training: Training, step: int) -> None:
    """InputError where a loss, a gradient or a weight is not finite, so that no checkpoint ever holds one."""
    training.window.read(step)
    norm = float(torch.nn.utils.get_total_norm(list(training.model.parameters())))
    if not math.isfinite(norm):
        raise InputError(
            f"step {step}: weights must be finite, got a norm of {norm:g}: lower `learning_rate`; "
            "the last checkpoint is from before"
        )


@contextmanager
def evaluating(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Eval mode without gradients; what is drawn at random within does not change what training draws later."""
    randoms = state.random_state(device)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        state.set_random_state(randoms, device)
        model.train()
