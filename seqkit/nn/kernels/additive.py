"""Additive attention in one pass, without gradients: for search and evaluation on a CPU.

B rows of a memory, T queries a row, S positions, A attention width, D memory width.
"""

import torch
from torch import Tensor

from seqkit.nn.kernels import call


def additive_attention(
    query_BTA: Tensor, keys_BSA: Tensor, values_BSD: Tensor, mask_BS: Tensor, score_A: Tensor
) -> tuple[Tensor, Tensor]:
    """Contexts (B, T, D) and weights (B, T, S) of softmax(score' tanh(keys + query)) over the mask."""
    (batch, queries, width), (positions, wide) = query_BTA.shape, values_BSD.shape[1:]
    context_BTD, weights_BTS = query_BTA.new_empty(batch, queries, wide), torch.empty(batch, queries, positions)
    rows, scratch = batch * queries, torch.empty(batch, queries, wide)
    call(
        "attention_forward", query_BTA.dtype, rows, positions, width, wide, queries, mask_BS.contiguous(),
        keys_BSA.contiguous(), values_BSD.contiguous(), score_A.float().contiguous(), query_BTA.contiguous(), width,
        weights_BTS, context_BTD, wide, scratch,
    )  # fmt: skip
    return context_BTD, weights_BTS.to(query_BTA.dtype)
