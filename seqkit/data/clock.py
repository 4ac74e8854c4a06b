"""The clock of a media file: one correction of its time stamps, for picture and sound alike.

Time stamps may jump, run back, or begin anywhere: two recordings joined, a counter that wraps, a damaged field. A
stream falls into runs of packets without a jump. A run that begins where its stream, by the clock as it is, goes on
keeps that clock. A pause of one stream while the other goes on is real. Any other run, and the other stream's beside
it, is moved to where the file has come so far.

Times are seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

FRAME_RATE = 25  # frames a second, where a file does not say
JUMP = 10.0  # seconds from a frame to the next; more is a damaged time stamp, unless the other stream goes on
LASTS = 1.0  # seconds that a packet is taken to last at most
BACK = 0.5  # seconds by which time stamps may run back, as those of frames that are stored in another order do
FEW = 16  # runs and shifts that are compared with one
BESIDE = 2.0  # seconds by which the other stream may end before a pause does


@dataclass(eq=False)
class Run:
    """Packets of a stream without a jump; times as stored, in order of decoding."""

    stream: int
    number: int  # of the first packet in its stream
    start: float
    end: float
    other: "Run | None" = None  # the other stream's run when this one began, and its end so far
    other_end: float = 0.0
    shift: float = 0.0  # from stored to corrected times
    shown: tuple[float, float] | None = None  # first and last time of what it shows, in whatever order it is stored

    def show(self, time: float, seconds: float) -> None:
        """Adds what is shown from `time` on; one that is far from its place is a damaged time stamp."""
        if self.start - BACK <= time <= self.end + LASTS:
            first, last = self.shown or (time, time)
            self.shown = min(first, time), max(last, time + seconds)

    def shown_from(self) -> float:
        return self.start if self.shown is None else self.shown[0]

    def shown_to(self) -> float:
        return self.end if self.shown is None else self.shown[1]


class Clock(NamedTuple):
    """Corrections of time stamps."""

    shifts: Mapping[int, Sequence[tuple[int, float]]] = {}  # stream to (packet from which on, seconds to add)
    pauses: Sequence[tuple[float, float]] = ()  # longer than JUMP, while the other stream goes on
    jumps: int = 0
    begin: float = 0.0  # of the stream that begins first, and end of the one that ends last
    end: float = 0.0
    ends: Mapping[int, float] = {}  # of each stream
    packets: Mapping[int, int] = {}  # of each stream, also of those that an edit list hides

    def follows(self, last: float, time: float) -> bool:
        """Whether a frame may follow that of time `last`."""
        ahead = time - last
        return (
            0 < ahead < JUMP + LASTS + BACK
            or ahead > 0
            and any(last < end and time > start and time - BACK < end for start, end in self.pauses)
        )


def continues(runs: Sequence[Run], start: float) -> bool:
    """Whether a packet goes on with the last of a stream's latest runs, and not better with the one before."""
    ahead = [start - run.end for run in runs]
    return bool(ahead) and -BACK <= ahead[-1] <= JUMP and abs(ahead[-1]) <= min(map(abs, ahead))


def make_clock(runs: Sequence[Run]) -> Clock:
    """The clock of the runs of at most two streams, in the order in which the file has them."""
    shifts: dict[int, list[tuple[int, float]]] = {}
    latest: dict[int, Run] = {}
    known, pauses, jumps = [0.0], [], 0
    runs = _together(runs)
    for number, run in enumerate(runs):
        before = latest.get(run.stream)
        least, most = _begin(run, before, runs)
        fitting = [shift for shift in known[-FEW:] if least <= run.start + shift <= most]
        if before and _pause(before, run, [*latest.values(), *runs[number : number + FEW]]):
            run.shift = before.shift
            pauses.append((before.end + before.shift, run.start + run.shift))
        elif fitting:
            end = before.end + before.shift if before else run.start + known[-1]
            run.shift = min(fitting, key=lambda shift: abs(run.start + shift - end))
        else:
            end = before.end + before.shift if before else least + JUMP
            beside = run.other_end + run.other.shift if before and run.other else end
            run.shift = max(end, beside) - run.start
            known.append(run.shift)
            jumps += 1
        latest[run.stream] = run
        shifts.setdefault(run.stream, []).append((run.number, run.shift))
    firsts = {run.stream: run.shown_from() + run.shift for run in reversed(runs)}
    ends = {run.stream: run.shown_to() + run.shift for run in runs}
    return Clock(shifts, pauses, jumps, min(firsts.values(), default=0.0), max(ends.values(), default=0.0), ends)


def _together(runs: Sequence[Run]) -> list[Run]:
    """The runs, of which the first of a stream follows the other's that begins again beside it: the second of two
    joined files has what the first lacks."""
    found = list(runs)
    for number, (run, after) in enumerate(zip(runs[1:-1], runs[2:], strict=True), 1):
        first = all(other.stream != run.stream for other in runs[:number])
        if first and run.other_end - run.start > LASTS > abs(after.start - run.start) and after.stream != run.stream:
            found[number : number + 2] = after, run
    return found


def _begin(run: Run, before: Run | None, runs: Sequence[Run]) -> tuple[float, float]:
    """Earliest and latest time at which a run may begin: where its stream goes on, or for its first about the other
    stream."""
    if before is not None:
        end = before.end + before.shift
        return end - BACK, end + JUMP
    if run is runs[0]:
        return run.start, run.start
    return runs[0].start - JUMP, runs[0].end + JUMP


def _pause(before: Run, run: Run, runs: Sequence[Run]) -> bool:
    """Whether the other stream goes on between two runs of a stream."""
    begin, end = before.end + before.shift, run.start + before.shift
    return end > begin + JUMP and any(
        other.start + other.shift <= begin + JUMP and other.end + other.shift >= end - BESIDE
        for other in runs
        if other.stream != run.stream and other.shift == before.shift
    )
