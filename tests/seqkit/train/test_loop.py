"""The train loop: exact gradients, validation, endings, log."""

import errno
import itertools
import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from seqkit.data.batch import Data
from seqkit.errors import InputError
from seqkit.train import checkpoint, loop, state
from seqkit.train.average import WeightAverage
from seqkit.train.log import Log, format_duration
from seqkit.train.loop import RunFolder, TrainingConfig, fit
from seqkit.train.optimizer import make_optimizer
from seqkit.train.schedule import Horizon
from seqkit.train.state import Progress
from seqkit.train.step import batches, measure_horizon
from tests.tiny_training import (
    ITEMS,
    Tiny,
    differences,
    make_data,
    make_loss,
    make_validate,
    order,
    rows_of,
    state_of,
    stop_at,
    train,
)

QUICK = {"learning_rate": 0.02, "log_every": 4}


@pytest.mark.parametrize("grad_accumulation", [2, 3])
def test_accumulating_k_batches_of_n_is_one_of_kn(tmp_path: Path, grad_accumulation: int) -> None:
    config = TrainingConfig(optimizer="sgd", learning_rate=0.5, steps=8, max_grad_norm=0.3)
    whole, _ = train(tmp_path / "one", config, dropout=0, rows=4 * grad_accumulation)
    parts, _ = train(
        tmp_path / "many", TrainingConfig(**(config.__dict__ | {"grad_accumulation": grad_accumulation})), dropout=0
    )
    for one, many in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, many, rtol=1e-5, atol=1e-6)
    for one, many in zip(rows_of(tmp_path / "one"), rows_of(tmp_path / "many"), strict=True):
        assert one.get("grad_norm", 0) == pytest.approx(many.get("grad_norm", 0), rel=1e-4)
        assert one.get("loss", 0) == pytest.approx(many.get("loss", 0), rel=1e-5)


@pytest.mark.parametrize("max_grad_norm", [0.05, 50.0, 0.0])
def test_one_step_is_the_mean_gradient_clipped(tmp_path: Path, max_grad_norm: float) -> None:
    model, twin, (batch,) = Tiny(0.0), Tiny(0.0), make_data().load(order(0)[:1], 0)
    total, count = make_loss(twin, noisy=False)(batch, 0)
    (total / count).backward()
    norm = nn.utils.clip_grad_norm_(twin.parameters(), max_grad_norm or math.inf)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter -= 0.5 * parameter.grad
    config = TrainingConfig(optimizer="sgd", learning_rate=0.5, steps=1, max_grad_norm=max_grad_norm, log_every=1)
    fit(model, make_loss(model, noisy=False), make_data(), make_validate(model), config, RunFolder(tmp_path))
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    row = rows_of(tmp_path)[0]
    assert row["loss"] == pytest.approx((total / count).item()) and row["grad_norm"] == pytest.approx(norm.item())


def test_it_learns(tmp_path: Path) -> None:
    _, outcome = train(tmp_path, TrainingConfig(epochs=40, learning_rate=0.02), dropout=0)
    losses = [row["loss"] for row in rows_of(tmp_path) if "loss" in row]
    assert losses[0] > 2.0 > 1.5 > losses[-1] and outcome.progress.epoch == 40


def test_every_epoch_is_fed_whole_and_resumed_by_slicing() -> None:
    data, config = Data(order, lambda batches, epoch: iter(batches)), TrainingConfig(grad_accumulation=2)  # type: ignore[arg-type]
    assert measure_horizon(data, TrainingConfig(grad_accumulation=2, epochs=2.5)) == Horizon(10, 4)
    stream = batches(data, config, Progress())
    steps = [next(stream) for _ in range(8)]
    assert [after for after, _ in steps[:5]] == [(0, 2), (0, 4), (0, 6), (1, 0), (1, 2)]
    assert [batch for _, batches in steps for batch in batches] == order(0) + order(1)
    assert sorted(item for batch in order(1) for item in batch) == list(range(ITEMS))
    for number, ((epoch, first), _) in enumerate(steps[:-1]):
        assert next(batches(data, config, Progress(epoch=epoch, batch=first))) == steps[number + 1]


def test_no_data_is_an_error(tmp_path: Path) -> None:
    ones = torch.ones(1, 2, dtype=torch.int64)
    empty = Data(lambda epoch: [] if epoch else [[0]], lambda batches, epoch: [ones for _ in batches])
    model = Tiny()
    with pytest.raises(InputError, match="`data` must hold at least one batch, got none in epoch 1"):
        fit(model, make_loss(model), empty, make_validate(model), TrainingConfig(steps=3), RunFolder(tmp_path))


def test_how_often_it_validates_changes_nothing_in_training(tmp_path: Path) -> None:
    often, _ = train(tmp_path / "often", TrainingConfig(steps=9, validate_every=1, **QUICK))
    seldom, _ = train(tmp_path / "seldom", TrainingConfig(steps=9, validate_every=9, **QUICK))
    assert differences(often.state_dict(), seldom.state_dict()) == []


@pytest.mark.parametrize("average", [{}, {"ema_decay": 0.9}, {"average_last": 2}])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_best_holds_the_very_weights_that_were_validated(tmp_path: Path, average: dict[str, Any], mode: Any) -> None:
    train(tmp_path, TrainingConfig(steps=20, validate_every=2, mode=mode, **average, **QUICK))
    scores = [row["validation"]["loss"] for row in rows_of(tmp_path) if "validation" in row]
    wanted = min(scores) if mode == "min" else max(scores)
    meta = checkpoint.read_meta(tmp_path / "best")
    assert meta["metrics"]["loss"] == wanted and meta["step"] == 2 * (scores.index(wanted) + 1)
    assert [row["best"] for row in rows_of(tmp_path) if "best" in row].count(True) >= 1
    model = Tiny(seed=9)
    checkpoint.load_weights(model, tmp_path / "best")
    with torch.no_grad():
        assert make_validate(model.eval())()["loss"] == wanted
    assert (tmp_path / "best" / "vocab.txt").read_text() == (tmp_path / "last" / "vocab.txt").read_text() == "a b c"


def test_best_holds_the_average_and_last_the_weights(tmp_path: Path) -> None:
    model, _ = train(tmp_path, TrainingConfig(steps=1, ema_decay=0.9, **QUICK))
    decay = 2 / 11  # of the first step
    want = decay * Tiny().embed.weight + (1 - decay) * model.embed.weight
    torch.testing.assert_close(checkpoint.read_weights(tmp_path / "best")["embed.weight"], want.detach())
    assert torch.equal(checkpoint.read_weights(tmp_path / "last")["embed.weight"], model.embed.weight)


def test_frozen_weights_are_not_averaged() -> None:
    model = torch.nn.ModuleList([torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)])
    model[0].requires_grad_(False)
    average = WeightAverage(model, ema_decay=0.9)
    assert [weight.data_ptr() for weight in average.weights] == [weight.data_ptr() for weight in model[1].parameters()]


def test_last_holds_the_raw_weights(tmp_path: Path) -> None:
    model, _ = train(tmp_path, TrainingConfig(steps=5, ema_decay=0.9, **QUICK))
    assert differences(dict(model.state_dict()), checkpoint.read_weights(tmp_path / "last")) == []


def test_a_run_is_not_overwritten_and_a_finished_one_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = TrainingConfig(steps=3, **QUICK)
    assert train(tmp_path, config, resume=True)[1].ending == "finished"
    assert "no checkpoint yet, so training starts afresh" in capsys.readouterr().err
    before = state_of(tmp_path)
    with pytest.raises(
        InputError, match="must be a new folder, got one that holds last: resume the run that is there, or choose"
    ):
        train(tmp_path, config)
    model, outcome = train(tmp_path, config, resume=True)
    assert outcome.ending == "already finished" and outcome.progress.step == 3
    assert "already finished at step 3" in capsys.readouterr().err
    assert differences(before, state_of(tmp_path)) == []
    assert differences(dict(model.state_dict()), checkpoint.read_weights(tmp_path / "last")) == []


def test_last_without_its_training_state_cannot_be_resumed(tmp_path: Path) -> None:
    train(tmp_path, TrainingConfig(steps=3, **QUICK))
    (tmp_path / "last" / "training.pt").unlink()
    with pytest.raises(InputError, match="last: must hold training.pt to be resumed: initialize another run"):
        train(tmp_path, TrainingConfig(steps=3, **QUICK), resume=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_end(tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals) -> None:
    before = signal.getsignal(number)
    hook = {4: lambda: signal.raise_signal(number)}
    _, outcome = train(tmp_path, TrainingConfig(steps=9, **QUICK), hook=lambda step: hook.get(step, lambda: None)())
    assert outcome.exit_status == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert outcome.ending == "interrupted" and checkpoint.read_meta(tmp_path / "last")["step"] == 5
    assert f"interrupted by {number.name} and saved at step 5; resume the run to go on" in capsys.readouterr().err
    assert signal.getsignal(number) is before


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGINT as a process in the foreground has it; started in the background of a script, it would be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_interrupt_ends_at_once(tmp_path: Path, interrupts: None) -> None:
    def hook(step: int) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, TrainingConfig(steps=9, **QUICK), hook=hook)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_runs_outside_the_main_thread(tmp_path: Path) -> None:
    outcomes: list[Any] = []
    thread = threading.Thread(
        target=lambda: outcomes.append(train(tmp_path, TrainingConfig(steps=2, **QUICK))[1].ending)
    )
    thread.start()
    thread.join()
    assert outcomes == ["finished"]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_before_it_reaches_a_checkpoint(tmp_path: Path, bad: float) -> None:
    model = Tiny()
    plain = make_loss(model)

    def loss(batch: torch.Tensor, step: int) -> tuple[torch.Tensor, int]:
        total, count = plain(batch, step)
        return total * (bad if step == 5 else 1), count

    with pytest.raises(InputError, match=r"step 6: loss must be finite, got .* at learning rate 0.02: lower `learning"):
        fit(
            model,
            loss,
            make_data(),
            make_validate(model),
            TrainingConfig(steps=50, checkpoint_every=4, **QUICK),
            RunFolder(tmp_path),
        )
    assert checkpoint.read_meta(tmp_path / "last")["step"] == 4
    assert all(torch.isfinite(weight).all() for weight in checkpoint.read_weights(tmp_path / "last").values())


def test_a_gradient_or_weight_that_is_not_finite_is_found_too(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    data = Data(lambda epoch: [[0]], lambda batches, epoch: [torch.ones(1, 1) for _ in batches])
    config = TrainingConfig(optimizer="sgd", steps=2, log_every=9, checkpoint_every=1)
    with pytest.raises(InputError, match="step 1: loss must be finite, got 0 over 1 terms, gradient norm nan"):
        fit(
            model,
            lambda b, s: ((0 * model(b)).sqrt().sum(), 1),
            data,
            lambda: {"loss": 0.0},
            config,
            RunFolder(tmp_path / "gradient"),
        )
    model, steep = nn.Linear(1, 1), TrainingConfig(optimizer="sgd", steps=2, learning_rate=1e39, checkpoint_every=1)
    with pytest.raises(InputError, match="step 1: weights must be finite, got a norm of "):
        fit(model, lambda b, s: (model(b).sum(), 1), data, lambda: {"loss": 0.0}, steep, RunFolder(tmp_path / "weight"))
    assert not list(tmp_path.glob("*/last"))


def test_a_batch_without_tokens_says_so(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    data = Data(lambda epoch: [[0]], lambda batches, epoch: [torch.ones(1, 1) for _ in batches])
    with pytest.raises(InputError, match="got 0 over 0 terms"):
        fit(
            model,
            lambda b, s: (0 * model(b).sum(), 0),
            data,
            lambda: {"loss": 0.0},
            TrainingConfig(steps=2),
            RunFolder(tmp_path),
        )


def test_a_full_disk_ends_cleanly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainingConfig(steps=9, checkpoint_every=3, validate_every=4, **QUICK)
    train(tmp_path / "whole", config)
    write, calls = state.write_training_state, []

    def full(part: Path, *args: Any) -> None:
        calls.append(part)
        if len(calls) == 2:
            (part / "training.pt").write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(part, *args)

    monkeypatch.setattr(state, "write_training_state", full)
    with pytest.raises(InputError, match=r"disk must have room for checkpoints and log, got 'No space left on device'"):
        train(tmp_path / "full", config)
    assert checkpoint.read_meta(tmp_path / "full" / "last")["step"] == 3
    assert not list((tmp_path / "full").glob("*.part"))
    train(tmp_path / "full", config, resume=True)
    assert differences(state_of(tmp_path / "whole"), state_of(tmp_path / "full")) == []


def test_patience_and_minutes_end_a_run(tmp_path: Path) -> None:
    model = Tiny()
    scores = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    config = TrainingConfig(steps=50, validate_every=2, patience=2, **QUICK)
    run = RunFolder(tmp_path / "patience")
    outcome = fit(model, make_loss(model), make_data(), lambda: {"loss": next(scores)}, config, run, metrics=["loss"])
    assert outcome.ending == "finished" and outcome.progress.scores == (3.0, 2.0, 2.5, 2.0)
    assert checkpoint.read_meta(tmp_path / "patience" / "best")["step"] == 4
    assert train(tmp_path / "patience", config, resume=True)[1].ending == "already finished"
    short = TrainingConfig(steps=10**6, max_minutes=0.2 / 60, **QUICK)
    outcome = train(tmp_path / "minutes", short)[1]
    assert outcome.ending == "finished" and 0 < outcome.progress.step < 10**6 and len(outcome.progress.scores) >= 1
    assert train(tmp_path / "minutes", short, resume=True)[1].ending == "already finished"


def test_checkpoints_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(1000.0, 25.0)  # seconds, once at the start and then once a step
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    found = []

    def hook(step: int) -> None:
        last = checkpoint.find_checkpoint(tmp_path / "last")
        found.append(checkpoint.read_meta(last)["step"] if last else 0)

    config = TrainingConfig(steps=7, validate_every=100, checkpoint_minutes=1, **QUICK)
    train(tmp_path, config, hook=hook)
    assert found == [0, 0, 0, 3, 3, 3, 6]
    train(tmp_path, TrainingConfig(**(config.__dict__ | {"steps": 9})), resume=True)
    assert checkpoint.read_meta(tmp_path / "last")["seconds"] == 9 * 25


def test_an_optimizer_of_ones_own(tmp_path: Path) -> None:
    model = Tiny(0.0)
    before = model.embed.weight.detach().clone()
    config = TrainingConfig(steps=3, **QUICK)
    fit(
        model,
        make_loss(model),
        make_data(),
        make_validate(model),
        config,
        RunFolder(tmp_path),
        make_optimizer(model.rnn.parameters(), config),
    )
    assert torch.equal(model.embed.weight, before)


def test_rows_of_the_log(tmp_path: Path) -> None:
    train(tmp_path, TrainingConfig(steps=9, validate_every=5, warmup=10, **QUICK), dropout=0)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    training = [row for row in rows if "loss" in row]
    names = ["step", "epoch", "loss", "lr", "grad_norm", "tokens_per_second", "waiting", "seconds"]
    assert all(list(row) == names for row in training)
    assert [(row["step"], row["epoch"]) for row in training] == [(4, 0), (8, 1), (9, 1)]
    assert [row["lr"] for row in training] == [pytest.approx(0.02 * share) for share in (0.4, 0.8, 0.9)]
    assert [row["step"] for row in rows if "validation" in row] == [5, 9]
    assert all(row["tokens_per_second"] > 0 and 0 < row["waiting"] < 1 for row in training)
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("slow, low, high", [("data", 0.6, 1.0), ("step", 0.0, 0.4)])
def test_the_log_says_what_share_of_the_time_no_batch_was_ready(
    slow: str, low: float, high: float, tmp_path: Path
) -> None:
    def load(batches: Sequence[Sequence[int]], epoch: int) -> Iterator[Any]:
        for batch in data.load(batches, epoch):
            time.sleep(0.2 * (slow == "data"))
            yield batch

    model, data = Tiny(0.0), make_data()
    loss = make_loss(model, hook=lambda step: time.sleep(0.2 * (slow == "step")))
    fit(
        model, loss, Data(data.epoch, load), make_validate(model), TrainingConfig(steps=4, **QUICK), RunFolder(tmp_path)
    )
    assert low < json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])["waiting"] < high


def test_curves_hold_what_the_log_holds(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = TrainingConfig(steps=12, validate_every=3, checkpoint_every=6, **(QUICK | {"log_every": 2}))

    def crash(step: int) -> None:
        if step == 11:
            raise ZeroDivisionError  # after rows that will be logged once more

    with pytest.raises(ZeroDivisionError):
        train(tmp_path, config, hook=crash)
    train(tmp_path, config, resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name, kind in (("train/loss", "loss"), ("validation/accuracy", "validation")):
        rows = [row for row in rows_of(tmp_path) if kind in row]
        values = [row["loss"] if kind == "loss" else row["validation"]["accuracy"] for row in rows]
        assert [event.step for event in events.Scalars(name)] == [row["step"] for row in rows]
        assert [event.value for event in events.Scalars(name)] == pytest.approx(values)


def test_a_log_that_is_shorter_than_its_checkpoint_says_is_not_padded(tmp_path: Path) -> None:
    log = Log(tmp_path, length=100)
    log.write_row({"step": 1})
    assert log.length() == len((tmp_path / "log.jsonl").read_bytes()) == len('{"step": 1}\n')
    log.close()


def test_progress_on_a_terminal_and_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(tmp_path)
    for text in ("one", "two"):
        log.show(text)
    log.show("three", keep=True)
    assert capsys.readouterr().err == "one\nthree\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for text in ("one", "two"):
        log.show(text)
    assert capsys.readouterr().err == "\rone\x1b[K\rtwo\x1b[K"
    log.train([(6.0, 3, 1.0, 0.1), (2.0, 1, 3.0, 0.2)], Progress(2, 0, 2, 5.0), lambda seconds: 3723.0)
    line = capsys.readouterr().err
    assert "step 2, epoch 0: loss 2.0000, lr 0.2, " in line and "tokens/s, 0% waiting for data, 1:02:03 left" in line
    log.close()
    assert format_duration(59.9) == "0:59" and format_duration(3600) == "1:00:00"


def test_bf16_and_float32_learn_alike(tmp_path: Path) -> None:
    low, high = (TrainingConfig(steps=30, learning_rate=0.02, precision=p) for p in ("bf16", "float32"))  # type: ignore[arg-type]
    weights = [train(tmp_path / config.precision, config, dropout=0)[0].embed.weight for config in (low, high)]
    assert weights[0].dtype == torch.float32 and not torch.equal(*weights)
    torch.testing.assert_close(*weights, atol=0.05, rtol=0.05)


@pytest.mark.gpu
def test_resume_on_a_gpu(tmp_path: Path) -> None:
    def run(folder: Path, **others: Any) -> nn.Module:
        model = Tiny().to("cuda")
        fit(
            model,
            make_loss(model, **others),
            make_data(),
            lambda: {"loss": 0.0},
            config,
            RunFolder(folder, resume=True),
        )
        return model

    config = TrainingConfig(steps=13, ema_decay=0.9, precision="bf16", **QUICK)
    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", hook=stop_at(5))
    assert differences(whole.state_dict(), run(tmp_path / "cut").state_dict()) == []
    assert differences(state_of(tmp_path / "whole"), state_of(tmp_path / "cut")) == []
