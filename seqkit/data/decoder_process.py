"""Decoding of strangers' files in a process of its own, so that whatever becomes of it costs one file.

Decoders of media are programs of others: over some file one may abort, take all memory or never end. `apart` calls a
function in a child process, which stays for the next call; one that has ended is replaced. By the size of its file a
call may take ten minutes of the processor and more, and 2 GB of memory and more, but half of the machine's at most.
Functions go to the child by name, values by a pipe.
"""

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from seqkit.data.shards import size_of
from seqkit.errors import InputError

T = TypeVar("T")
SECONDS, SECONDS_PER_BYTE = 600.0, 60e-6  # of the processor that a call may take
MEMORY, MEMORY_PER_BYTE = 2 * 10**9, 100  # bytes: hours of packed sound are 100 times as many as their file
WAIT = 10  # times as many seconds by the clock after which a call is given up
PROGRAM = "from seqkit.data.decoder_process import serve; serve()"


class DecoderEnded(Exception):
    """A child that ended, or was ended, before it answered; the text says how."""


class DecoderProcess:
    """A child process that calls functions, one at a time."""

    def __init__(self) -> None:
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        self.child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )

    def call(self, function: Callable[[], T], size: int = 0) -> T:
        """`function()` over a file of `size` bytes, computed in the child; what it raises is raised here. Raises
        DecoderEnded."""
        assert self.child.stdin is not None and self.child.stdout is not None
        seconds, memory = SECONDS + SECONDS_PER_BYTE * size, MEMORY + MEMORY_PER_BYTE * size
        message = pickle.dumps((os.getcwd(), seconds, memory, function), protocol=5)
        timer = threading.Timer(WAIT * seconds, self.child.kill)
        timer.daemon = True
        timer.start()
        try:
            self.child.stdin.write(message)
            self.child.stdin.flush()
            done, value = pickle.load(self.child.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            self.child.kill()
            status = self.child.wait()
            over = status in (-getattr(signal, "SIGPROF", 0), -getattr(signal, "SIGKILL", 0))
            how = "takes too long, or too much memory" if over else f"ends the process that decodes it ({status})"
            raise DecoderEnded(how) from None
        finally:
            timer.cancel()
        if done:
            found: T = value
            return found
        raise value

    def close(self) -> None:
        """End the child."""
        for pipe in (self.child.stdin, self.child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self.child.kill()
        self.child.wait()


_idle: dict[int, list[DecoderProcess]] = defaultdict(list)  # by this process's id, which a fork changes
_busy: dict[int, list[DecoderProcess]] = defaultdict(list)


@contextmanager
def borrowed() -> Iterator[DecoderProcess]:
    """A child for the time of the block; one that is waiting, else a new one."""
    idle, busy = _idle[os.getpid()], _busy[os.getpid()]
    try:
        process = idle.pop()
    except IndexError:
        process = DecoderProcess()
    busy.append(process)
    try:
        yield process
    except BaseException:
        process.close()
        raise
    else:
        idle.append(process)
    finally:
        busy.remove(process)


def end_all() -> None:
    """End every child; calls that wait for one raise DecoderEnded."""
    for process in _busy[os.getpid()]:
        process.child.kill()
    while _idle[os.getpid()]:
        _idle[os.getpid()].pop().close()


atexit.register(end_all)


def apart(path: Path, function: Callable[..., T], *arguments: Any, **others: Any) -> T:
    """`function(*arguments, **others)`, which decodes the file `path`, in a process of its own.

    function: one of a module's top level. Raises what it raises, and InputError that names the file where the process
    ends, or takes too long or too much memory.
    """
    error: Exception
    try:
        with borrowed() as process:
            try:
                return process.call(partial(function, *arguments, **others), size_of(path))
            except DecoderEnded:
                raise
            except Exception as raised:  # the child lives on
                error = raised
    except DecoderEnded as end:
        raise InputError(f"{path}: must be a whole file, got one that {end}; fetch it again") from None
    if isinstance(error, MemoryError):
        raise InputError(f"{path}: must fit into memory, got a file that takes more; cut it, or fetch it again")
    raise error


def serve() -> None:
    """What the child does: calls what comes on standard input, until that ends, and answers on standard output."""
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to report
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")  # the first to go where memory is short
    while True:
        try:
            folder, seconds, memory, function = pickle.load(calls)
        except EOFError:
            return
        with suppress(OSError):
            os.chdir(folder)
        bound_time(seconds)
        bound_memory(memory)
        try:
            answer = pickle.dumps((True, function()), protocol=5)
        except Exception as error:
            answer = dump_error(error)
        bound_time(0)
        answers.write(answer)
        answers.flush()


def dump_error(error: Exception) -> bytes:
    """An error as an answer, with its traceback; as text where it cannot be pickled."""
    told = "".join(traceback.format_exception(error))
    if not isinstance(error, InputError):
        error.add_note(told)
    try:
        content = pickle.dumps((False, error), protocol=5)
        pickle.loads(content)
        return content
    except Exception:
        plain = InputError(str(error)) if isinstance(error, InputError) else RuntimeError(told)
        return pickle.dumps((False, plain), protocol=5)


def bound_memory(most: int) -> None:
    """Let allocations beyond so many bytes, or half of the machine's memory, fail; where the system can."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        if not hasattr(os, "sysconf"):
            return
        half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        resource.setrlimit(resource.RLIMIT_DATA, (min(half, most), resource.getrlimit(resource.RLIMIT_DATA)[1]))


def bound_time(seconds: float) -> None:
    """End this process after so many seconds of the processor, 0 for none; where the system can."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
