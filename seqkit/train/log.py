"""What a run tells while it trains: rows of log.jsonl, TensorBoard curves, and one line of progress.

A row of training is {"step", "epoch", "loss", "lr", "grad_norm", "tokens_per_second", "waiting", "seconds"}, means
over the steps since the last row; a row of validation is {"step", "epoch", "validation": {metric: value}, "best",
"seconds"}. Tokens are whatever the loss counts. Waiting is the share of the time in which no batch was ready. Seconds
are those of the whole run, resumed ones included.
"""

import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from seqkit.train.state import Progress

T = TypeVar("T")
QUIET = 20.0  # seconds between lines of progress where no terminal can rewrite one


class Log:
    """Writes a run's log; in any process but the first, to nowhere."""

    def __init__(self, folder: Path | None, *, length: int = 0, step: int = 0) -> None:
        """length: bytes of log.jsonl to keep, those of a resumed run's `step` first steps; the rest is cut off."""
        self.file = (folder / "log.jsonl" if folder else Path(os.devnull)).open("ab")
        self.curves: Any = None
        if folder:
            self.file.truncate(min(length, self.file.tell()))
            if importlib.util.find_spec("tensorboard"):
                from torch.utils.tensorboard import SummaryWriter

                self.curves = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self.visible = folder is not None
        self.shown = -math.inf
        self.started = self.mark = time.monotonic()
        self.waiting = 0.0
        self.first = step

    def length(self) -> int:
        """The bytes of log.jsonl so far, forced to the disk."""
        self.file.flush()
        if self.visible:
            os.fsync(self.file.fileno())
        return self.file.seek(0, os.SEEK_END) if self.visible else 0

    def train(self, rows: Sequence[tuple[float, ...]], progress: Progress, left: Callable[[float], float]) -> None:
        """One row for the steps in `rows` (loss, count, gradient norm, learning rate), and the line of progress.

        left: from seconds a step to the seconds that remain.
        """
        now = time.monotonic()
        losses, counts, norms, rates = zip(*rows, strict=True)
        loss, seconds = sum(losses) / sum(counts), max(now - self.mark, 1e-9)
        self.row(
            {
                "step": progress.step,
                "epoch": progress.epoch,
                "loss": loss,
                "lr": rates[-1],
                "grad_norm": sum(norms) / len(norms),
                "tokens_per_second": sum(counts) / seconds,
                "waiting": self.waiting / seconds,
                "seconds": progress.seconds,
            }
        )
        rest = left((now - self.started) / max(1, progress.step - self.first))
        self.line(
            f"step {progress.step:,}, epoch {progress.epoch}: loss {loss:.4f}, lr {rates[-1]:.3g}, "
            f"{len(rows) / seconds:.3g} steps/s, {sum(counts) / seconds:,.0f} tokens/s, "
            f"{self.waiting / seconds:.0%} waiting for data, {duration(rest)} left"
        )
        self.mark, self.waiting = now, 0.0

    def validation(self, metrics: Mapping[str, float], progress: Progress, *, best: bool) -> None:
        """One row for a validation, and a line of its own."""
        self.row(
            {
                "step": progress.step,
                "epoch": progress.epoch,
                "validation": dict(metrics),
                "best": best,
                "seconds": progress.seconds,
            }
        )
        values = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        self.line(
            f"step {progress.step:,}, epoch {progress.epoch}: validation {values}{' (best)' if best else ''}", keep=True
        )

    def waited(self, batches: Iterable[T]) -> Iterator[T]:
        """The same; the time until each is there counts as waiting for data."""
        began = time.monotonic()
        for batch in batches:
            self.waiting += time.monotonic() - began
            yield batch
            began = time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent within does not count as training in the rates."""
        began = time.monotonic()
        yield
        self.mark += time.monotonic() - began

    def row(self, values: Mapping[str, Any]) -> None:
        """Append one row, and its numbers to the curves."""
        self.file.write(json.dumps(values).encode() + b"\n")
        self.file.flush()
        if self.curves is not None:
            numbers = {f"train/{name}": value for name, value in values.items() if isinstance(value, float)}
            numbers |= {f"validation/{name}": value for name, value in values.get("validation", {}).items()}
            for name, value in numbers.items():
                self.curves.add_scalar(name, value, values["step"])

    def line(self, text: str, *, keep: bool = False) -> None:
        """Show `text`. On a terminal the next line takes its place unless it is to `keep`; elsewhere most are left
        out.
        """
        if not self.visible:
            return
        if sys.stderr.isatty():
            print(f"\r{text}\x1b[K", end="\n" if keep else "", file=sys.stderr, flush=True)
        elif keep or time.monotonic() - self.shown > QUIET:
            print(text, file=sys.stderr, flush=True)
            self.shown = time.monotonic()

    def close(self) -> None:
        """Close all files; what a full disk refuses by now has been reported before."""
        for part in (self.file, self.curves):
            if part is not None:
                with suppress(OSError):
                    part.close()


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03, or 2:03."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
