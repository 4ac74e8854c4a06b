"""Many videos to mouth clips: in several processes, going on where an earlier run was ended, none stopping the others.

A clip that is there is kept if its note tells of the same source (bytes and time of change) and the same settings.
"""

import os
import signal
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tqdm import tqdm

from seqkit.cli import Parser
from seqkit.errors import InputError

FEW = 8  # clips that one process makes before another would have started
LAYOUT = 1  # of crops and notes; clips of another are made anew
J = TypeVar("J")
R = TypeVar("R")


class Job(NamedTuple):
    """A video and where its clip goes."""

    source: Path
    video: Path
    audio: Path
    detector: str = "cascade"


class Made(NamedTuple):
    """What became of a job."""

    note: dict[str, Any]  # the clip's; empty of a video that is of no use
    reason: str = ""  # why it is not
    text: str = ""
    kept: bool = False  # from an earlier run


def make(job: Job) -> Made:
    """The clip of a job, made or kept."""
    from seqkit.data_prep.lipreading.mouths import Unusable, crop

    try:
        key = {**key_of(job.source), "detector": job.detector}
        note = known(job, key)
        if note:
            return Made(note, kept=True)
        return Made(crop(job.source, job.video, job.audio, detector=job.detector, note={"made_from": key}))
    except Unusable as error:
        return Made({}, error.reason, str(error))
    except InputError as error:
        return Made({}, "unreadable", str(error))


def key_of(source: Path) -> dict[str, Any]:
    """What tells a source and the way it is treated from another."""
    from seqkit.data_prep.lipreading import mouths

    try:
        state = source.stat()
    except OSError as error:
        raise mouths.Unusable("missing", f"{source}: cannot be opened ({error.strerror})") from None
    return {
        "bytes": state.st_size,
        "changed": state.st_mtime_ns,
        "layout": LAYOUT,
        "side": mouths.SIDE,
        "span": mouths.SPAN,
        "below": mouths.BELOW,
        "still": mouths.STILL,
    }


def known(job: Job, key: dict[str, Any]) -> dict[str, Any]:
    """The note of a clip that an earlier run made of the same; empty where there is none."""
    from seqkit.data.video_file import read_note

    try:
        note = read_note(job.video)
    except InputError:
        return {}
    whole = note.get("made_from") == key and (job.audio.is_file() or not note.get("sound"))
    return note if whole else {}


def crashed(job: Job) -> Made:
    return Made({}, "crashed", f"{job.source}: must be a whole video, got one that ends the process that decodes it")


def each(
    work: Callable[[J], R], jobs: Sequence[J], *, workers: int, title: str, crash: Callable[[J], R]
) -> Iterator[tuple[int, R]]:
    """(number, result) of every job as it is done, with progress; `crash` is the result of one that kills a process."""
    with tqdm(total=len(jobs), desc=title, unit=" clips", disable=None) as bar:
        here = ((number, work(job)) for number, job in enumerate(jobs))
        for result in here if workers == 1 and len(jobs) <= FEW else _spread(work, jobs, workers, crash):
            bar.update()
            yield result


def _spread(
    work: Callable[[J], R], jobs: Sequence[J], workers: int, crash: Callable[[J], R]
) -> Iterator[tuple[int, R]]:
    waiting = iter(range(len(jobs)))
    doubtful: list[int] = []
    while True:
        running: dict[Future[R], int] = {}
        with _pool(workers) as pool:
            try:
                while not doubtful:
                    for number in waiting:
                        running[pool.submit(work, jobs[number])] = number
                        if len(running) >= 2 * workers:
                            break
                    if not running:
                        return
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        result = done.result()
                        yield running.pop(done), result
            except BrokenProcessPool:
                doubtful = list(running.values())
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        for number in doubtful:  # one of them did it: each by itself
            with _pool(1) as pool:
                try:
                    yield number, pool.submit(work, jobs[number]).result()
                except BrokenProcessPool:
                    yield number, crash(jobs[number])
        doubtful = []


def _pool(workers: int) -> ProcessPoolExecutor:
    # Started afresh, not forked: a fork would copy locks that threads of this process hold.
    quiet = (signal.SIGINT, signal.SIG_IGN)  # an interrupt is this process's to tell
    return ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, quiet)


def add_arguments(parser: Parser) -> None:
    """The flags of every script that cuts clips; `options` reads them."""
    from seqkit.data_prep.lipreading.mouths import DETECTORS

    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument(
        "--detector",
        choices=DETECTORS,
        default="cascade",
        help="cascade: OpenCV's; mediapipe: landmarks, where installed (default: cascade)",
    )


def options(given: Namespace) -> dict[str, Any]:
    """`workers` and `detector` as given. Raises InputError for fewer than one process."""
    if given.workers < 1:
        raise InputError(f"--workers must be at least 1, got {given.workers}")
    return {"workers": given.workers, "detector": given.detector}
