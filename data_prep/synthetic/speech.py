"""Synthetic audio-visual speech: sentences, the phonemes of their words, and one clock for lips and voice.

    lipreading(folder, items, seed, size=100)

A sentence has six slots, as in GRID: verb, color, place, letter, digit, time; `words=3` keeps the last three, and
`slots=SHORT` is place, digit and time, whose words lips tell apart. Eight
talkers differ in pitch, length of the vocal tract, rate, skin, lips and size; light and position change from clip to
clip. Video has 25 frames a second, sound 16,000 samples, 640 for each frame.

Lips show visemes, not phonemes. How long a phoneme lasts depends on its viseme alone, so nothing in the pictures
tells `mark` from `park`, the letters `b` from `p` or `d` from `t`; all three pairs sound different. From lips alone,
one of each two must be guessed: of `mark` and `park`, a quarter of all verbs is wrong.

No text of `val` or `test` is in `train`.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqkit.data.manifest import Item, write_manifest
from seqkit.data.sound_track import SAMPLES_PER_FRAME, write_wav
from seqkit.data.video_file import write_clip
from seqkit.data_prep.common.outputs import write_stats
from seqkit.data_prep.synthetic.speech_audio import Voice, synthesize
from seqkit.data_prep.synthetic.speech_video import RATE, VISEME_OF, VISEMES, Face, draw_mouth, mouth_shapes
from seqkit.errors import InputError

Slot = Mapping[str, str]  # words to their phonemes

SLOTS: tuple[Slot, ...] = (
    {"mark": "m aa k", "park": "p aa k", "find": "f aa ih n d", "lift": "l ih f t"},
    {"red": "r eh d", "blue": "b l uw", "white": "w aa ih t", "gold": "g ao uh l d"},
    {"at": "ae t", "by": "b aa ih", "near": "n ih er", "on": "ao n"},
    {
        "a": "eh ih",
        "b": "b iy",
        "c": "s iy",
        "d": "d iy",
        "e": "iy",
        "f": "eh f",
        "i": "aa ih",
        "l": "eh l",
        "m": "eh m",
        "o": "ao uh",
        "p": "p iy",
        "r": "aa r",
        "s": "eh s",
        "t": "t iy",
        "u": "y uw",
        "v": "v iy",
    },
    {
        "zero": "z ih r ao uh",
        "one": "w ah n",
        "two": "t uw",
        "three": "th r iy",
        "four": "f ao r",
        "five": "f aa ih v",
        "six": "s ih k s",
        "seven": "s eh v ah n",
        "eight": "eh ih t",
        "nine": "n aa ih n",
    },
    {"now": "n aa uh", "soon": "s uw n", "please": "p l iy z", "again": "ah g eh n"},
)

SHORT = (SLOTS[2], SLOTS[4], SLOTS[5])
PHONEMES_OF = {word: phonemes for slot in SLOTS for word, phonemes in slot.items()}


class Talker(NamedTuple):
    name: str
    rate: float  # times as fast as VISEMES says
    voice: Voice
    face: Face


class Speech(NamedTuple):
    phones: tuple[tuple[str, float, float], ...]  # phoneme, start, end in seconds, silences as `sil`
    words: tuple[tuple[str, float, float], ...]
    frames: int


TALKERS = tuple(
    Talker(f"t{i}", rate, Voice(pitch, tract), Face(skin, lips, size))
    for i, (rate, pitch, tract, skin, lips, size) in enumerate(
        [
            (1.00, 115, 1.00, (224, 172, 140), (176, 82, 82), 1.00),
            (0.92, 205, 1.15, (240, 200, 175), (196, 80, 96), 0.90),
            (1.08, 98, 0.95, (141, 96, 66), (122, 62, 58), 1.08),
            (1.00, 225, 1.18, (110, 72, 50), (110, 48, 56), 0.95),
            (0.88, 130, 1.02, (198, 146, 110), (150, 78, 74), 1.12),
            (1.12, 190, 1.12, (230, 185, 150), (206, 96, 100), 0.86),
            (1.04, 105, 0.93, (245, 212, 190), (188, 104, 104), 1.04),
            (0.96, 240, 1.22, (170, 120, 90), (164, 60, 74), 0.92),
        ],
        1,
    )
)


def visemes_of(word: str) -> tuple[str, ...]:
    """The visemes of a word: what lips show of it."""
    return tuple(VISEME_OF[phoneme] for phoneme in PHONEMES_OF[word].split())


def speak(words: Sequence[str], talker: Talker, rng: random.Random) -> Speech:
    """The times of every phoneme and word. The duration is a whole number of frames."""
    time = rng.uniform(0.16, 0.32)
    phones = [("sil", 0.0, time)]
    times: list[tuple[str, float, float]] = []
    for word in words:
        if times and rng.random() < 0.3:
            pause = rng.uniform(0.02, 0.08)
            phones.append(("sil", time, time + pause))
            time += pause
        first = time
        for phoneme in PHONEMES_OF[word].split():
            seconds = VISEMES[VISEME_OF[phoneme]].seconds * rng.uniform(0.85, 1.2) / talker.rate
            phones.append((phoneme, time, time + seconds))
            time += seconds
        times.append((word, round(first, 3), round(time, 3)))
    frames = math.ceil((time + rng.uniform(0.16, 0.32)) * RATE)
    return Speech((*phones, ("sil", time, frames / RATE)), tuple(times), frames)


def lipreading(
    folder: Path, items: int, seed: int, *, words: int | None = None, size: int = 100, slots: Sequence[Slot] = SLOTS
) -> None:
    """Writes train of `items` clips, and val and test of a twentieth of that but at least 20, below `folder`.

    `words` a sentence, those of the last `slots`, or of all (None); `size` x `size` pixels a frame. The same arguments
    give the same bytes. Raises InputError for more items than there are sentences to hold out, or for an odd number of
    words.
    """
    words = len(slots) if words is None else words
    if not 1 <= words <= len(slots):
        raise InputError(f"`words` must be from 1 to {len(slots)}, got {words}")
    rng, held = random.Random(seed), max(20, items // 20)
    texts = list(itertools.product(*slots[-words:]))
    if 4 * held > len(texts):
        raise InputError(
            f"`items` must hold out at most half of {len(texts)} sentences, got {items} items, which hold "
            f"out {2 * held}; take fewer items or more words"
        )
    out = rng.sample(texts, 2 * held)
    kept = sorted({*texts} - {*out})
    sentences = {"train": [rng.choice(kept) for _ in range(items)], "val": out[:held], "test": out[held:]}
    for split, chosen in sentences.items():
        write_manifest(folder / f"{split}.jsonl", _clips(folder, split, chosen, size, rng))
    write_stats(
        folder,
        {split: {"clips": len(chosen), "items": len(chosen), "dropped": {}} for split, chosen in sentences.items()},
    )


def _clips(
    folder: Path, split: str, sentences: Sequence[tuple[str, ...]], size: int, rng: random.Random
) -> Iterator[Item]:
    for number, sentence in enumerate(sentences):
        talker = TALKERS[number % len(TALKERS)]
        name, speech = f"{split}-{number:05d}", speak(sentence, talker, rng)
        own = np.random.default_rng(rng.randrange(2**32))
        video, audio = folder / "video" / f"{name}.mp4", folder / "audio" / f"{name}.wav"
        frames_THW3 = draw_mouth(mouth_shapes(speech.phones, speech.frames), talker.face, own, size)
        write_clip(video, frames_THW3[..., ::-1], {"talker": talker.name})
        write_wav(
            audio, [synthesize(speech.phones, speech.frames * SAMPLES_PER_FRAME, talker.voice, own)], speech.frames
        )
        yield Item(
            id=name,
            video=video,
            audio=audio,
            references=(" ".join(sentence),),
            speaker=talker.name,
            seconds=speech.frames / RATE,
            words=speech.words,
        )
