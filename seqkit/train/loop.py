"""Training loop: `fit`, and the functions it calls.

Everything that decides the next step is in `Progress`, `Training` and the states of the random number generators. A
checkpoint holds them, so a resumed run equals one that never stopped, bit for bit (on a GPU as far as its kernels are
deterministic). Past validation scores and the metrics of steps not yet logged are part of that state.
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
from seqkit.train.average import WeightAverage
from seqkit.train.log import Log
from seqkit.train.optimizer import make_optimizer, set_learning_rates
from seqkit.train.schedule import evaluations_since_best, lr_factor
from seqkit.train.signals import catch_signals, explain_full_disk
from seqkit.train.state import Progress, StepMetrics, Training
from seqkit.train.step import Loss, batches, measure_horizon, train_step
from seqkit.train.training_config import TrainingConfig

__all__ = ["Loss", "Outcome", "RunFolder", "TrainingConfig", "fit"]

Validate = Callable[[], Mapping[str, float]]


class RunFolder(NamedTuple):
    """Folder of a run, and how to begin there."""

    folder: Path
    resume: bool = False
    """continue from the checkpoint `last`, if there is one"""
    assets: Callable[[Path], None] | None = None
    """writes into the folder of a checkpoint what loading needs besides the weights: vocabulary, input statistics"""


class Outcome(NamedTuple):
    """How and where training ended."""

    ending: Literal["finished", "already finished", "interrupted"]
    progress: Progress


def fit(
    model: nn.Module,
    loss: Loss,
    data: Data,
    validate: Validate,
    config: TrainingConfig,
    run: RunFolder,
    optimizer: Optimizer | None = None,
) -> Outcome:
    """Train `model` on its device; writes checkpoints `best` and `last` and the log into the run's folder.

    loss(batch, step) returns the sum of the losses of a batch and the number of terms in it (tokens, or sentences).
    validate() returns metrics by name; it runs in eval mode with the averaged weights, in the first process only.
    optimizer defaults to the config's over all parameters.

    Raises InputError where the folder holds a run that is not to be resumed, where a loss, gradient or weight is not
    finite and where the disk is full; the last checkpoint stays as it was.
    """
    training = make_training(model, optimizer, data, config)
    with explain_full_disk(run.folder):
        progress, logged = start_or_resume(training, run)
    if is_finished(progress, training):
        distributed.print0(f"{run.folder}: already finished at step {progress.step:,}")
        return Outcome("already finished", progress)
    clock, saved = time.monotonic() - progress.seconds, progress.seconds
    folder = run.folder if distributed.rank() == 0 else None
    with (
        explain_full_disk(run.folder),
        catch_signals() as signals,
        closing(Log(folder, length=logged, step=progress.step)) as log,
    ):
        for (epoch, batch), own in log.time_waiting(batches(data, config, progress)):
            rate = set_learning_rates(
                training.optimizer, lr_factor(config, training.horizon, progress.step, progress.scores)
            )
            training.pending.add(train_step(training, loss, own, progress.step), rate)
            training.average.update(progress.step + 1)
            progress = Progress(progress.step + 1, epoch, batch, time.monotonic() - clock, progress.scores)
            due = next_actions(progress, training, interrupted=bool(signals), saved=saved)
            if due.log:
                log_steps(log, training, progress)
            with log.paused():
                if due.validate:
                    score = validate_and_save_best(training, validate, progress, run, log)
                    progress = progress._replace(scores=(*progress.scores, score))
                if due.save:
                    save_last(training, progress, run, log)
                    saved = progress.seconds
            if due.end or out_of_patience(progress, config):
                break
            if due.interrupt:
                distributed.print0(f"{run.folder}: interrupted and saved at step {progress.step:,}; --resume continues")
                return Outcome("interrupted", progress)
    return Outcome("finished", progress)


def make_training(model: nn.Module, optimizer: Optimizer | None, data: Data, config: TrainingConfig) -> Training:
    """Model, optimizer and averages, with the weights of the first process in all of them."""
    horizon = measure_horizon(data, config)
    distributed.broadcast(model)
    model.train()
    average = WeightAverage(model, ema_decay=config.ema_decay, average_last=config.average_last)
    return Training(
        config, horizon, model, optimizer or make_optimizer(model.parameters(), config), average, StepMetrics()
    )


def start_or_resume(training: Training, run: RunFolder) -> tuple[Progress, int]:
    """Progress at which to start and bytes of log.jsonl to keep; sets `training` and the random number generators."""
    last, best = run.folder / "last", run.folder / "best"
    saved, judged = distributed.on_rank_zero(
        lambda: (checkpoint.find_checkpoint(last), checkpoint.find_checkpoint(best))
    )
    if run.resume and distributed.rank() == 0:
        checkpoint.recover(last)
        checkpoint.recover(best)
    if saved and run.resume:
        progress, logged = state.load_training_state(last, training)
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
    state.seed_all((training.config.seed + 1_000_003 * distributed.rank()) % 2**32)
    return Progress(), 0


class Actions(NamedTuple):
    """Actions due after a step, the same in all processes."""

    log: bool
    validate: bool
    save: bool
    end: bool
    interrupt: bool


def next_actions(progress: Progress, training: Training, *, interrupted: bool, saved: float) -> Actions:
    """Actions due now. saved: seconds of the run at its latest checkpoint."""
    config, step = training.config, progress.step
    late = config.checkpoint_minutes > 0 and progress.seconds - saved >= 60 * config.checkpoint_minutes
    interrupt, end, late = distributed.any_rank([interrupted, is_finished(progress, training), late])
    validating = end or (step % config.validate_every == 0 if config.validate_every else progress.batch == 0)
    saving = config.checkpoint_every > 0 and step % config.checkpoint_every == 0
    return Actions(
        end or step % config.log_every == 0, validating, validating or saving or late or interrupt, end, interrupt
    )


def is_finished(progress: Progress, training: Training) -> bool:
    """Whether steps, time or patience are used up."""
    config = training.config
    out_of_time = config.max_minutes > 0 and progress.seconds >= 60 * config.max_minutes
    return progress.step >= training.horizon.steps or out_of_time or out_of_patience(progress, config)


def out_of_patience(progress: Progress, config: TrainingConfig) -> bool:
    """Early stopping: too many validations without a new best."""
    return config.patience > 0 and evaluations_since_best(progress.scores, config.mode) >= config.patience


def log_steps(log: Log, training: Training, progress: Progress) -> None:
    """Write one log row for the steps since the last one."""

    def remaining(seconds_per_step: float) -> float:
        by_steps = (training.horizon.steps - progress.step) * seconds_per_step
        limit = 60 * training.config.max_minutes
        return min(by_steps, max(0.0, limit - progress.seconds)) if limit else by_steps

    log.train(training.pending.read(progress.step), progress, remaining)
    training.pending.rows.clear()


def validate_and_save_best(
    training: Training, validate: Validate, progress: Progress, run: RunFolder, log: Log
) -> float:
    """Validate the averaged weights, save them as `best` if they are; returns the metric that decides."""
    check_finite(training, progress.step)
    name, mode = training.config.metric, training.config.mode
    if training.config.average_last:
        training.average.snapshot()
    with training.average.applied():
        with eval_mode(training.model, training.device):
            metrics = distributed.on_rank_zero(validate)
        if name not in metrics:
            raise InputError(f"`metric` must be one that validation gives ({', '.join(metrics)}), got {name!r}")
        best = evaluations_since_best((*progress.scores, metrics[name]), mode) == 0
        if best and distributed.rank() == 0:
            checkpoint.replace_folder(
                run.folder / "best", lambda part: write_checkpoint(part, training, progress, run, metrics)
            )
    log.validation(metrics, progress, best=best)
    return metrics[name]


def save_last(training: Training, progress: Progress, run: RunFolder, log: Log) -> None:
    """Replace checkpoint `last` by the current state."""
    check_finite(training, progress.step)
    randoms = distributed.all_gather(state.get_rng_state(training.device))

    def fill(part: Path) -> None:
        write_checkpoint(part, training, progress, run, {})
        state.write_training_state(part, training, progress, randoms, log.length())

    if distributed.rank() == 0:
        checkpoint.replace_folder(run.folder / "last", fill)


def write_checkpoint(
    part: Path, training: Training, progress: Progress, run: RunFolder, metrics: Mapping[str, float]
) -> None:
    """Write weights, meta data and assets of one checkpoint."""
    meta = {"step": progress.step, "epoch": progress.epoch, "seconds": progress.seconds, "metrics": dict(metrics)}
    checkpoint.write_model(part, training.model, meta)
    if run.assets:
        run.assets(part)


def check_finite(training: Training, step: int) -> None:
    """Raise InputError where a loss, gradient or weight is not finite, so that no checkpoint ever holds one."""
    training.pending.read(step)
    norm = float(torch.nn.utils.get_total_norm(list(training.model.parameters())))
    if not math.isfinite(norm):
        raise InputError(
            f"step {step}: weights must be finite, got a norm of {norm:g}: lower `learning_rate`; "
            "the last checkpoint is from before"
        )


@contextmanager
def eval_mode(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Context of eval mode without gradients; restores the random number generators afterwards."""
    randoms = state.get_rng_state(device)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        state.set_rng_state(randoms, device)
        model.train()
