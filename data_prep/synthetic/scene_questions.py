"""Questions about drawn scenes, with one right answer each, balanced so that the question alone is no use.

A `Card` is a question with the answer that it shall have. The cards are dealt first, every answer of a question as
often as any other, and for each a scene is composed in which that answer is right; a scene may be refused for that, a
card never. So whoever guesses without looking is right as often as `chance` says, one in the number of answers that a
question can have, whatever else is known about questions and answers. `answer` judges by rules of its own, from the
question's text and the scene.

Beside what a question is about stand distractors: for a red circle that is not there, a red thing and a circle are.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

from seqkit.data_prep.synthetic import scenes
from seqkit.data_prep.synthetic.scenes import (
    COLORS,
    KINDS,
    PLACES,
    PLURALS,
    RELATIONS,
    SHAPES,
    SINGULARS,
    Kind,
    Scene,
    Thing,
)

COUNTS = tuple(map(str, range(5)))  # answers to `how many`
YES_NO = ("yes", "no")
LAYOUTS: dict[str, tuple[Callable[..., tuple[Thing, ...]], range]] = {  # how things are placed, and how many
    "cells": (scenes.in_cells, range(4, 7)),
    "free": (scenes.scattered, range(3, 5)),
}


class Card(NamedTuple):
    """A question and the answer that it shall have."""

    kind: str  # of question
    question: str
    answer: str
    planted: tuple[Kind, ...]  # things that the scene must have; an empty word is any that is not barred
    barred: frozenset[str]  # words that fit nothing else in the scene


def _color() -> Iterator[Card]:
    for shape, color in KINDS:
        yield Card("colour", f"what colour is the {shape}?", color, ((shape, color),), frozenset({shape}))


def _shape() -> Iterator[Card]:
    for shape, color in KINDS:
        yield Card("shape", f"what shape is the {color} thing?", shape, ((shape, color),), frozenset({color}))


def _exists() -> Iterator[Card]:
    """As many red things and as many circles where there is a red circle as where there is none."""
    for (shape, color), reds, circles in itertools.product(KINDS, (1, 2), (1, 2)):
        question = f"is there {_a(color)} {shape}?"
        same_color, same_shape = ("", color), (shape, "")
        there = ((shape, color), *[same_color] * (reds - 1), *[same_shape] * (circles - 1))
        absent = (*[same_color] * reds, *[same_shape] * circles)
        for answer, planted in zip(YES_NO, (there, absent), strict=True):
            yield Card("exists", question, answer, planted, frozenset({shape, color}))


def _count() -> Iterator[Card]:
    for word, number in itertools.product([*SHAPES, *COLORS], COUNTS):
        kind, noun = ((word, ""), PLURALS[word]) if word in SHAPES else (("", word), f"{word} things")
        yield Card("count", f"how many {noun} are there?", number, (kind,) * int(number), frozenset({word}))


def _place() -> Iterator[Card]:
    for place, (quality, kind, answer) in itertools.product(PLACES, _qualities()):
        yield Card("place", f"what {quality} is the thing {place}?", answer, (kind,), frozenset())


def _relation() -> Iterator[Card]:
    for (one, other), relation, answer in itertools.product(itertools.permutations(SHAPES, 2), RELATIONS, YES_NO):
        planted = ((one, ""), (other, ""))
        yield Card("relation", f"is the {one} {relation} the {other}?", answer, planted, frozenset({one, other}))


def _neighbor() -> Iterator[Card]:
    for shape, relation, (quality, kind, answer) in itertools.product(SHAPES, RELATIONS, _qualities()):
        if answer != shape:  # of which there is only one
            question = f"what {quality} is the thing {relation} the {shape}?"
            yield Card("neighbour", question, answer, ((shape, ""), kind), frozenset({shape}))


def _qualities() -> Iterator[tuple[str, Kind, str]]:
    yield from (("colour", ("", color), color) for color in COLORS)
    yield from (("shape", (shape, ""), shape) for shape in SHAPES)


DECKS: dict[str, Callable[[], Iterator[Card]]] = {
    "colour": _color,
    "shape": _shape,
    "exists": _exists,
    "count": _count,
    "place": _place,
    "relation": _relation,
    "neighbour": _neighbor,
}


def deal(rng: random.Random, kinds: Iterable[str]) -> Iterator[Card]:
    """Cards without end, the kinds in turn; of each its whole deck, shuffled, before any card comes again."""
    decks = [_shuffled(rng, list(DECKS[kind]())) for kind in kinds]
    while True:
        yield from map(next, decks)


def _shuffled(rng: random.Random, cards: list[Card]) -> Iterator[Card]:
    while True:
        yield from rng.sample(cards, len(cards))


def chance(cards: Iterable[Card]) -> float:
    """Percent of right answers that can be expected of who sees the questions alone."""
    known = [card for deck in DECKS.values() for card in deck()]
    answers: dict[str, set[str]] = {}
    for card in known:
        answers.setdefault(card.question, set()).add(card.answer)
    shares = [Fraction(100, len(answers[card.question])) for card in cards]
    return float(sum(shares) / len(shares))


def answer_type(answer: str) -> str:
    """By the names that VQA has."""
    return "yes/no" if answer in YES_NO else "number" if answer in COUNTS else "other"


def compose(card: Card, rng: random.Random, layout: str) -> Scene:
    """A scene in which the card's answer is right."""
    place, numbers = LAYOUTS[layout]
    while True:
        things = place(rng, _kinds(card, rng, rng.choice(numbers)))
        scene = scenes.on_ground(rng, things)
        if things and answer(card.question, scene) == card.answer:
            return scene


def _kinds(card: Card, rng: random.Random, number: int) -> list[Kind]:
    """What the card plants, and others until there are `number`; no two alike, in any order."""
    shapes, colors = ([word for word in words if word not in card.barred] for words in (SHAPES, COLORS))
    tries = (
        [(shape or rng.choice(shapes), color or rng.choice(colors)) for shape, color in card.planted]
        for _ in itertools.count()
    )
    chosen = next(kinds for kinds in tries if len(set(kinds)) == len(kinds))
    free = [kind for kind in KINDS if not card.barred & {*kind} and kind not in chosen]
    chosen += rng.sample(free, max(0, number - len(chosen)))
    return rng.sample(chosen, len(chosen))


def answer(question: str, scene: Scene) -> str | None:
    """The one right answer; None where there is none, or for a question of another form."""
    for pattern, rule in RULES.items():
        if match := re.fullmatch(pattern, question):
            return rule(scene, *match.groups())
    return None


def _only(things: Iterable[Thing]) -> Thing | None:
    first, *others = [*things, None]
    return None if others[1:] else first


def _with(scene: Scene, word: str) -> list[Thing]:
    return [thing for thing in scene.things if word in (thing.shape, thing.colour)]


def _what(scene: Scene, quality: str, word: str) -> str | None:
    thing = _only(_with(scene, word))
    return getattr(thing, quality, None)


def _how_many(scene: Scene, word: str) -> str:
    return str(len(_with(scene, SINGULARS.get(word, word))))


def _is_there(scene: Scene, color: str, shape: str) -> str:
    return YES_NO[not any(thing[:2] == (shape, color) for thing in scene.things)]


def _what_at(scene: Scene, quality: str, place: str) -> str | None:
    thing = _only(thing for thing in scene.things if place in scenes.places(thing))
    return getattr(thing, quality, None)


def _is_beside(scene: Scene, one: str, relation: str, other: str) -> str | None:
    first, second = _only(_with(scene, one)), _only(_with(scene, other))
    return YES_NO[not RELATIONS[relation](first.box, second.box)] if first and second else None


def _what_beside(scene: Scene, quality: str, relation: str, word: str) -> str | None:
    landmark = _only(_with(scene, word))
    if landmark is None:
        return None
    thing = _only(thing for thing in scene.things if RELATIONS[relation](thing.box, landmark.box))
    return getattr(thing, quality, None)


def _either(words: Iterable[str]) -> str:
    return f"({'|'.join(words)})"


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


RULES: dict[str, Callable[..., str | None]] = {  # question to rule, whose arguments are the question's groups
    rf"what (colour) is the {_either(SHAPES)}\?": _what,
    rf"what (shape) is the {_either(COLORS)} thing\?": _what,
    rf"how many {_either([PLURALS[shape] for shape in SHAPES])} are there\?": _how_many,
    rf"how many {_either(COLORS)} things are there\?": _how_many,
    rf"is there an? {_either(COLORS)} {_either(SHAPES)}\?": _is_there,
    rf"what (colour|shape) is the thing {_either(PLACES)}\?": _what_at,
    rf"is the {_either(SHAPES)} {_either(RELATIONS)} the {_either(SHAPES)}\?": _is_beside,
    rf"what (colour|shape) is the thing {_either(RELATIONS)} the {_either(SHAPES)}\?": _what_beside,
}
