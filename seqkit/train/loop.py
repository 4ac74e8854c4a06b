"""Training loop: `fit`, and the functions it calls.

Everything that decides the next step is in `Progress`, `Training` and the states of the random number generators. A
checkpoint holds them, so a resumed run equals one that never stopped, bit for bit (on a GPU as far as its kernels are
deterministic). Past validation scores and the metrics of steps not yet logged are part of that state.
"""

import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from seqkit.data.batch import Data
from seqkit.errors import InputError
from seqkit.train import checkpoint, distributed, state
from seqkit.train.adapters import as_data
from seqkit.train.average import WeightAverage
from seqkit.train.failures import explain_full_disk, explain_lost_process, explain_out_of_memory
from seqkit.train.lock import forget_owner
from seqkit.train.log import Log
from seqkit.train.optimizer import make_optimizer, set_learning_rates
from seqkit.train.outcome import Outcome, report_ending
from seqkit.train.random_state import get_rng_state
from seqkit.train.run_folder import RunFolder, claim
from seqkit.train.schedule import Horizon, evaluations_since_best, lr_factor
from seqkit.train.signals import catch_signals
from seqkit.train.state import Progress, StepMetrics, Training
from seqkit.train.step import Loss, batches, measure_horizon, train_step
from seqkit.train.training_config import TrainingConfig
from seqkit.train.validation import Validate, check_metric, run_validation

__all__ = ["Loss", "Outcome", "RunFolder", "TrainingConfig", "Validate", "fit"]


def fit(
    model: nn.Module,
    loss: Loss,
    data: Data | Iterable[Any],
    validate: Validate,
    config: TrainingConfig,
    run: RunFolder | Path | str,
    optimizer: Optimizer | None = None,
    *,
    metrics: Collection[str] = (),
    share_validation: bool = False,
) -> Outcome:
    """Train `model` on its device; writes checkpoints `best` and `last` and the log into the run's folder.

    data: a `Data`, or any iterable of batches that can be iterated once an epoch, such as a list or a DataLoader;
    tensors, tuples and dicts of tensors are moved to the device.
    loss(batch, step) returns the sum of the losses of a batch and the number of its terms (tokens, or sentences), or
    their mean alone; then every batch of a step counts alike.
    validate() returns metrics by name, or a pair of those and of sample outputs, (given or expected, output) texts. It
    runs in eval mode with the averaged weights, in the first process only; with `share_validation` in all, which share
    the batches of its predictors. metrics: names of what it returns; without them it runs once before the first step,
    so that an unknown `config.metric` is refused there.
    optimizer defaults to the config's over all parameters.

        rows = [(torch.randn(8, 3), torch.randn(8, 1)) for _ in range(10)]
        model = torch.nn.Linear(3, 1)
        mean = lambda batch, step: torch.nn.functional.mse_loss(model(batch[0]), batch[1])
        validate = lambda: {"loss": float(mean(rows[0], 0))}
        fit(model, mean, rows[1:], validate, TrainingConfig(epochs=2), "runs/line")

    With a sum, `lambda batch, step: (((model(batch[0]) - batch[1]) ** 2).sum(), len(batch[0]))`, batches count by their
    length.

    Raises InputError where the folder holds a run that is not to be resumed, where another process uses it, where a
    loss, gradient or weight is not finite, and where the disk or the memory is full; the last checkpoint stays as it
    was.
    """
    run = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    run = run._replace(folder=Path(run.folder))
    with explain_full_disk(run.folder), explain_lost_process(run.folder), claim(run.folder, resume=run.resume) as over:
        if over:
            distributed.print0(f"{run.folder}: finished, and cannot go on without its `last`: left as it is")
            return Outcome("already finished", Progress(checkpoint.read_meta(run.folder / "best").get("step", 0)))
        training, progress, logged = start_or_resume(model, optimizer, as_data(data, config.seed), config, run)
        training = training._replace(share_validation=share_validation)
        if is_finished(progress, training):
            outcome = Outcome("already finished", progress)
        else:
            if not progress.scores:
                check_metric(training, validate, metrics)
            distributed.on_rank_zero(lambda: run.write_config and run.write_config(run.folder))
            outcome = train(training, loss, validate, progress, run, logged)
        if outcome.ending != "interrupted" and distributed.rank() == 0:
            forget_owner(run.folder)
    report_ending(outcome, run)
    return outcome


def train(
    training: Training, loss: Loss, validate: Validate, progress: Progress, run: RunFolder, logged: int
) -> Outcome:
    """Train from `progress` until steps, time or patience are used up or a signal comes."""
    config, horizon = training.config, training.horizon
    clock, saved = time.monotonic() - progress.seconds, progress.seconds
    folder = run.folder if distributed.rank() == 0 else None
    log = Log(folder, length=logged, step=progress.step, total=horizon.steps)
    with catch_signals() as signals, closing(log), explain_out_of_memory("a training batch", "lower `batch_budget`"):
        for (epoch, batch), own in log.time_waiting(batches(training.data, config, progress)):
            rate = set_learning_rates(training.optimizer, lr_factor(config, horizon, progress.step, progress.scores))
            with blame_divergence(training, progress.step):
                training.pending.add(train_step(training, loss, own, progress.step), rate)
            training.average.update(progress.step + 1)
            progress = Progress(progress.step + 1, epoch, batch, time.monotonic() - clock, progress.scores)
            due = next_actions(progress, training, interrupted=bool(signals), saved=saved)
            log_steps(log, training, progress, row=due.log)
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
                return Outcome("interrupted", progress, max(distributed.all_gather(max(signals, default=0))))
    return Outcome("finished", progress)


def start_or_resume(
    model: nn.Module, optimizer: Optimizer | None, data: Data, config: TrainingConfig, run: RunFolder
) -> tuple[Training, Progress, int]:
    """What is trained, from where on, and bytes of log.jsonl to keep; sets the random number generators."""
    distributed.broadcast(model)
    model.train()
    average = WeightAverage(model, ema_decay=config.ema_decay, average_last=config.average_last)
    optimizer = optimizer or make_optimizer(model.parameters(), config)
    training = Training(config, Horizon(0, 0), model, optimizer, average, StepMetrics(), data)
    last = run.folder / "last"
    if distributed.on_rank_zero(lambda: run.resume and checkpoint.find_checkpoint(last)):
        resumed = state.load_training_state(last, training)
        training = training._replace(horizon=measure_horizon(data, config, resumed.progress))
        if not is_finished(resumed.progress, training):
            distributed.print0(describe_resumed(resumed, training, run))
        return training, resumed.progress, resumed.logged
    if run.resume:
        distributed.print0(f"{run.folder}: no checkpoint yet, so training starts afresh")
    state.seed_process(config.seed)
    return training._replace(horizon=measure_horizon(data, config)), Progress(), 0


def describe_resumed(resumed: state.Resumed, training: Training, run: RunFolder) -> str:
    """Where a run goes on, and what is different from before."""
    text = f"{run.folder}: resumed at step {resumed.progress.step:,}"
    if resumed.processes != distributed.world_size():
        text += f", with {distributed.world_size()} processes instead of {resumed.processes}"
    if resumed.steps != training.horizon.steps:
        text += f", to step {training.horizon.steps:,} instead of {resumed.steps:,}"
        if training.config.schedule == "cosine":
            text += "; the learning rate follows the cosine of the new length"
    return text


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


def log_steps(log: Log, training: Training, progress: Progress, *, row: bool) -> None:
    """Write one log row for the steps since the last one, where it is due, or show how they go."""

    def remaining(seconds_per_step: float) -> float:
        by_steps = (training.horizon.steps - progress.step) * seconds_per_step
        limit = 60 * training.config.max_minutes
        return min(by_steps, max(0.0, limit - progress.seconds)) if limit else by_steps

    if row:
        log.train(training.pending.read(progress.step), progress, remaining)
        training.pending.rows.clear()
    elif log.is_line_due():
        log.show_progress(training.pending.read(progress.step), progress, remaining)


def validate_and_save_best(
    training: Training, validate: Validate, progress: Progress, run: RunFolder, log: Log
) -> float:
    """Validate the averaged weights, save them as `best` if they are; returns the metric that decides."""
    check_finite(training, progress.step)
    if training.config.average_last:
        training.average.snapshot()
    with training.average.applied():
        metrics, samples = run_validation(training, validate)
        score = metrics[training.config.metric]
        best = evaluations_since_best((*progress.scores, score), training.config.mode) == 0
        if best and distributed.rank() == 0:
            checkpoint.replace_folder(
                run.folder / "best", lambda part: write_checkpoint(part, training, progress, run, metrics)
            )
    log.validation(metrics, progress, best=best, samples=samples)
    return score


def save_last(training: Training, progress: Progress, run: RunFolder, log: Log) -> None:
    """Replace checkpoint `last` by the current state."""
    check_finite(training, progress.step)
    randoms = distributed.all_gather(get_rng_state(training.device))

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
def blame_divergence(training: Training, step: int) -> Iterator[None]:
    """Context in which an error of the loss is put down to weights, losses or gradients that are not finite."""
    try:
        yield
    except (ArithmeticError, RuntimeError, ValueError):
        check_finite(training, step)
        raise
