"""Learning rates and mixing rates as pure functions of the step, so that a resumed run needs no schedule state.

A factor multiplies the learning rate. Steps count from 0: step 0 is the first update. Sources: halving, Sutskever et
al. 2014 (arXiv:1409.3215, section 3.4); inverse square root, Vaswani et al. 2017 (arXiv:1706.03762, eq. 3, scaled so
that its peak is 1); cosine, Loshchilov & Hutter 2017 (arXiv:1608.03983, eq. 5); ramps for scheduled sampling, Bengio
et al. 2015 (arXiv:1506.03099, section 2.4).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from seqkit.train.training_config import TrainingConfig


class Horizon(NamedTuple):
    """The length of a run in steps."""

    steps: int
    per_epoch: int


def factor(plan: TrainingConfig, horizon: Horizon, step: int, scores: Sequence[float]) -> float:
    """The share of the full learning rate at `step`, after validations that gave `scores`."""
    warm = warmup(step, plan.warmup)
    match plan.schedule:
        case "constant":
            return warm
        case "halving":
            after, every = (epochs * horizon.per_epoch for epochs in (plan.decay_after, plan.decay_every))
            return warm * halving(step, after=after, every=every, decay=plan.decay)
        case "plateau":
            fallen = plateau(scores, patience=plan.decay_patience, decay=plan.decay, goal=plan.goal)
            return warm * max(plan.floor, fallen)
        case "inverse_sqrt":
            return inverse_sqrt(step, plan.warmup)
        case "cosine":
            return warm * cosine(step - plan.warmup, horizon.steps - plan.warmup, plan.floor)


def warmup(step: int, steps: int) -> float:
    """Linear growth that reaches 1 at the last of `steps`."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


def halving(step: int, *, after: float, every: float, decay: float = 0.5) -> float:
    """1 for `after` steps, then `decay`, and another `decay` after each further `every` steps."""
    return 1.0 if step < after else decay ** (1 + math.floor((step - after) / every))


def plateau(scores: Sequence[float], *, patience: int, decay: float, goal: str) -> float:
    """`decay` once for every time that more than `patience` scores in a row brought no new best."""
    best, stalled, falls = -math.inf, 0, 0
    for score in scores:
        signed = score if goal == "max" else -score
        if signed > best:
            best, stalled = signed, 0
        else:
            stalled += 1
        if stalled > patience:
            falls, stalled = falls + 1, 0
    return decay**falls


def inverse_sqrt(step: int, warmup_steps: int) -> float:
    """Linear growth to 1 over `warmup_steps`, then 1/sqrt(step)."""
    return min((step + 1) / max(1, warmup_steps), math.sqrt(max(1, warmup_steps) / (step + 1)))


def cosine(step: int, steps: int, floor: float = 0.0) -> float:
    """Half a cosine from 1 at step 0 to `floor` at `steps`, and level outside."""
    share = min(max(step / max(1, steps), 0.0), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share))


def evaluations_since_best(scores: Sequence[float], goal: str) -> int:
    """How many scores came after the best one, the earliest of equals; NaN is never the best."""
    best, age = -math.inf, 0
    for score in scores:
        signed = score if goal == "max" else -score
        best, age = (signed, 0) if signed > best else (best, age + 1)
    return age


def linear_ramp(step: int, *, start: int, end: int, low: float = 0.0, high: float = 1.0) -> float:
    """`low` until `start`, `high` from `end` on, and a straight line between."""
    return low + (high - low) * min(max((step - start) / max(1, end - start), 0.0), 1.0)


def staircase(step: int, *, start: int, every: int, rise: float, high: float) -> float:
    """0 before `start`, then `rise`, and `rise` more after each further `every` steps, at most `high`."""
    return 0.0 if step < start else min(high, rise * (1 + (step - start) // every))


def exponential(step: int, k: float) -> float:
    """The rate of *sampled* inputs, 1 - k^step, for 0 < k < 1."""
    return float(1 - k**step)


def inverse_sigmoid(step: int, k: float) -> float:
    """The rate of *sampled* inputs, 1 - k / (k + exp(step / k)): near 0 at first, half at step k ln k, for k >= 1."""
    return 1 - 1 / (1 + math.exp(min(step / k, 700.0)) / k)
