"""Validation during training: in eval mode, shared by the processes, without a trace in the random numbers."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from seqkit.errors import InputError
from seqkit.train import distributed
from seqkit.train.adapters import metrics_and_samples
from seqkit.train.failures import explain_out_of_memory
from seqkit.train.random_state import get_rng_state, set_rng_state
from seqkit.train.state import Training

Validate = Callable[[], Mapping[str, float] | tuple[Mapping[str, float], Sequence[tuple[str, str]]]]


def run_validation(training: Training, validate: Validate) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Metrics and samples, those of the first process; the metric that chooses is among them.

    Where `validate` is shared, all processes run it, each with its share of the batches.
    """
    with (
        eval_mode(training.model, training.device),
        explain_out_of_memory("a batch of validation", "lower `decode_batch_size`"),
    ):
        if training.share_validation:
            with distributed.sharing_work():
                found = metrics_and_samples(validate())
            metrics, samples = distributed.on_rank_zero(lambda: found)
        else:
            metrics, samples = distributed.on_rank_zero(lambda: metrics_and_samples(validate()))
    check_metric_name(training.config.metric, metrics)
    return metrics, samples


def check_metric(training: Training, validate: Validate, metrics: Collection[str]) -> None:
    """Raise InputError, before the first step, where validation does not give the metric that chooses."""
    if metrics:
        check_metric_name(training.config.metric, metrics)
    else:
        run_validation(training, validate)


def check_metric_name(name: str, metrics: Collection[str]) -> None:
    """Raise InputError for a metric that validation does not give."""
    if name not in metrics:
        raise InputError(f"`metric` must be one that validation gives ({', '.join(metrics)}), got {name!r}")


@contextmanager
def eval_mode(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Context of eval mode without gradients; restores the random number generators afterwards."""
    randoms = get_rng_state(device)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        set_rng_state(randoms, device)
        model.train()
