"""Run folder: where a run lives, who may write there, and what is cleared away when a run starts."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from seqkit.described import described
from seqkit.errors import InputError
from seqkit.train import checkpoint, distributed
from seqkit.train.lock import forget_owner, lock

WRITTEN = ("config.yaml", "log.jsonl", "best", "last", "tensorboard", "evaluate")
"""what a run consists of"""
TEMPORARY = re.compile(r"\.(config\.yaml|log\.jsonl)\.\w{8}")  # as `seqkit.data.files.atomic_write` names them


@described
class RunFolder(NamedTuple):
    """Folder of a run, and how to begin there."""

    folder: Path
    resume: bool = False
    """continue from the checkpoint `last`; without one, start from the beginning"""
    assets: Callable[[Path], None] | None = None
    """writes into the folder of a checkpoint what loading needs besides the weights: vocabulary, input statistics"""
    write_config: Callable[[Path], None] | None = None
    """writes into the folder, once it is known to be free, what this run is to be"""
    next_command: str | None = None
    """what to do with the trained run; the last line that training prints"""


@contextmanager
def claim(folder: Path, *, resume: bool = False) -> Iterator[bool]:
    """Context in which this process, or this group of processes, alone writes to the folder of a run.

    Yields whether the run there has finished and lost its `last` since, so that it cannot go on. Temporary files of
    killed processes are removed. A process that has claimed the folder may claim it again. Raises InputError, and
    changes nothing, where another process has, and where the folder holds a run that is not to be resumed.
    """
    with ExitStack() as stack:
        yield distributed.on_rank_zero(lambda: _claim(folder, resume, stack))


def _claim(folder: Path, resume: bool, stack: ExitStack) -> bool:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: must be a folder, got a file: choose another place for the run")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    held = stack.enter_context(lock(folder))
    if held.again:
        return False
    stack.callback(_remove_empty, folder, made)
    last, best = folder / "last", folder / "best"
    saved = [path for path in (last, best) if checkpoint.find_checkpoint(path)]
    found = [path.name for path in saved] or [name for name in WRITTEN if (folder / name).exists()]
    if found and not resume:
        forget_owner(folder, held.before)
        raise InputError(
            f"{folder}: must be a new folder, got one that holds {found[0]}: "
            "resume the run that is there, or choose another folder"
        )
    if saved == [best] and not held.before:
        forget_owner(folder)
        return True
    checkpoint.recover(last)
    checkpoint.recover(best)
    for path in folder.iterdir():
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)
    return False


def _remove_empty(folder: Path, made: bool) -> None:
    """Leave no trace of a run that wrote nothing."""
    if not any((folder / name).exists() for name in WRITTEN):
        forget_owner(folder)
        if made:
            with suppress(OSError):
                folder.rmdir()
