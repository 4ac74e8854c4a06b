"""Random number generators of python, numpy and torch: seeding, saving, restoring."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_all(number: int) -> None:
    """Seed the generators of python, numpy and torch, on all devices; `number` must be below 2**32."""
    seed_cpu(number)
    torch.manual_seed(number)


def seed_cpu(number: int) -> None:
    """Seed those of this process alone, not those of a GPU."""
    random.seed(number)
    np.random.seed(number)
    torch.default_generator.manual_seed(number)


def get_rng_state(device: torch.device) -> dict[str, Any]:
    """State of the generators of python, numpy and torch, in types that `torch.load` reads safely."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    keys_N = torch.from_numpy(np.asarray(keys, dtype=np.int64))
    return {
        "python": random.getstate(),
        "numpy": (str(name), keys_N, int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "device": _device_state(device),
    }


def set_rng_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore what `get_rng_state` returned."""
    random.setstate(state["python"])
    name, keys, position, *rest = state["numpy"]
    if not 0 <= position <= len(keys):  # numpy does not look
        raise ValueError(f"a random state at place {position} of {len(keys)}")
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, *rest))
    torch.set_rng_state(state["torch"])
    if state["device"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["device"], device)
    if state["device"] is not None and device.type == "mps":
        torch.mps.set_rng_state(state["device"])


def _device_state(device: torch.device) -> Tensor | None:
    """State of the device's own generator, if it has one."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None
