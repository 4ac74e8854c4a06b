"""Masks from lengths, and operations that respect them. A mask is bool, True = real; padding follows the real part.

B batch, T time, ... anything.
"""

import torch
from torch import Tensor


def mask_from_lengths(lengths_B: Tensor, max_len: int) -> Tensor:
    """The mask (B, max_len) of sequences of the given lengths, in positions.

    Raises ValueError where a length is beyond `max_len`; not on a GPU, where the check would wait for the device, nor
    in a compiled graph.
    """
    checked = lengths_B.device.type == "cpu" and not torch.compiler.is_compiling()
    if checked and len(lengths_B) and int(lengths_B.max()) > max_len:
        raise ValueError(f"`lengths_B` must be <= max_len {max_len}, got {lengths_B.tolist()}")
    return torch.arange(max_len, device=lengths_B.device) < lengths_B[:, None]


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the real positions of the last dimension: exactly 0 at padding, all 0 where nothing is real.

    `mask` broadcasts to `scores`. Raises ValueError where their last dimensions differ.
    """
    if scores.shape[-1] != mask.shape[-1]:
        shapes = f"{tuple(scores.shape)}, got {tuple(mask.shape)}"
        raise ValueError(f"`mask` must have the last dimension of `scores` {shapes}")
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1)
    return weights.masked_fill(~mask, 0.0)


def reverse(values_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """Every sequence of (B, T, ...) reversed within its own length; the padding stays where it is."""
    time_T = torch.arange(values_BT.shape[1], device=values_BT.device)
    turned_BT = lengths_B[:, None] - 1 - time_T
    index_BT = torch.where(turned_BT >= 0, turned_BT, time_T)
    return values_BT[torch.arange(len(values_BT), device=values_BT.device)[:, None], index_BT]


def masked_mean(values_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """The mean (B, D) over each sequence's real positions."""
    mask_BT1 = mask_from_lengths(lengths_B, values_BTD.shape[1])[..., None]
    return values_BTD.masked_fill(~mask_BT1, 0.0).sum(1) / lengths_B[:, None].to(values_BTD.dtype)
