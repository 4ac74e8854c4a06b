"""Micro-batches: parts of a batch that are computed side by side on a CPU, a thread each.

The operations of a recurrent step are small, so that two halves of a batch on a core each take less time than the whole
on both. Their gradients are added in the order of the parts, and each part draws from a generator of its own: what is
learned does not depend on the number of threads.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from seqkit.decode.parallel import in_batches, side_by_side
from seqkit.nn.dropout import Dropout
from seqkit.nn.generator import drawing_from
from seqkit.nn.kernels import available

Terms = tuple[Tensor, Tensor | float]


def parts_of_batch(model: nn.Module, wanted: int) -> int:
    """`wanted`, or 1 where parts cannot be computed at once.

    That is on other devices, where a module writes to itself (batch normalization) or draws from torch's own generator
    (dropout other than ours), and without the kernels, whose work leaves Python's lock to the other thread.
    """
    if next(model.parameters()).device.type != "cpu" or not available():
        return 1
    return 1 if any(map(_is_shared, model.modules())) else wanted


def _is_shared(module: nn.Module) -> bool:
    if isinstance(module, _NormBase):
        return module.training and module.running_mean is not None
    own = isinstance(module, Dropout) or not isinstance(module, _DropoutNd | nn.RNNBase)
    return not own and bool(module.dropout if isinstance(module, nn.RNNBase) else module.p)


def backward_in_turn(
    terms: Callable[[Any], Terms], batches: Sequence[Any], parameters: Sequence[Tensor], parts: int
) -> Iterator[Terms]:
    """Adds the gradients of the batches' sums, one batch after the other; yields sums and counts."""
    for batch in batches:
        total, count = terms(batch)
        total.backward()  # type: ignore[no-untyped-call]
        yield total.detach(), count


def backward_side_by_side(
    terms: Callable[[Any], Terms], batches: Sequence[Any], parameters: Sequence[Tensor], parts: int
) -> Iterator[Terms]:
    """The same for `parts` batches at a time."""
    seeds = torch.randint(2**62, (len(batches),)).tolist()

    def differentiate(own: tuple[Any, int]) -> tuple[Tensor, Tensor | float, tuple[Tensor | None, ...]]:
        batch, seed = own
        with drawing_from(seed):
            total, count = terms(batch)
        return total.detach(), count, torch.autograd.grad(total, parameters, allow_unused=True)

    for some in in_batches(list(zip(batches, seeds, strict=True)), parts):
        for total, count, gradients in side_by_side(differentiate, some, torch.device("cpu")):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
            yield total, count
