"""`fit` with other people's data, losses and validation; what does not fit is refused in our words."""

import inspect
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from seqkit import train as library
from seqkit.errors import InputError
from seqkit.train import checkpoint
from seqkit.train.adapters import as_data, metrics_and_samples, sum_and_count, to_device
from seqkit.train.loop import Outcome, RunFolder, TrainingConfig, fit
from tests.tiny_training import differences, rows_of, stop_at

CONFIG = TrainingConfig(optimizer="sgd", epochs=3, learning_rate=0.05, log_every=2, max_grad_norm=0.0)
CPU = torch.device("cpu")


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


def line(count: int = 10) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = [torch.randn(4, 3, generator=generator) for _ in range(count)]
    return [(rows, rows.sum(1, keepdim=True)) for rows in x]


def train(
    folder: Any,
    data: Any,
    take: Callable[[Any], tuple[Tensor, Tensor]] = lambda b: (b[0], b[1]),
    *,
    mean: bool = True,
    noisy: bool = False,
    stop: int = -1,
    config: TrainingConfig = CONFIG,
) -> tuple[nn.Module, Outcome]:
    torch.manual_seed(0)
    model, hook = nn.Linear(3, 1), stop_at(stop)

    def loss(batch: Any, step: int) -> Any:
        hook(step)
        x, y = take(batch)
        errors = (model(nn.functional.dropout(x, 0.2 * noisy)) - y) ** 2
        return errors.mean() if mean else (errors.sum(), len(errors))

    return model, fit(model, loss, data, lambda: {"loss": 1.0}, config, folder, metrics=["loss"])


@pytest.mark.parametrize(
    ("make", "take"),
    [
        (lambda rows: rows, lambda b: b),
        (lambda rows: [list(row) for row in rows], lambda b: b),
        (lambda rows: [Pair(*row) for row in rows], lambda b: (b.x, b.y)),
        (lambda rows: [{"x": x, "more": (y, "text", 3)} for x, y in rows], lambda b: (b["x"], b["more"][0])),
        (lambda rows: [torch.cat(row, 1) for row in rows], lambda b: (b[:, :3], b[:, 3:])),
    ],
    ids=["tuples", "lists", "named", "dicts", "tensors"],
)
def test_batches_of_any_form_learn_the_same(tmp_path: Path, make: Any, take: Any) -> None:
    model, outcome = train(str(tmp_path / "run"), make(line()), take)
    assert outcome.ending == "finished" and outcome.progress.step == 30
    plain, _ = train(tmp_path / "plain", line())
    assert torch.equal(model.weight, plain.weight)
    assert checkpoint.read_meta(tmp_path / "run" / "last")["epoch"] == 3


def test_a_mean_and_a_sum_are_the_same_for_batches_of_one_size(tmp_path: Path) -> None:
    means, _ = train(tmp_path / "mean", line())
    sums, _ = train(tmp_path / "sum", line(), mean=False)
    torch.testing.assert_close(means.weight, sums.weight)
    losses = [[row["loss"] for row in rows_of(tmp_path / name) if "loss" in row] for name in ("mean", "sum")]
    assert losses[0] == pytest.approx(losses[1])


class Noise(IterableDataset[Tensor]):
    """Draws with all three generators, and has no length."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(7):
            x = torch.randn(4, 3) + random.random() + float(np.random.rand())
            yield x, x.sum(1, keepdim=True)


def loader(dataset: Any, workers: int = 0, **options: Any) -> Any:
    return DataLoader(dataset, num_workers=workers, **options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: loader(TensorDataset(*map(torch.cat, zip(*line(), strict=True))), batch_size=6, shuffle=True),
        lambda: loader(Noise(), batch_size=None),
        lambda: loader(Noise(), batch_size=None, workers=1),
        Noise,
    ],
    ids=["shuffled", "stream", "worker", "no loader"],
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_run_is_repeated_and_resumed_within_an_epoch_whatever_its_data_draw(tmp_path: Path, make: Any) -> None:
    whole, _ = train(tmp_path / "whole", make(), noisy=True)
    again, _ = train(tmp_path / "again", make(), noisy=True)
    for stop in (9, 11):
        assert train(RunFolder(tmp_path / "cut", resume=True), make(), noisy=True, stop=stop)[1].ending == "interrupted"
    cut, _ = train(RunFolder(tmp_path / "cut", resume=True), make(), noisy=True)
    for other in (again, cut):
        assert differences(whole.state_dict(), other.state_dict()) == []
    other_seed = TrainingConfig(**{**CONFIG.__dict__, "seed": 2})
    assert not torch.equal(train(tmp_path / "seed", make(), config=other_seed)[0].weight, whole.weight)


def test_what_data_draw_changes_nothing_that_training_draws() -> None:
    torch.manual_seed(5)
    for _ in as_data(Noise(), 1).load([[0], [2]], 0):
        random.random(), np.random.rand(), torch.rand(1)
    drawn = random.random(), np.random.rand(), torch.rand(1)
    random.seed(3), np.random.seed(3), torch.manual_seed(5)
    for _ in range(2):
        torch.rand(1)
    assert torch.equal(drawn[2], torch.rand(1))


def test_what_training_draws_changes_nothing_in_the_data() -> None:
    quiet = [x for x, _ in as_data(Noise(), 1).load([[0], [2], [3]], 0)]
    for number, (x, _) in enumerate(as_data(Noise(), 1).load([[0], [2], [3]], 0)):
        random.random(), np.random.rand(), torch.rand(1)
        assert torch.equal(x, quiet[number])


def test_epochs_differ_and_set_epoch_is_called() -> None:
    class Epochs(list[int]):
        seen: list[int] = []

        def set_epoch(self, epoch: int) -> None:
            self.seen.append(epoch)

    numbers = Epochs([5, 6, 7])
    data = as_data(numbers, 1)
    assert data.epoch(0) == [[0], [1], [2]] and numbers.seen == []
    assert list(data.load([[1], [2]], 4)) == [6, 7] and numbers.seen == [4]
    noise = as_data(Noise(), 1)
    first, second = (next(iter(noise.load([[0]], epoch)))[0] for epoch in (0, 1))
    assert not torch.equal(first, second)


class Uneven:
    """Fewer batches in every epoch."""

    left = 3

    def __iter__(self) -> Iterator[int]:
        self.left -= 1
        return iter(range(self.left))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((row for row in line()), "`data` must be iterable once an epoch, got a generator, which ends after one: put"),
        (iter(line()), "`data` must be iterable once an epoch, got a list_iterator, which ends after one"),
        (5, "`data` must be a Data or an iterable of batches, got a int, 5"),
        ("corpus", "`data` must be a Data or an iterable of batches, got a str, 'corpus'"),
        (torch.ones(3, 2), r"`data` must be a Data or an iterable of batches, got a tensor of shape \(3, 2\)"),
        ([], "`data` must hold at least one batch, got none in epoch 0"),
        (Uneven(), "`data` must yield 2 batches in every epoch, got fewer in epoch 0"),
    ],
)
def test_data_that_cannot_be_used_are_refused(tmp_path: Path, data: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        train(tmp_path, data, lambda batch: (torch.ones(1, 3), torch.ones(1, 1)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "got a float, 3.0"),
        (torch.ones(2, requires_grad=True), r"got a tensor of shape \(2,\)"),
        ((torch.ones(()), 1, 2), "got a tuple, "),
        ((torch.ones(()), "4"), "got a tuple, "),
        (None, "got a NoneType, None"),
    ],
)
def test_a_loss_that_cannot_be_used_is_refused(value: Any, text: str) -> None:
    with pytest.raises(InputError, match="`loss` must return one number as a tensor, the mean .* or a pair .*" + text):
        sum_and_count(value)


def test_a_loss_without_a_gradient_is_refused() -> None:
    with pytest.raises(InputError, match="`loss` must depend on weights that are trained, got a tensor without a grad"):
        sum_and_count(torch.ones(()))


def test_losses_and_counts_of_all_kinds_of_numbers() -> None:
    total = torch.ones(1, requires_grad=True)
    for count in (3, 3.0, np.int64(3), np.float32(3), torch.tensor(3)):
        got = sum_and_count((total, count))
        assert got[0].shape == () and got[1] == 3
    assert sum_and_count(total)[1] == 1


@pytest.mark.parametrize("value", [0.5, {"loss": "low"}, [("loss", 1.0)], ({"loss": None}, [])])
def test_validation_that_cannot_be_used_is_refused(value: Any) -> None:
    with pytest.raises(
        InputError, match="`validate` must return numbers by name, or a pair of those and of sam.*, got"
    ):
        metrics_and_samples(value)


def test_validation_with_and_without_samples() -> None:
    assert metrics_and_samples({"loss": torch.tensor(1.0), "bleu": np.float32(2)}) == ({"loss": 1.0, "bleu": 2.0}, [])
    assert metrics_and_samples(({"loss": 1}, [("a", "b")])) == ({"loss": 1.0}, [("a", "b")])


def test_what_has_no_tensors_is_left_as_it_is() -> None:
    batch = {"ids": ["a", "b"], "none": None, "mask": torch.ones(2)}
    moved = to_device(batch, torch.device("meta"))
    assert moved["mask"].device.type == "meta" and (moved["ids"], moved["none"]) == (["a", "b"], None)


def test_an_unknown_metric_is_refused_before_the_first_step(tmp_path: Path) -> None:
    def never(batch: Any, step: int) -> Tensor:
        raise AssertionError("a step was made")

    config, model, calls = TrainingConfig(metric="bleu"), nn.Linear(3, 1), []
    text = re.escape("`metric` must be one that validation gives (loss, wer), got 'bleu'")

    def validate() -> dict[str, float]:
        calls.append(1)
        return {"loss": 1.0, "wer": 2.0}

    for names in (["loss", "wer"], ()):
        with pytest.raises(InputError, match=text):
            fit(model, never, line(), validate, config, tmp_path, metrics=names)
        assert len(calls) == (not names)  # names that are declared cost no validation


def test_the_example_in_the_documentation_of_fit_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    doc = inspect.getdoc(fit) or ""  # Python 3.13 strips the indentation by itself
    example = "\n".join(text.removeprefix(" " * 4) for text in doc.splitlines() if text.startswith(" " * 4))
    assert "fit(model" in example
    exec(example, {"torch": torch, "fit": library.fit, "TrainingConfig": library.TrainingConfig})
    assert checkpoint.read_meta(Path("runs/line/last"))["step"] == 18
