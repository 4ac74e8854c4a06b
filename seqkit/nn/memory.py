"""Memory, the encoder's output that a decoder attends to, and State, what a decoder carries from step to step.

Every tensor in either has the batch at dimension 0, so that a search selects and repeats hypotheses of any decoder, or
of several, by `select` and `repeat`.

B batch, S source positions, D memory width, A key width, Z summary width, L layers, H hidden width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Memory(NamedTuple):
    """One encoded stream with its attention keys, fixed during decoding."""

    values_BSD: Tensor  # S = 0 where the decoder does not attend
    mask_BS: Tensor  # bool, True = real
    keys_BSA: Tensor  # what the attention computes once a sequence
    summary_BZ: Tensor  # the stream in one vector, for the decoder's initial state


class State(NamedTuple):
    """The state of a recurrent decoder between two steps, with one context and one set of weights a memory."""

    h_BLH: Tensor
    c_BLH: Tensor  # width 0 for cells that keep no second state
    contexts: tuple[Tensor, ...]  # each (B, D), of the latest attention
    weights: tuple[Tensor, ...]  # each (B, S), of the latest attention


def map_rows(fn: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Nested tuples with `fn` applied to every tensor."""
    if isinstance(tree, Tensor):
        return fn(tree)
    parts = [map_rows(fn, part) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


def select(tree: Any, index_N: Tensor) -> Any:
    """Rows `index_N` of every tensor."""
    return map_rows(lambda t: t.index_select(0, index_N), tree)


def repeat(tree: Any, times: int) -> Any:
    """Every row repeated `times` times, copies side by side: 0 0 0 1 1 1 ..."""
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
