"""The precision of training that a device is made for."""

from collections.abc import Callable
from typing import Literal

import torch


def best_precision(device: torch.device) -> Literal["float32", "bf16"]:
    """bf16 where the device has instructions for it, float32 elsewhere; asked of the machine, whatever its name."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    asked: list[Callable[[], bool] | None] = [
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    return "bf16" if device.type == "cpu" and any(ask and ask() for ask in asked) else "float32"
