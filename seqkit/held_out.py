"""Validation of a recipe: metrics of what it predicts, the loss of the held-out batches, and two samples."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr

import torch

from seqkit.data.batch import Data
from seqkit.data.manifest import Item
from seqkit.errors import InputError
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.metric import AS_IT_IS, TextOptions
from seqkit.share import shared
from seqkit.train.loop import Validate
from seqkit.train.step import Loss

Validated = tuple[dict[str, float], list[tuple[str, str]]]  # metrics, and pairs of a reference and an output


def validated(
    items: Sequence[Item], texts: Sequence[str], metrics: Sequence[str], options: TextOptions = AS_IT_IS
) -> Validated:
    """What a recipe's `validate` returns: corpus scores, and of two items a reference with the output."""
    scores = corpus_scores(statistics(metrics, [item.references for item in items], texts, options))
    return scores, [(item.references[0], text) for item, text in zip(items[:2], texts, strict=False)]


def silently(make: Callable[[], Data]) -> Data | None:
    """Held-out batches, without the messages of the training set's; None where no item can be learned from."""
    try:
        with redirect_stderr(io.StringIO()):
            return make()
    except InputError:
        return None


def with_loss(validate: Validate, loss: Loss, held_out: Data, device: torch.device) -> Validate:
    """The same validation with the mean `loss` of held-out batches beside its metrics."""

    def sums(batches: Sequence[Sequence[int]]) -> list[list[tuple[float, float]]]:
        found = (loss(batch.to(device), 0) for batch in held_out.load(batches, 0))
        return [[(float(loss_sum), float(terms))] for loss_sum, terms in found]

    def validate_with_loss() -> tuple[Mapping[str, float], Sequence[tuple[str, str]]]:
        found = validate()
        metrics, samples = found if isinstance(found, tuple) else (found, ())
        total, count = 0.0, 0.0
        for ((loss_sum, terms),) in shared(sums, held_out.epoch(0)):
            total, count = total + loss_sum, count + terms
        return {**metrics, "loss": total / max(1.0, count)}, samples

    return validate_with_loss
