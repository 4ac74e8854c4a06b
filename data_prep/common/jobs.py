"""Jobs in several processes, of which none that ends its process, or never ends, stops the others."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from tqdm import tqdm

from seqkit.data.decoder_process import DecoderEnded, borrowed, end_all

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

    waiting, running = iter(range(len(jobs))), dict[Future[R], int]()
    with tqdm(total=len(jobs), desc=title, unit=f" {unit}", disable=None) as bar, ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                for number in waiting:
                    running[pool.submit(done_apart, jobs[number])] = number
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
