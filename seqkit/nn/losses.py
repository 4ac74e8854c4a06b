"""Losses over target sequences, as sums and counts, so that gradients do not depend on how batches are split.

Label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7. Risk of drawn sequences: Williams 1992 (REINFORCE);
Rennie et al. 2017, arXiv:1612.00563, section 3 (self-critical); Kool et al. 2019, "Buy 4 REINFORCE samples, get a
baseline for free!".

B batch, T target steps, N real target tokens of the batch, V vocabulary, K samples of an item.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from seqkit.nn.kernels import usable
from seqkit.nn.kernels.cross_entropy import CrossEntropy
from seqkit.nn.masks import mask_from_lengths


def real_tokens(x_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """The real positions of (B, T, ...), concatenated: (N, ...)."""
    return x_BT[mask_from_lengths(lengths_B, x_BT.shape[1])]


def cross_entropy(
    logits_NV: Tensor, targets_N: Tensor, *, smoothing: float = 0.0, weight_N: Tensor | None = None
) -> Tensor:
    """Cross entropy: the sum over tokens of -log p(target), in nats, with label smoothing `smoothing`.

    `weight_N` weights each token.
    """
    if weight_N is None and usable(logits_NV):
        total: Tensor = CrossEntropy.apply(logits_NV, targets_N, smoothing)
        return total
    logits_NV = logits_NV.float()
    if weight_N is None:
        return F.cross_entropy(logits_NV, targets_N, reduction="sum", label_smoothing=smoothing)
    return (weight_N * F.cross_entropy(logits_NV, targets_N, reduction="none", label_smoothing=smoothing)).sum()


def sequence_loss(
    logits_BTV: Tensor, targets_BT: Tensor, lengths_B: Tensor, *, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The cross entropy summed over the real tokens of (B, T), and their number."""
    real_N, targets_N = real_tokens(logits_BTV, lengths_B), real_tokens(targets_BT, lengths_B)
    return cross_entropy(real_N, targets_N, smoothing=smoothing), torch.as_tensor(len(targets_N))


def sequence_risk(logprob_BK: Tensor, reward_BK: Tensor, baseline_B: Tensor | None = None) -> Tensor:
    """The sum over drawn sequences of -(reward - baseline) log p, whose gradient is that of the risk -E[reward].

    `logprob_BK`: of the sequences, by the very pass that drew them (`seqkit.decode.sample_with_gradient`); under
    another dropout mask the gradient is biased. `baseline_B`: a reward that does not depend on the samples, such as
    that of greedy search (self-critical); without it, the mean reward of the item's other samples. Raises ValueError
    where it is missing and each item has one sample.
    """
    if baseline_B is not None:
        advantage_BK = reward_BK - baseline_B[:, None]
    elif (count := reward_BK.shape[1]) > 1:
        advantage_BK = (reward_BK - reward_BK.mean(1, keepdim=True)) * (count / (count - 1))
    else:
        raise ValueError("`baseline_B` must be given for one sample an item, got None")
    return -(advantage_BK.detach().to(logprob_BK.dtype) * logprob_BK).sum()
