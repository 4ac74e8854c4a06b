"""One optimizer step, and the batches of each step.

A step sums the gradients of `grad_accumulation` batches on each process and divides by the number of loss terms in all
of them, so neither accumulation nor the number of processes changes what is learned. The order of batches is a pure
function of the epoch, so resuming in the middle of one is slicing.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from seqkit.data.batch import Data, take
from seqkit.errors import InputError
from seqkit.train import distributed
from seqkit.train.adapters import sum_and_count, to_device
from seqkit.train.batch_norm import StepStatistics
from seqkit.train.schedule import Horizon
from seqkit.train.state import Progress, Training
from seqkit.train.training_config import TrainingConfig

Loss = Callable[[Any, int], Tensor | tuple[Tensor, Tensor | float]]


def measure_horizon(data: Data, config: TrainingConfig, progress: Progress = Progress()) -> Horizon:  # noqa: B008
    """Steps of the run, and steps per epoch on average, as epochs may differ in length.

    A run at `progress` may have got there with another number of processes: what is left is counted anew.
    """
    width, count = config.grad_accumulation * distributed.world_size(), 1 if config.steps else math.ceil(config.epochs)
    lengths = [len(_batches(data, epoch)) for epoch in range(count)]
    steps = [math.ceil(length / width) for length in lengths]
    if config.steps:
        return Horizon(config.steps, steps[0])
    steps[-1] = math.ceil(steps[-1] * (config.epochs - count + 1))
    left = sum(steps[progress.epoch :])
    if progress.epoch < count:
        length = lengths[progress.epoch]
        left -= math.ceil(length / width) - math.ceil((length - progress.batch) / width)
    return Horizon(progress.step + max(0, left), math.ceil(sum(steps) / config.epochs))


def batches(data: Data, config: TrainingConfig, progress: Progress) -> Iterator[tuple[tuple[int, int], list[Any]]]:
    """For every step from `progress` on, endlessly: the (epoch, batch) after it, and its batches on this process.

    A step takes `grad_accumulation` batches per process, in turn; the last step of an epoch takes what is left.
    """
    epoch, first, width = progress.epoch, progress.batch, config.grad_accumulation * distributed.world_size()
    while True:
        batches = _batches(data, epoch)
        starts = range(first, len(batches), width)
        rank, world = distributed.rank(), distributed.world_size()
        mine = [range(start, min(start + width, len(batches)))[rank::world] for start in starts]
        loaded = iter(data.load(take(batches, list(itertools.chain.from_iterable(mine))), epoch))
        for start, share in zip(starts, mine, strict=True):
            after = (epoch, start + width) if start + width < len(batches) else (epoch + 1, 0)
            yield after, list(itertools.islice(loaded, len(share)))
        epoch, first = epoch + 1, 0


def train_step(training: Training, loss: Loss, batches: Sequence[Any], step: int) -> Tensor:
    """One optimizer step; returns (3,) on the device: sum of losses, number of terms, L2 norm of the gradient.

    A parameter without a gradient counts as zero. Nothing here waits for the GPU.
    """
    device, config = training.device, training.config
    exact = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no float64
    sums_2 = torch.zeros(2, dtype=exact, device=device)
    statistics = StepStatistics(training.model) if len(batches) > 1 or distributed.world_size() > 1 else None
    for batch in batches:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            total, count = sum_and_count(loss(to_device(batch, device), step))
        total.backward()  # type: ignore[no-untyped-call]
        sums_2[0] += total.detach()
        sums_2[1] += count
        if statistics:
            statistics.after_batch()
    gradients = _gradients(training.optimizer)
    distributed.all_reduce([*gradients, sums_2, *(statistics.to_reduce() if statistics else ())])
    if statistics:
        statistics.after_step()
    norm = torch.nn.utils.get_total_norm(gradients) / sums_2[1]
    scale = (config.max_grad_norm / (norm + 1e-6)).clamp(max=1.0) if config.max_grad_norm else torch.ones_like(norm)
    torch._foreach_mul_(gradients, (scale / sums_2[1]).to(gradients[0].dtype))
    training.optimizer.step()
    training.optimizer.zero_grad()
    return torch.cat([sums_2, norm.to(exact)[None]])


def _batches(data: Data, epoch: int) -> Sequence[Sequence[int]]:
    batches = data.epoch(epoch)
    if not batches:
        raise InputError(f"`data` must hold at least one batch, got none in epoch {epoch}")
    return batches


def _gradients(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Gradients of all trainable parameters; zeros where there is none."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    return [parameter.grad for parameter in parameters]
