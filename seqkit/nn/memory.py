"""What passes from an encoder to a decoder, and from one decoding step to the next.

Every tensor in either has the batch at dimension 0. That one rule lets a search keep, drop and
repeat hypotheses without knowing what kind of decoder, or how many of them, it drives.

B batch, S source positions, D memory width, A key width, Z summary width, L layers, H hidden width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Memory(NamedTuple):
    """One encoded stream with its attention keys, fixed for the whole of decoding."""

    values_BSD: Tensor  # S = 0 where the decoder does not attend
    mask_BS: Tensor  # bool, True = real
    keys_BSA: Tensor  # whatever the attention computes once a sentence
    summary_BZ: Tensor  # the stream in one vector, from which the decoder may start


class State(NamedTuple):
    """A recurrent decoder between two steps; one context and one set of weights a memory."""

    h_BLH: Tensor
    c_BLH: Tensor  # width 0 for cells that keep no second state
    contexts: tuple[Tensor, ...]  # each (B, D), of the latest attention
    weights: tuple[Tensor, ...]  # each (B, S), of the latest attention


def map_rows(fn: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """`fn` of every tensor in nested tuples; the same nesting back."""
    if isinstance(tree, Tensor):
        return fn(tree)
    parts = [map_rows(fn, part) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


def select(tree: Any, index_N: Tensor) -> Any:
    """Rows `index_N` of every tensor: hypotheses kept, dropped or repeated."""
    return map_rows(lambda t: t.index_select(0, index_N), tree)


def repeat(tree: Any, times: int) -> Any:
    """Every row `times` times, neighbors together: 0 0 0 1 1 1 ..."""
    return map_rows(lambda t: t.repeat_interleave(times, 0), tree)


def rows(tree: Any) -> int:
    """The batch size shared by every tensor; raises ValueError where the tree holds no tensor."""
    for part in (tree,) if isinstance(tree, Tensor) else tree:
        if isinstance(part, Tensor):
            return part.shape[0]
        try:
            return rows(part)
        except ValueError:
            continue
    raise ValueError(f"`tree` must hold a tensor to have a batch size, got {torch.typename(tree)} without one")
