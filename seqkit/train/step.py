"""One optimizer step: which batches it takes, in what order they come, and what is done with them.

A step sums the gradients of `accumulate` batches on each process and divides by the count of all, so that neither
accumulation nor processes change what is learnt. The order is a pure function of the epoch, so that going on in the
middle of one is slicing.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from seqkit.data.batch import Data
from seqkit.errors import InputError
from seqkit.train import distributed
from seqkit.train.schedule import Horizon
from seqkit.train.state import Progress, Training
from seqkit.train.training_config import TrainingConfig

Loss = Callable[[Any, int], tuple[Tensor, Tensor | int]]


def measure_horizon(data: Data, plan: TrainingConfig) -> Horizon:
    """How many steps the run takes, and an epoch of it on average; epochs may differ in length."""
    width, count = plan.accumulate * distributed.world_size(), 1 if plan.steps else math.ceil(plan.epochs)
    steps = [math.ceil(len(_batches(data, epoch)) / width) for epoch in range(count)]
    if plan.steps:
        return Horizon(plan.steps, steps[0])
    steps[-1] = math.ceil(steps[-1] * (plan.epochs - count + 1))
    return Horizon(sum(steps), math.ceil(sum(steps) / plan.epochs))


def batches(data: Data, plan: TrainingConfig, progress: Progress) -> Iterator[tuple[tuple[int, int], list[Any]]]:
    """For every step to come, without end: the (epoch, batch) after it, and those of its batches that are this
    process's.

    A step takes `accumulate` batches a process, dealt out in turn; the last of an epoch takes those that are left.
    """
    epoch, first, width = progress.epoch, progress.batch, plan.accumulate * distributed.world_size()
    while True:
        batches = _batches(data, epoch)
        starts = range(first, len(batches), width)
        mine = [batches[start : start + width][distributed.rank() :: distributed.world_size()] for start in starts]
        loaded = iter(data.load(list(itertools.chain.from_iterable(mine)), epoch))
        for start, share in zip(starts, mine, strict=True):
            after = (epoch, start + width) if start + width < len(batches) else (epoch + 1, 0)
            yield after, list(itertools.islice(loaded, len(share)))
        epoch, first = epoch + 1, 0


def update(training: Training, loss: Loss, batches: Iterable[Any], step: int) -> Tensor:
    """One optimizer step; on the device, (3,) float64: sum of losses, their count, L2 norm of the mean gradient.

    A parameter that took no part has a gradient of zero. Nothing here waits for a GPU.
    """
    device, plan = training.device, training.plan
    sums_2 = torch.zeros(2, dtype=torch.float64, device=device)
    for batch in batches:
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bf16"):
            total, count = loss(batch.to(device), step)
        total.backward()  # type: ignore[no-untyped-call]
        sums_2[0] += total.detach()
        sums_2[1] += count
    gradients = _gradients(training.optimizer)
    distributed.all_reduce([*gradients, sums_2])
    norm = torch.nn.utils.get_total_norm(gradients) / sums_2[1]
    share = (plan.clip / (norm + 1e-6)).clamp(max=1.0) if plan.clip else torch.ones_like(norm)
    torch._foreach_mul_(gradients, (share / sums_2[1]).to(gradients[0].dtype))
    training.optimizer.step()
    training.optimizer.zero_grad()
    return torch.cat([sums_2, norm.double()[None]])


def _batches(data: Data, epoch: int) -> Sequence[Sequence[int]]:
    batches = data.epoch(epoch)
    if not batches:
        raise InputError(f"`data` must hold at least one batch, got none in epoch {epoch}")
    return batches


def _gradients(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The gradient of every parameter that learns; zeros take the place of none."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    return [parameter.grad for parameter in parameters]
