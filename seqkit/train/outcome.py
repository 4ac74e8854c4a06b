"""Outcome of a training run, and the last lines that it prints."""

import signal
from typing import Literal, NamedTuple

from seqkit.described import described
from seqkit.train import checkpoint, distributed
from seqkit.train.run_folder import RunFolder
from seqkit.train.state import Progress


@described
class Outcome(NamedTuple):
    """How and where training ended."""

    ending: Literal["finished", "already finished", "interrupted"]
    progress: Progress
    signal: int = 0
    """number of the signal that interrupted it"""

    @property
    def exit_status(self) -> int:
        """Status for the shell: 0, after Ctrl-C 130, after SIGTERM 143."""
        return 128 + self.signal if self.signal else 0


def report_ending(outcome: Outcome, run: RunFolder) -> None:
    """Print how training ended, its best figures and their folder, and the next command."""
    step = f"step {outcome.progress.step:,}"
    if outcome.ending == "interrupted":
        name = signal.Signals(outcome.signal).name
        distributed.print0(f"{run.folder}: interrupted by {name} and saved at {step}; resume the run to go on")
        return
    best = run.folder / "best"
    if distributed.rank() == 0 and checkpoint.find_checkpoint(best):
        meta = checkpoint.read_meta(best)
        values = ", ".join(f"{name} {value:.4f}" for name, value in meta["metrics"].items())
        distributed.print0(
            f"{run.folder}: {outcome.ending} at {step}; best at step {meta['step']:,}: {values}, in {best}"
        )
    if run.next_command:
        distributed.print0(run.next_command)
