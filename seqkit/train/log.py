"""Log of a run: rows of log.jsonl, TensorBoard curves, and a line of progress on the terminal.

A training row is {"step", "epoch", "loss", "lr", "grad_norm", "tokens_per_second", "waiting", "seconds"}, means
over the steps since the last row; a validation row is {"step", "epoch", "validation": {metric: value}, "best",
"seconds"}. Tokens are the terms of the loss, whatever they are. `waiting` is the fraction of time in which no batch
was ready. `seconds` counts the whole run, earlier sessions included.
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
LINE_INTERVAL = 20.0  # seconds between progress lines where standard error is no terminal
TERMINAL_INTERVAL = 2.0  # on a terminal, where each line replaces the one before
SAMPLES, WIDTH = 2, 100  # sample outputs shown after a validation, and the most characters of each


class Log:
    """Writes the log of a run; without a folder (all processes but the first), nothing."""

    def __init__(self, folder: Path | None, *, length: int = 0, step: int = 0, total: int = 0) -> None:
        """length: bytes of log.jsonl to keep, those up to `step` of a resumed run; the rest is cut off. total: steps of
        the run."""
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
        self.first, self.total = step, total
        self.line_open = False  # on a terminal, a line that the next one replaces

    def length(self) -> int:
        """Bytes of log.jsonl so far, forced to the disk."""
        self.file.flush()
        if self.visible:
            os.fsync(self.file.fileno())
        return self.file.seek(0, os.SEEK_END) if self.visible else 0

    def is_line_due(self) -> bool:
        """Whether to show progress: after the first step, then every few seconds."""
        interval = TERMINAL_INTERVAL if sys.stderr.isatty() else LINE_INTERVAL
        return self.visible and time.monotonic() - self.shown > interval

    def train(self, rows: Sequence[tuple[float, ...]], progress: Progress, remaining: Callable[[float], float]) -> None:
        """Write one row for the steps in `rows` (loss, count, gradient norm, learning rate), and show progress.

        remaining: from seconds per step to the seconds that remain.
        """
        self.show_progress(rows, progress, remaining)
        now = time.monotonic()
        losses, counts, norms, rates = zip(*rows, strict=True)
        seconds = max(now - self.mark, 1e-9)
        self.write_row(
            {
                "step": progress.step,
                "epoch": progress.epoch,
                "loss": sum(losses) / sum(counts),
                "lr": rates[-1],
                "grad_norm": sum(norms) / len(norms),
                "tokens_per_second": sum(counts) / seconds,
                "waiting": self.waiting / seconds,
                "seconds": progress.seconds,
            }
        )
        self.mark, self.waiting = now, 0.0

    def show_progress(
        self, rows: Sequence[tuple[float, ...]], progress: Progress, remaining: Callable[[float], float]
    ) -> None:
        """Show means over the steps in `rows`, speed and remaining time."""
        now = time.monotonic()
        losses, counts, _, rates = zip(*rows, strict=True)
        seconds = max(now - self.mark, 1e-9)
        rest = remaining((now - self.started) / max(1, progress.step - self.first))
        self.show(
            f"{self._place(progress)}: loss {sum(losses) / sum(counts):.4f}, lr {rates[-1]:.3g}, "
            f"{len(rows) / seconds:.3g} steps/s, {sum(counts) / seconds:,.0f} tokens/s, "
            f"{self.waiting / seconds:.0%} waiting for data, {format_duration(rest)} left"
        )

    def validation(
        self, metrics: Mapping[str, float], progress: Progress, *, best: bool, samples: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Write and show one row of a validation. samples: pairs of what was given, or expected, and the output."""
        row = {"step": progress.step, "epoch": progress.epoch, "validation": dict(metrics), "best": best}
        self.write_row(row | ({"samples": samples[:SAMPLES]} if samples else {}) | {"seconds": progress.seconds})
        values = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        self.show(f"{self._place(progress)}: validation {values}{' (best)' if best else ''}", keep=True)
        for given, output in samples[:SAMPLES]:
            self.show(f"  given:  {one_line(given)}", keep=True)
            self.show(f"  output: {one_line(output)}", keep=True)

    def _place(self, progress: Progress) -> str:
        return f"step {progress.step:,}{f' of {self.total:,}' if self.total else ''}, epoch {progress.epoch}"

    def time_waiting(self, batches: Iterable[T]) -> Iterator[T]:
        """The same batches; the time until each is ready counts as waiting for data."""
        began = time.monotonic()
        for batch in batches:
            self.waiting += time.monotonic() - began
            yield batch
            began = time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Context whose time does not count as training in the rates."""
        began = time.monotonic()
        yield
        self.mark += time.monotonic() - began

    def write_row(self, values: Mapping[str, Any]) -> None:
        """Append one row, and its numbers to the TensorBoard curves."""
        self.file.write(json.dumps(values).encode() + b"\n")
        self.file.flush()
        if self.curves is not None:
            numbers = {f"train/{name}": value for name, value in values.items() if isinstance(value, float)}
            numbers |= {f"validation/{name}": value for name, value in values.get("validation", {}).items()}
            for name, value in numbers.items():
                self.curves.add_scalar(name, value, values["step"])

    def show(self, text: str, *, keep: bool = False) -> None:
        """Show `text`. On a terminal the next line replaces it unless `keep`; elsewhere most lines are left out."""
        if not self.visible:
            return
        if sys.stderr.isatty():
            print(f"\r{text}\x1b[K", end="\n" if keep else "", file=sys.stderr, flush=True)
            self.line_open = not keep
        elif keep or time.monotonic() - self.shown > LINE_INTERVAL:
            print(text, file=sys.stderr, flush=True)
        else:
            return
        self.shown = time.monotonic()

    def close(self) -> None:
        """End the line of progress and close all files; a full disk has been reported before."""
        if self.line_open:
            print(file=sys.stderr, flush=True)
        for part in (self.file, self.curves):
            if part is not None:
                with suppress(OSError):
                    part.close()


def format_duration(seconds: float) -> str:
    """Format as hours, minutes and seconds: 1:02:03, or 2:03."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def one_line(text: str) -> str:
    """A text as a terminal can show it: one short line without control characters."""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)
    return shown if len(shown) <= WIDTH else f"{shown[: WIDTH - 1]}…"
