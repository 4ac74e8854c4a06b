"""Other people's data and losses for `fit`: any iterable of batches, any nesting of tensors, means and sums."""

import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seqkit.data.batch import Data
from seqkit.errors import InputError
from seqkit.train.random_state import get_rng_state, seed_cpu, set_rng_state

CPU = torch.device("cpu")


def as_data(data: Any, seed: int) -> Data:
    """`data` itself if it is a `Data`, else the same batches in the same order as it yields them in each epoch.

    It must be iterable once an epoch: a list of batches, a DataLoader. What it draws at random is a function of `seed`
    and the epoch, so that a run can be resumed within one. Its `set_epoch` is called if it has one; without `len` its
    batches are counted by a first pass. Raises InputError for a generator, which ends after one epoch.
    """
    if isinstance(data, Data):
        return data
    if not isinstance(data, Iterable) or isinstance(data, str | bytes | Mapping | Tensor):
        raise InputError(f"`data` must be a Data or an iterable of batches, got {_shown(data)}")
    if isinstance(data, Iterator):
        raise InputError(
            f"`data` must be iterable once an epoch, got {_shown(data)}, which ends after one: "
            "put its batches into a list, or give a DataLoader"
        )
    try:
        count = len(data)  # type: ignore[arg-type]
    except TypeError:  # a DataLoader over a stream has `len` and refuses it
        count = sum(1 for _ in _epoch_of(data, seed, 0))

    def epoch(number: int) -> Sequence[Sequence[int]]:
        return [[index] for index in range(count)]

    def load(batches: Sequence[Sequence[int]], number: int) -> Iterable[Any]:
        wanted = [index for (index,) in batches]
        chosen = set(wanted)
        for index, batch in enumerate(_epoch_of(data, seed, number)):
            if index in chosen:
                yield batch
                if index == wanted[-1]:
                    return
        raise InputError(f"`data` must yield {count} batches in every epoch, got fewer in epoch {number}")

    return Data(epoch, load)


def _epoch_of(data: Iterable[Any], seed: int, epoch: int) -> Iterator[Any]:
    """The batches of one epoch, drawn with random number generators of their own."""
    set_epoch: Callable[[int], None] | None = getattr(data, "set_epoch", None)
    if set_epoch:
        set_epoch(epoch)
    outer = get_rng_state(CPU)
    seed_cpu((seed + 7919 * epoch) % 2**32)
    inner, batches = None, None
    while True:
        try:
            if inner is not None:
                outer = get_rng_state(CPU)
                set_rng_state(inner, CPU)
            batches = iter(data) if batches is None else batches
            batch = next(batches, _epoch_of)
            inner = get_rng_state(CPU)
        finally:
            set_rng_state(outer, CPU)
        if batch is _epoch_of:
            return
        yield batch


def to_device(batch: Any, device: torch.device) -> Any:
    """`batch` with all tensors in it on `device`: tuples, lists and mappings are entered, `.to` is called if there."""
    if hasattr(batch, "to"):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, tuple | list):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def sum_and_count(value: Any) -> tuple[Tensor, Tensor | float]:
    """Sum of the losses of a batch and number of terms, from what a loss function returned; a mean counts once.

    Raises InputError for anything else.
    """
    total, count = value if isinstance(value, tuple) and len(value) == 2 else (value, 1)
    if not isinstance(total, Tensor) or total.numel() != 1 or not isinstance(count, Tensor | numbers.Real):
        raise InputError(
            "`loss` must return one number as a tensor, the mean over a batch, or a pair of the sum and the number of "
            f"its terms, got {_shown(value)}"
        )
    if not total.requires_grad:
        raise InputError("`loss` must depend on weights that are trained, got a tensor without a gradient")
    return total.reshape(()), count if isinstance(count, Tensor) else float(count)


def metrics_and_samples(value: Any) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Metrics by name and sample outputs, from what a validation function returned. Raises InputError for others."""
    metrics, samples = value if isinstance(value, tuple) and len(value) == 2 else (value, ())
    if not isinstance(metrics, Mapping) or not all(_is_number(number) for number in metrics.values()):
        raise InputError(
            "`validate` must return numbers by name, or a pair of those and of samples, "
            f"got {_shown(metrics if isinstance(metrics, Mapping) else value)}"
        )
    return {str(name): float(number) for name, number in metrics.items()}, [(str(a), str(b)) for a, b in samples]


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) or (isinstance(value, Tensor) and value.numel() == 1)


def _shown(value: Any) -> str:
    """A value in an error: its type, and a short one itself."""
    text = repr(value)
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}" + (f", {text}" if len(text) <= 80 and " at 0x" not in text else "")
