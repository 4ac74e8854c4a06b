"""Losses over target sequences, as sums and counts so that any grouping of the data gives the same gradient.

Label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.

B batch, T target steps, N real target tokens of the batch, V vocabulary.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from seqkit.nn.masks import mask_from_lengths


def real_tokens(x_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """The real positions of (B, T, ...), one after the other: (N, ...)."""
    return x_BT[mask_from_lengths(lengths_B, x_BT.shape[1])]


def cross_entropy(
    logits_NV: Tensor, targets_N: Tensor, *, smoothing: float = 0.0, weight_N: Tensor | None = None
) -> Tensor:
    """The sum over tokens of -log p(target), in nats; `smoothing` of its mass is spread over the vocabulary.

    `weight_N` multiplies each token's share, as a reward does in REINFORCE (Williams 1992).
    """
    logits_NV = logits_NV.float()
    if weight_N is None:
        return F.cross_entropy(logits_NV, targets_N, reduction="sum", label_smoothing=smoothing)
    return (weight_N * F.cross_entropy(logits_NV, targets_N, reduction="none", label_smoothing=smoothing)).sum()


def sequence_loss(
    logits_BTV: Tensor, targets_BT: Tensor, lengths_B: Tensor, *, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The summed cross entropy over real tokens, and how many there are."""
    real_N, targets_N = real_tokens(logits_BTV, lengths_B), real_tokens(targets_BT, lengths_B)
    return cross_entropy(real_N, targets_N, smoothing=smoothing), torch.as_tensor(len(targets_N))
