"""Processes that work together as those that torchrun starts, for the tests."""

import os
import socket
from collections.abc import Callable
from contextlib import nullcontext

import torch

from seqkit.train.distributed import process_group
from tests.tiny_training import forked


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def together(count: int, work: Callable[[int], None], *, join: bool = True) -> list[int]:
    """Run `work(rank)` in `count` processes joined by gloo, or that join by themselves; their exit codes."""
    port = str(free_port())

    def joined(rank: int) -> None:
        names = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_PORT": port, "MASTER_ADDR": "127.0.0.1"}
        os.environ |= {name: str(value) for name, value in names.items()}
        with process_group(torch.device("cpu")) if join else nullcontext():
            work(rank)

    children = [forked(lambda rank=rank: joined(rank)) for rank in range(count)]  # type: ignore[misc]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
