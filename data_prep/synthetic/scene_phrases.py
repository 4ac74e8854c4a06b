"""Phrases that are true of exactly one thing of a drawn scene, and boxes to choose it from.

Four things share two shapes, two colors and two sizes, so that hardly a word is enough alone; the one that is meant
is drawn before its phrase. Of every phrase no word can go: without one of its adjectives, or with `thing` for its
noun, or without where it stands, it would be true of several things. `referents` judges by rules of its own, from the
phrase's text and the scene.

Every thing has a candidate box around it, somewhat moved; all others are windows that fit nothing. So whoever sees
the picture and not the phrase is right once in THINGS times, and exactly one candidate is right.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from seqkit.data_prep.grounding.proposals import Box, windows
from seqkit.data_prep.synthetic import scenes
from seqkit.data_prep.synthetic.scenes import COLORS, PLACES, RELATIONS, SHAPES, SIDE, SIZES, Scene, Thing
from seqkit.score.boxes import iou

THINGS = 4  # of a scene
CANDIDATES = 16  # boxes to choose from
FITS, MISSES = 0.6, 0.4  # IoU of a thing with its candidate, at least; of a window with any thing, at most

Words = tuple[str, str, str]  # size, color and noun
REST: Words = ("", "", "thing")  # what stands for a word that is left out

_WORDS = f"(?:({'|'.join(SIZES)}) )?(?:({'|'.join(COLORS)}) )?({'|'.join(SHAPES)}|thing)"
_PHRASE = re.compile(f"the {_WORDS}(?: ({'|'.join(PLACES)})| ({'|'.join(RELATIONS)}) the {_WORDS})?")


class Phrase(NamedTuple):
    kind: str  # attributes, place or relation
    text: str
    thing: Thing


def compose(rng: random.Random) -> tuple[Scene, Phrase]:
    """A scene and a phrase for one of its things; each kind of phrase is as frequent as any other."""
    kind = rng.choice(list(KINDS))
    while True:
        names = itertools.product(*(rng.sample(list(words), 2) for words in (SHAPES, COLORS, SIZES)))
        chosen = rng.sample(list(names), THINGS)
        things = scenes.scattered(rng, [(shape, color) for shape, color, _ in chosen], [name[2] for name in chosen])
        if things:
            thing = rng.choice(things)
            texts = list(KINDS[kind](things, thing))
            if texts:
                return scenes.on_ground(rng, things), Phrase(kind, rng.choice(texts), thing)


def _attributes(things: tuple[Thing, ...], thing: Thing) -> Iterator[str]:
    for words in _shortest(thing, lambda words: _meant(things, *words) == [thing]):
        yield _the(*words)


def _place(things: tuple[Thing, ...], thing: Thing) -> Iterator[str]:
    for place in scenes.places(thing):
        there = tuple(other for other in things if place in scenes.places(other))
        yield from (f"{text} {place}" for text in _among(there, things, thing))


def _relation(things: tuple[Thing, ...], thing: Thing) -> Iterator[str]:
    for landmark, (relation, true) in itertools.product(things, RELATIONS.items()):
        there = tuple(other for other in things if true(other.box, landmark.box))
        for text in _among(there, things, thing):
            yield from (f"{text} {relation} {beside}" for beside in _attributes(things, landmark))


def _among(there: tuple[Thing, ...], things: tuple[Thing, ...], thing: Thing) -> Iterator[str]:
    """What is true of the thing alone of those there, but of others of all."""
    for words in _shortest(thing, lambda words: _meant(there, *words) == [thing]):
        if len(_meant(things, *words)) > 1:
            yield _the(*words)


def _shortest(thing: Thing, alone: Callable[[Words], bool]) -> Iterator[Words]:
    """The words for a thing that are enough, and no more."""
    for words in itertools.product(("", thing.size), ("", thing.colour), ("thing", thing.shape)):
        less = [_without(words, i) for i, rest in enumerate(REST) if words[i] != rest]
        if alone(words) and not any(map(alone, less)):
            yield words


def _without(words: Words, i: int) -> Words:
    size, color, noun = (REST[k] if k == i else word for k, word in enumerate(words))
    return size, color, noun


KINDS: dict[str, Callable[[tuple[Thing, ...], Thing], Iterator[str]]] = {
    "attributes": _attributes,
    "place": _place,
    "relation": _relation,
}


def _the(size: str, color: str, noun: str) -> str:
    return " ".join(filter(None, ("the", size, color, noun)))


def _meant(things: tuple[Thing, ...], size: str, color: str, noun: str) -> list[Thing]:
    wanted = {size, color, noun} - {"", "thing"}
    return [thing for thing in things if wanted <= {*thing[:3]}]


def referents(text: str, scene: Scene) -> list[Thing]:
    """Every thing of which the phrase is true; none for a phrase of another form or beside no one thing."""
    match = _PHRASE.fullmatch(text)
    if not match:
        return []
    size, color, noun, place, relation, *other = (group or "" for group in match.groups())
    found = _meant(scene.things, size, color, noun)
    if place:
        return [thing for thing in found if place in scenes.places(thing)]
    if not relation:
        return found
    landmarks = _meant(scene.things, *other)
    box = landmarks[0].box if len(landmarks) == 1 else None
    return [thing for thing in found if box and RELATIONS[relation](thing.box, box)]


def candidates(scene: Scene, rng: random.Random) -> list[Box]:
    """CANDIDATES boxes in any order: one that fits each thing, and windows that fit none."""
    truth = np.array([thing.box for thing in scene.things], np.float64)
    boxes: list[Box] = [next(_moved(thing.box, rng)) for thing in scene.things]
    others = windows(SIDE, SIDE)
    free = [box for box, best in zip(others, iou(np.array(others), truth).max(1), strict=True) if best <= MISSES]
    boxes += rng.sample(free, CANDIDATES - len(boxes))
    return rng.sample(boxes, len(boxes))


def _moved(box: Box, rng: random.Random) -> Iterator[Box]:
    """Boxes around a thing whose edges are up to a sixth of a side from its own."""
    most = max(1, round((box[2] - box[0]) / 6))
    while True:
        moved = tuple(min(SIDE, max(0, edge + rng.randint(-most, most))) for edge in box)
        if iou(np.array([moved]), np.array([box])).item() >= FITS:
            yield moved
