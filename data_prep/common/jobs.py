"""Jobs in several processes, of which none that ends its process, or never ends, stops the others."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from tqdm import tqdm

from seqkit.data.decoder_process import DecoderEnded, borrowed, end_all
from seqkit.share import shared_jobs

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
    size: Callable[[J], int] = lambda job: 0,
) -> Iterator[tuple[int, R]]:
    """(number, result) of every job as it is done, each in one of `workers` processes.

    `crash` gives the result of one that ends its process, or takes more than a file of `size` bytes may.
    """

    def done_apart(job: J) -> R:
        try:
            with borrowed() as process:
                return process.call(partial(function, job), size(job))
        except DecoderEnded:
            return crash(job)

    def run(numbers: list[int]) -> Iterator[tuple[int, R]]:
        return _run(lambda number: done_apart(jobs[number]), numbers, workers, title, unit)

    yield from shared_jobs(run, len(jobs))


def _run(
    work: Callable[[int], R], numbers: Sequence[int], workers: int, title: str, unit: str
) -> Iterator[tuple[int, R]]:
    waiting, running = iter(numbers), dict[Future[R], int]()
    with (
        tqdm(total=len(numbers), desc=title, unit=f" {unit}", disable=None) as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        try:
            while True:
                for number in waiting:
                    running[pool.submit(work, number)] = number
                    if len(running) >= 2 * workers:
                        break
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    bar.update()
                    yield running.pop(done), done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise
