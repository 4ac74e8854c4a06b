"""Data-parallel training on the processes that `torchrun` starts: gloo between CPUs, nccl between GPUs.

Each process computes the gradient of its own batches; an all-reduce sums them before they are divided by the number of
loss terms in all, so n processes with one batch each equal one process with n. The all-reduce runs after the backward
pass, without overlap. Objects and decisions always travel over gloo, so they never wait for the queue of a GPU.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from seqkit.errors import InputError
from seqkit.share import together

T = TypeVar("T")

TIMEOUT = timedelta(hours=12)  # the others wait while the first process validates, or writes


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Context of the process group that torchrun started, if it did.

    Yields the device of this process: with several GPUs in the machine, its own.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Index of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def all_reduce(tensors: Sequence[Tensor]) -> None:
    """Replace every tensor by its sum over the processes, in one message per dtype."""
    if world_size() == 1:
        return
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        same = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.flatten() for tensor in same])
        dist.all_reduce(flat)
        for tensor, part in zip(same, torch.split(flat, [tensor.numel() for tensor in same]), strict=True):
            tensor.copy_(part.view_as(tensor))


@torch.no_grad()
def broadcast(model: nn.Module) -> None:
    """Copy the parameters and buffers of the first process to all others."""
    if world_size() > 1:
        for tensor in [*model.parameters(), *model.buffers()]:
            dist.broadcast(tensor.data, 0)


def on_rank_zero(make: Callable[[], T]) -> T:
    """Call `make` in the first process only, and return its result in all; an InputError is raised in all."""
    if world_size() == 1:
        return make()
    box: list[Any] = [None]
    if rank() == 0:
        try:
            box = [make()]
        except InputError as error:
            box = [error]
    dist.broadcast_object_list(box, 0, device=torch.device("cpu"))
    if isinstance(box[0], InputError):
        raise box[0]
    return cast(T, box[0])


def all_gather(value: Any) -> list[Any]:
    """The `value` of every process, in order of rank, in all of them."""
    values: list[Any] = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(values, value)
    return values


@contextmanager
def sharing_work() -> Iterator[None]:
    """Context in which the processes share the batches of an evaluation that all of them run; see `seqkit.share`."""
    with together(rank(), world_size(), all_gather):
        yield


def any_rank(flags: Iterable[bool]) -> list[bool]:
    """For each flag, whether it is set in at least one process."""
    flags = list(flags)
    if world_size() == 1:
        return flags
    votes = torch.tensor(flags, dtype=torch.int32)
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return [bool(vote) for vote in votes.tolist()]


def print0(text: str) -> None:
    """Print one line on standard error, from the first process only."""
    if rank() == 0:
        print(text, file=sys.stderr, flush=True)
