"""Jobs in several processes, of which none that crashes its process stops the others."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from tqdm import tqdm

MIN_PARALLEL = 8  # jobs; fewer are done by this process before another would have started, where it is the only worker
J = TypeVar("J")
R = TypeVar("R")


def map_jobs(
    function: Callable[[J], R],
    jobs: Sequence[J],
    *,
    workers: int,
    title: str,
    unit: str,
    crash: Callable[[J], R],
    isolate: bool = False,
) -> Iterator[tuple[int, R]]:
    """(number, result) of every job as it is done; `crash` gives the result of one that kills its process.

    With `isolate` this process does none itself, however few there are.
    """
    with tqdm(total=len(jobs), desc=title, unit=f" {unit}", disable=None) as bar:
        local = ((number, function(job)) for number, job in enumerate(jobs))
        few = workers == 1 and len(jobs) <= MIN_PARALLEL and not isolate
        for result in local if few else _map_parallel(function, jobs, workers, crash):
            bar.update()
            yield result


def _map_parallel(
    function: Callable[[J], R], jobs: Sequence[J], workers: int, crash: Callable[[J], R]
) -> Iterator[tuple[int, R]]:
    waiting = iter(range(len(jobs)))
    suspects: list[int] = []
    while True:
        running: dict[Future[R], int] = {}
        with _pool(workers) as pool:
            try:
                while not suspects:
                    for number in waiting:
                        running[pool.submit(function, jobs[number])] = number
                        if len(running) >= 2 * workers:
                            break
                    if not running:
                        return
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        result = done.result()
                        yield running.pop(done), result
            except BrokenProcessPool:
                suspects = list(running.values())
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        for number in suspects:  # one of them did it: each by itself
            with _pool(1) as pool:
                try:
                    yield number, pool.submit(function, jobs[number]).result()
                except BrokenProcessPool:
                    yield number, crash(jobs[number])
        suspects = []


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork would copy locks that threads of this process hold.
    quiet = (signal.SIGINT, signal.SIG_IGN)  # an interrupt is this process's to report
    return ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, quiet)
