"""Learning rate and scheduled sampling schedules: pure functions of the step, so a resumed run stores no schedule.

An LR factor multiplies the learning rate. Steps count from 0: step 0 is the first update. Sources: step decay,
Sutskever et al. 2014 (arXiv:1409.3215, section 3.4); inverse square root, Vaswani et al. 2017 (arXiv:1706.03762, eq. 3,
scaled so that its peak is 1); cosine, Loshchilov & Hutter 2017 (arXiv:1608.03983, eq. 5); rates of scheduled sampling,
Bengio et al. 2015 (arXiv:1506.03099, section 2.4).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from seqkit.train.training_config import TrainingConfig


class Horizon(NamedTuple):
    """Length of a run in steps."""

    steps: int
    per_epoch: int


def lr_factor(config: TrainingConfig, horizon: Horizon, step: int, scores: Sequence[float]) -> float:
    """Factor of the learning rate at `step`; `scores` are the validation metric so far."""
    warm = warmup(step, config.warmup)
    match config.schedule:
        case "constant":
            return warm
        case "step":
            after, every = (epochs * horizon.per_epoch for epochs in (config.step_after, config.step_every))
            return warm * step_decay(step, after=after, every=every, gamma=config.gamma)
        case "plateau":
            reduced = plateau(scores, patience=config.plateau_patience, gamma=config.gamma, mode=config.mode)
            return warm * max(config.min_lr_ratio, reduced)
        case "inverse_sqrt":
            return inverse_sqrt(step, config.warmup)
        case "cosine":
            return warm * cosine(step - config.warmup, horizon.steps - config.warmup, config.min_lr_ratio)


def warmup(step: int, steps: int) -> float:
    """Linear warmup: reaches 1 at the last of `steps` steps."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


def step_decay(step: int, *, after: float, every: float, gamma: float = 0.5) -> float:
    """Step decay: 1 for `after` steps, then times `gamma`, and again after every further `every` steps."""
    return 1.0 if step < after else gamma ** (1 + math.floor((step - after) / every))


def plateau(scores: Sequence[float], *, patience: int, gamma: float, mode: str) -> float:
    """Reduction on plateau: times `gamma` whenever more than `patience` scores in a row were no new best."""
    best, stalled, reductions = -math.inf, 0, 0
    for score in scores:
        signed = score if mode == "max" else -score
        if signed > best:
            best, stalled = signed, 0
        else:
            stalled += 1
        if stalled > patience:
            reductions, stalled = reductions + 1, 0
    return gamma**reductions


def inverse_sqrt(step: int, warmup_steps: int) -> float:
    """Inverse square root schedule: linear warmup to 1 over `warmup_steps`, then proportional to 1/sqrt(step)."""
    return min((step + 1) / max(1, warmup_steps), math.sqrt(max(1, warmup_steps) / (step + 1)))


def cosine(step: int, steps: int, min_ratio: float = 0.0) -> float:
    """Cosine annealing from 1 at step 0 to `min_ratio` at `steps`; constant outside."""
    share = min(max(step / max(1, steps), 0.0), 1.0)
    return min_ratio + (1 - min_ratio) * 0.5 * (1 + math.cos(math.pi * share))


def evaluations_since_best(scores: Sequence[float], mode: str) -> int:
    """Number of scores after the best one (the first of equal ones); NaN is never the best."""
    best, age = -math.inf, 0
    for score in scores:
        signed = score if mode == "max" else -score
        best, age = (signed, 0) if signed > best else (best, age + 1)
    return age


def linear_ramp(step: int, *, start: int, end: int, low: float = 0.0, high: float = 1.0) -> float:
    """Linear ramp: `low` until `start`, `high` from `end` on."""
    return low + (high - low) * min(max((step - start) / max(1, end - start), 0.0), 1.0)


def staircase(step: int, *, start: int, every: int, rise: float, high: float) -> float:
    """Staircase: 0 before `start`, then `rise`, and `rise` more after every further `every` steps, at most `high`."""
    return 0.0 if step < start else min(high, rise * (1 + (step - start) // every))


def exponential(step: int, k: float) -> float:
    """Exponential schedule of the rate of *sampled* inputs, 1 - k^step, for 0 < k < 1."""
    return float(1 - k**step)


def inverse_sigmoid(step: int, k: float) -> float:
    """Inverse sigmoid schedule of the rate of *sampled* inputs, 1 - k / (k + exp(step / k)), for k >= 1: near 0 at
    first, 1/2 at step k ln k.
    """
    return 1 - 1 / (1 + math.exp(min(step / k, 700.0)) / k)
