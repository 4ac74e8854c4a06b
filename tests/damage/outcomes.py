"""Readers of files under damaged input: one outcome an input, each in a process with limits of its own.

    python -m tests.damage [NAME ...] [--inputs 10000] [--first 0] [--show 5]

An outcome is `read`, `refused` (our one line), or a fault: `traceback`, `not finite`, `time` (over 10 seconds of the
processor), `memory` (over 2 GB) or `ended` (the process died). Input number N of a reader is always the same.
"""

import argparse
import contextlib
import dataclasses
import io
import math
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from seqkit.data import decoder_process
from seqkit.errors import InputError
from tests.damage.mutations import mutate

SECONDS, MEMORY = 10, 2 * 10**9  # of the processor, and bytes more than before
PARTICULAR = re.compile(r": ['\"].*|array.*")  # of one input
MANY = 10_000  # inputs of a reader
GOOD = ("read", "refused")
ENDS = {"time": "takes too long, or too much memory"}  # of a decoder's process
Change = Callable[[bytes, Random], bytes]


class Reader(NamedTuple):
    """What reads a folder of files, of which one is damaged at a time."""

    name: str
    make: Callable[[Path], object]  # writes whole files into a folder
    read: Callable[[Path], object]  # reads them; what it returns is looked over for numbers that are none
    files: Sequence[str]  # of those made, the ones that are damaged
    within: Change | None = None  # for every other input: damage within a packed file


class Case:
    """A reader with its whole files, and a folder in which they are damaged."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        folder.mkdir()
        reader.make(folder)
        self.whole = {name: (folder / name).read_bytes() for name in reader.files}
        self.last = ""

    def read_whole(self) -> object:
        self.restore()
        with quietly():
            return self.reader.read(self.folder)

    def restore(self) -> None:
        if self.last:
            (self.folder / self.last).write_bytes(self.whole[self.last])

    def damage(self, number: int) -> None:
        rng = Random(f"{self.reader.name} {number}")
        self.restore()
        self.last = self.reader.files[number % len(self.reader.files)]
        inside = self.reader.within is not None and rng.randrange(2)
        change = self.reader.within if inside and self.reader.within else mutate
        (self.folder / self.last).write_bytes(change(self.whole[self.last], rng))

    def outcome(self, number: int) -> tuple[str, str]:
        """What becomes of input `number`, and of a fault the last lines of its traceback."""
        self.damage(number)
        try:
            with quietly():
                found = self.reader.read(self.folder)
        except InputError as error:
            hidden = error.__context__
            while hidden is not None:
                if isinstance(hidden, MemoryError):
                    return "memory", f"MemoryError within {last_lines(hidden)}"
                hidden = hidden.__context__
            ended = next((kind for kind, text in ENDS.items() if text in str(error)), "")
            return ended or "refused", str(error)
        except MemoryError as error:
            return "memory", last_lines(error)
        except Exception as error:
            return "traceback", last_lines(error)
        return ("read", "") if finite(found) else ("not finite", repr(found)[:300])


@contextlib.contextmanager
def quietly() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def last_lines(error: BaseException) -> str:
    own = [f for f in traceback.extract_tb(error.__traceback__) if "/tests/" not in f.filename]
    seqkit = [f for f in own if any(part in f.filename for part in ("/seqkit/", "/data_prep/", "/recipes/"))]
    places = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in (*seqkit[-2:], *own[-1:])]
    return f"{' > '.join(dict.fromkeys(places))}: {type(error).__name__}: {str(error)[:150]!r}"


def finite(value: Any) -> bool:
    """Whether all numbers in nested values are finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
    if isinstance(value, Mapping):
        return all(map(finite, value.values()))
    if isinstance(value, list | tuple | set):
        return all(map(finite, value))
    if dataclasses.is_dataclass(value):
        return all(finite(getattr(value, field.name)) for field in dataclasses.fields(value))
    return not hasattr(value, "isfinite") or bool(value.isfinite().all())


def limit() -> None:
    """Bounds the memory of this process to MEMORY more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def worker(reader: Reader, first: int, end: int, pipe: int) -> None:
    """Writes a line `number outcome text` for each input; a process that dies has written the line of no outcome."""
    warnings.simplefilter("error", RuntimeWarning)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    decoder_process.SECONDS, decoder_process.SECONDS_PER_BYTE = SECONDS, 0
    with tempfile.TemporaryDirectory() as folder, os.fdopen(pipe, "w", errors="backslashreplace") as out:
        case = Case(reader, Path(folder, "whole"))
        limit()
        case.read_whole()
        for number in range(first, end):
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            began = time.process_time()
            kind, text = case.outcome(number)
            signal.setitimer(signal.ITIMER_PROF, 0)
            took = time.process_time() - began
            out.write(f"{number}\t{kind}\t{took:.3f}\t{' '.join(text.split())}\n")
            out.flush()


def fuzz(
    reader: Reader, inputs: int, first: int = 0, most_deaths: int = 200
) -> tuple[Counter[str], dict[str, list[str]], float]:
    """Outcomes of inputs, faults with their numbers, and the longest time."""
    os.fsync = lambda handle: None  # type: ignore[assignment]
    counts: Counter[str] = Counter()
    faults: dict[str, list[str]] = defaultdict(list)
    number, slowest, deaths = first, 0.0, 0
    while number < first + inputs and deaths < most_deaths:
        begin, (receiver, sender) = number, os.pipe()
        child = os.fork()
        if not child:
            os.close(receiver)
            status = 1
            try:
                devnull = os.open(os.devnull, os.O_WRONLY)
                os.dup2(devnull, 2)
                worker(reader, number, first + inputs, sender)
                status = 0
            except BaseException:
                traceback.print_exc(file=sys.stdout)
            finally:
                sys.stdout.flush()
                os._exit(status)
        os.close(sender)
        with os.fdopen(receiver, errors="replace") as lines:
            for line in lines:
                done, kind, took, text = line.rstrip("\n").split("\t", 3)
                number, slowest = int(done) + 1, max(slowest, float(took))
                counts[kind] += 1
                if kind not in GOOD:
                    faults[f"{kind}: {PARTICULAR.sub('', text)}"].append(done)
        _, status = os.waitpid(child, 0)
        if status and number < first + inputs:
            kind = "time" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF else "ended"
            if os.WIFEXITED(status) and number == begin:
                raise RuntimeError(f"{reader.name}: the whole file must be read")
            counts[kind] += 1
            faults[f"{kind}: status {status}"].append(str(number))
            number, deaths = number + 1, deaths + 1
    return counts, faults, slowest


def main() -> None:
    from tests.damage.readers import READERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--exact", action="store_true", help="names are whole, not parts")
    parser.add_argument("--inputs", type=int, default=MANY)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--show", type=int, default=5)
    given = parser.parse_args()
    bad = 0
    for reader in READERS:
        if given.names and not any(name == reader.name if given.exact else name in reader.name for name in given.names):
            continue
        began = time.monotonic()
        counts, faults, slowest = fuzz(reader, given.inputs, given.first)
        bad += sum(n for kind, n in counts.items() if kind not in GOOD)
        took = f"slowest {slowest:.2f}\t{time.monotonic() - began:.0f} s"
        print(reader.name, sum(counts.values()), dict(counts), took, sep="\t", flush=True)
        for text, numbers in sorted(faults.items(), key=lambda pair: -len(pair[1]))[: given.show]:
            print(f"    {len(numbers)}x {text}  (input {', '.join(numbers[:3])})", flush=True)
    sys.exit(bool(bad))
