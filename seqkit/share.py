"""A part of a command's work: `--shard i/n --parts DIR` computes its share of every loop and keeps the results; `seqkit
merge DIR` runs the command itself with these results in the place of the computation. Processes that run a command
together, as torchrun starts them, share its loops in the same way and exchange the results at once.

What a command does is a few long loops over batches, or jobs, and short work around them. A loop that goes through
`shared` is cut by batches, so that each is computed just as one process would compute it, and what the merged command
prints and writes is the same to the last byte, but for times. Batches of others give results of batches of its own
where the command goes on, which nothing keeps.

Parts are pickles: merge those alone that you made.
"""

import hashlib
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from seqkit import __version__
from seqkit.errors import InputError

X = TypeVar("X")
Y = TypeVar("Y")
MAGIC = b"seqkit part 1\n"


@dataclass
class Part:
    """The results of a part, by the number of their batch among those of all loops; an error is a result too."""

    command: list[str]
    number: int  # from 0
    parts: int
    inputs: list[str] = field(default_factory=list)  # that came on standard input
    batches: int = 0  # of all loops so far
    results: dict[int, Any] = field(default_factory=dict)
    version: str = __version__


@dataclass(frozen=True)
class Together:
    """The processes that run one command side by side."""

    rank: int
    processes: int
    gather: Callable[[Any], list[Any]]  # a value of each process, in order of rank, in all of them


_part: Part | None = None  # that this process computes
_replay: Part | None = None  # all results, for the command that uses them
_together: Together | None = None  # who computes the other batches now


def is_part() -> bool:
    """Whether this process computes a part, and is to print and write nothing of the command's own."""
    return _part is not None


def own_share(part: Part, count: int) -> dict[int, int]:
    """The places of a part's own batches in a loop over `count`, by their number among those of all loops."""
    first, part.batches = part.batches, part.batches + count
    return {first + k: k for k in range(count) if (first + k) % part.parts == part.number}


def shared(
    run: Callable[[Sequence[X]], Sequence[Sequence[Y]]], batches: Sequence[X], *, used: bool = True
) -> Sequence[Sequence[Y]]:
    """`run(batches)`: for each batch a result for each of its members; in a part of a command only a share is computed.

    run: from some of the batches to theirs. used: whether a part goes on with what it gets; else it gets nothing.
    Raises InputError where results of a merged command are lacking.
    """
    if _replay is not None:
        return _replayed(_replay, len(batches))
    if _together is not None and batches:
        return _computed_together(_together, run, batches)
    if _part is None or not batches:
        return run(batches)
    part, own = _part, own_share(_part, len(batches))
    with alone():
        found = _each(run, [batches[k] for k in own.values()])
        part.results |= zip(own, found, strict=True)
        if not used:
            return []
        usable = next((result for result in found if not isinstance(result, InputError)), None)
        usable = run(batches[:1])[0] if usable is None else usable
    others = [[usable[n % len(usable)] for n in range(_size(batch))] for batch in batches]
    kept = zip(own.values(), found, strict=True)
    good = {k: result for k, result in kept if not isinstance(result, InputError)}
    return [good.get(k, other) for k, other in enumerate(others)]


def _computed_together(
    group: Together, run: Callable[[Sequence[X]], Sequence[Sequence[Y]]], batches: Sequence[X]
) -> Sequence[Sequence[Y]]:
    """`run(batches)` in all processes, each of which computes its share."""
    with alone():
        own = _each(run, [batches[k] for k in range(group.rank, len(batches), group.processes)])
    shares = group.gather(own)
    found = [shares[k % group.processes][k // group.processes] for k in range(len(batches))]
    return _without_errors(found)


def _without_errors(found: list[Any]) -> list[Any]:
    for result in found:
        if isinstance(result, InputError):
            raise result
    return found


def _size(batch: Any) -> int:
    return len(batch) if isinstance(batch, list | tuple) else 1


def _each(run: Callable[[Sequence[X]], Sequence[Sequence[Y]]], batches: Sequence[X]) -> list[Sequence[Y] | InputError]:
    """`run` of all, or where one is refused of each by itself."""
    try:
        return list(run(batches)) if batches else []
    except InputError:
        found: list[Sequence[Y] | InputError] = []
        for batch in batches:
            try:
                found += run([batch])
            except InputError as error:
                found.append(error)
        return found


def _replayed(replay: Part, count: int) -> list[Any]:
    numbers = range(replay.batches, replay.batches + count)
    replay.batches += count
    if lacking := [number for number in numbers if number not in replay.results]:
        raise InputError(f"the parts must hold {count} batches here, got {len(lacking)} fewer; compute them again")
    return _without_errors([replay.results[number] for number in numbers])


class PartDone(Exception):
    """The end of a part: what its command does from here on is done when the parts are merged, or by the first of the
    processes that run it together."""


def or_end(found: X) -> X:
    """What was found by all loops of a command; a part ends here."""
    if _part is not None or (_together is not None and _together.rank > 0):
        raise PartDone
    return found


@contextmanager
def together(rank: int, processes: int, gather: Callable[[Any], list[Any]]) -> Iterator[None]:
    """Context in which several processes share the loops of what all of them run."""
    global _together
    before, _together = _together, Together(rank, processes, gather) if processes > 1 else None
    try:
        yield
    finally:
        _together = before


def shared_jobs(run: Callable[[list[int]], Iterator[tuple[int, Y]]], count: int) -> Iterator[tuple[int, Y]]:
    """`run` of the numbers of all jobs: (number, result) in any order. Of a preparation the first such loop is shared,
    at whose end a part stops; what comes after it is done when the parts are merged."""
    if _part is not None:
        part, own = _part, own_share(_part, count)
        numbers = {place: number for number, place in own.items()}
        part.results |= {numbers[place]: result for place, result in run(list(own.values()))}
        raise PartDone
    if _replay is not None and not _replay.batches:
        yield from enumerate(_replayed(_replay, count))
    else:
        yield from run(list(range(count)))


def all_inputs(read: Callable[[], list[str]]) -> list[str]:
    """The inputs of standard input, which a part keeps for the merged command."""
    if _replay is not None:
        return _replay.inputs
    found = read()
    if _part is not None:
        _part.inputs = found
    return found


def is_shared() -> bool:
    """Whether this process computes a part, or merges parts."""
    return _part is not None or _replay is not None


@contextmanager
def alone() -> Iterator[None]:
    """Context in which loops are this process's alone."""
    global _part, _replay, _together
    before = _part, _replay, _together
    _part = _replay = _together = None
    try:
        yield
    finally:
        _part, _replay, _together = before


def split_flags(argv: Sequence[str]) -> tuple[list[str], str, str]:
    """A command without `--shard` and `--parts`, and what these say; empty where they are not given."""
    rest, said = list[str](), {"--shard": "", "--parts": ""}
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name in said:
            said[name] = value if equals else next(words, "")
        else:
            rest.append(word)
        if word == "--":
            break
    return [*rest, *words], said["--shard"], said["--parts"]


def run_part(command: Callable[[list[str]], object], argv: list[str], shard: str, folder: str) -> None:
    """Run a command as a part, and write its results. Raises InputError for a share that is none."""
    global _part
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", shard)
    number, parts = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= parts:
        raise InputError(f"`--shard` must be i/n with i from 1 to n, got {shard!r}")
    if not folder:
        raise InputError("`--parts` must be given with `--shard`: the folder of the parts, which `seqkit merge` takes")
    _part = part = Part(argv, number - 1, parts)
    try:
        with suppress(PartDone):
            command(argv)
    finally:
        _part = None
    path = Path(folder) / f"{number}-of-{parts}.part"
    content = pickle.dumps(part, protocol=5)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_bytes(MAGIC + hashlib.sha256(content).digest() + content)
    scratch.replace(path)
    print(f"{path}: {len(part.results):,} of {part.batches:,} batches")


def read_parts(folder: Path) -> Part:
    """All results of the parts in a folder. Raises InputError where one is lacking, damaged, or of another command."""
    found = sorted(folder.glob("*-of-*.part"))
    if not found:
        raise InputError(f"{folder}: must hold parts as `--shard i/n --parts {folder}` writes them, got none")
    whole: Part | None = None
    seen = set()
    for path in found:
        part = _read(path)
        if whole is None:
            whole = Part(part.command, 0, part.parts, part.inputs, part.batches, {}, part.version)
        if replace(part, number=0, results={}) != replace(whole, results={}):
            raise InputError(f"{path}: must be of the same command, inputs and version as {found[0]}, got another")
        whole.results |= part.results
        seen.add(part.number)
    assert whole is not None
    if lacking := [str(n + 1) for n in range(whole.parts) if n not in seen]:
        raise InputError(f"{folder}: must hold all {whole.parts} parts, got none of {', '.join(islice(lacking, 20))}")
    return whole


def _read(path: Path) -> Part:
    content = path.read_bytes()
    head = len(MAGIC) + hashlib.sha256().digest_size
    body = content[head:]
    if content[:head] != MAGIC + hashlib.sha256(body).digest():
        raise InputError(f"{path}: must be a whole part, got a damaged file; compute it again")
    part: Part = pickle.loads(body)
    return part


def run_merged(command: Callable[[list[str]], object], whole: Part) -> object:
    """Run the command of the parts with their results."""
    global _replay
    _replay, before = replace(whole, batches=0), sys.argv
    sys.argv = [*before[:1], *whole.command]  # what a report says that it was made by
    try:
        status = command(whole.command)
        if _replay.batches != whole.batches:
            more = whole.batches - _replay.batches
            raise InputError(f"the parts must be of the data as they are, got {more} batches more; compute them again")
        return status
    finally:
        _replay, sys.argv = None, before
