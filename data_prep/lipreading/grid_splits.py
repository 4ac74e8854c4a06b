"""Splits of GRID: LipNet's two protocols (Assael et al. 2016, section 4.1), and those for a part of the corpus.

unseen       test s1 s2 s20 s22; validation s34; the rest for training
overlapped   test 255 sentences of every speaker, validation 50 more, the rest for training
speaker      validation 100 clips of every speaker, the rest for training; no test
auto         speaker for one speaker, unseen where nearly all are there, else a tenth of each for test and validation

A speaker with few clips gives the same part of them as one with a thousand would. The choice depends on seed and clip
alone: not on order, on what else is there, or on the machine.
"""

from collections import defaultdict
from collections.abc import Sequence

from seqkit.data_prep.common.holdout import stable_hash
from seqkit.data_prep.lipreading.grid_corpus import Clip
from seqkit.errors import InputError

PROTOCOLS = ("auto", "unseen", "overlapped", "speaker")
TEST = ("s1", "s2", "s20", "s22")
VALIDATION = "s34"
MIN_SPEAKERS = 20  # of the nearly whole corpus
CLIPS_PER_SPEAKER = 1000
SAMPLE_SIZE = 24  # clips of a contact sheet
Splits = dict[str, list[Clip]]


def split(clips: Sequence[Clip], protocol: str, seed: int = 0) -> Splits:
    """The clips by split, without those that are empty. Raises InputError for a protocol that the clips cannot have."""
    speakers = {clip.speaker for clip in clips}
    if protocol == "auto":
        everyone = speakers.issuperset(TEST) and len(speakers) >= MIN_SPEAKERS
        protocol = "speaker" if len(speakers) == 1 else "unseen" if everyone else "tenths"
    if protocol == "unseen":
        found = unseen(clips, seed)
    else:
        shares = {"overlapped": {"test": 255, "val": 50}, "speaker": {"val": 100}, "tenths": {"test": 100, "val": 100}}
        found = by_share(clips, shares[protocol], seed)
    return {name: found[name] for name in ("train", "val", "test") if found.get(name)}


def unseen(clips: Sequence[Clip], seed: int) -> Splits:
    """By speaker; validation is the last speaker for training where s34 is not there, or a tenth of an only one."""
    others = [clip for clip in clips if clip.speaker not in TEST]
    if not others or len(others) == len(clips):
        there = "none" if others else "none but"
        raise InputError(
            f"--protocol unseen must find both test speakers ({', '.join(TEST)}) and others, got {there} "
            "of those; name another protocol, or put all into one split by --split NAME"
        )
    speakers = list(dict.fromkeys(clip.speaker for clip in others))
    held = VALIDATION if VALIDATION in speakers else speakers[-1]
    test = {"test": [clip for clip in clips if clip.speaker in TEST]}
    if len(speakers) == 1:
        return by_share(others, {"val": 100}, seed) | test
    return {
        "train": [clip for clip in others if clip.speaker != held],
        "val": [clip for clip in others if clip.speaker == held],
    } | test


def by_share(clips: Sequence[Clip], wanted: dict[str, int], seed: int) -> Splits:
    """So many clips of every speaker, or that many thousandths of them, whichever is less but not nothing."""
    speakers: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        speakers[clip.speaker].append(clip)
    chosen: dict[str, str] = {}
    for mine in speakers.values():
        shuffled = sorted(mine, key=lambda clip: stable_hash(f"{seed} {clip.id}"))
        for name, number in wanted.items():
            part = max(1, round(number / CLIPS_PER_SPEAKER * len(mine)))
            share = number if 2 * sum(wanted.values()) <= len(mine) else part
            share = min(share, (len(mine) - 1) // len(wanted))
            chosen |= {clip.id: name for clip in shuffled[:share]}
            shuffled = shuffled[share:]
    found: Splits = defaultdict(list)
    for clip in clips:
        found[chosen.get(clip.id, "train")].append(clip)
    return dict(found)


def sample(clips: Sequence[Clip]) -> list[Clip]:
    """A few clips of every speaker, evenly spaced, at most `SAMPLE_SIZE`."""
    speakers: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        speakers[clip.speaker].append(clip)
    per_speaker = max(1, SAMPLE_SIZE // max(1, len(speakers)))
    chosen = []
    for mine in speakers.values():
        number = min(per_speaker, len(mine))
        chosen += [mine[i * len(mine) // number] for i in range(number)]
    return chosen[:: max(1, -(-len(chosen) // SAMPLE_SIZE))]
