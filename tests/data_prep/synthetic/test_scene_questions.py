"""Questions and phrases about drawn scenes: right by a plain reading of the picture, and no use without it."""

import itertools
import random
import re
from collections import Counter, defaultdict
from functools import lru_cache

import numpy as np
import pytest

from seqkit.data_prep.synthetic import scene_phrases, scene_questions, scenes
from seqkit.data_prep.synthetic.scene_phrases import CANDIDATES, THINGS, referents
from seqkit.data_prep.synthetic.scene_questions import COUNTS, DECKS, LAYOUTS, RULES, answer, answer_type, chance, deal
from seqkit.data_prep.synthetic.scenes import CELLS, COLORS, SHAPES, SIDE, Scene, Thing
from seqkit.score.boxes import iou


def scene_of(*things: tuple[str, str, tuple[int, int, int, int]]) -> Scene:
    return Scene(tuple(Thing(shape, colour, "small", box) for shape, colour, box in things), "plain", "grey")


@lru_cache(maxsize=8)
def seen(scene: Scene) -> list[tuple[str, str, float, float, float, float]]:
    """What is in the picture, from its pixels alone: shape, colour, left, top, right, bottom."""
    empty = scenes.draw(scene._replace(things=()), random.Random(0)).astype(int)
    found = []
    for thing in scene.things:
        picture = scenes.draw(scene._replace(things=(thing,)), random.Random(0)).astype(int)
        rows, columns = np.nonzero((picture != empty).any(-1))
        spot = picture[rows, columns].mean(0)
        colour = min(COLORS, key=lambda name: np.abs(spot - COLORS[name]).sum())
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        mask = (picture != empty).any(-1)[box[1] : box[3], box[0] : box[2]]
        found.append((shape_of(mask), colour, *box))
    return found


def shape_of(mask: np.ndarray) -> str:
    side = len(mask)
    from_middle = np.arange(side) - (side - 1) / 2
    return next(s for s, f in SHAPES.items() if (f(from_middle, from_middle[:, None], side / 2) == mask).all())


BESIDE = {
    "above": lambda one, other: one[5] <= other[3],
    "below": lambda one, other: one[3] >= other[5],
    "to the left of": lambda one, other: one[4] <= other[2],
    "to the right of": lambda one, other: one[2] >= other[4],
}


def at(place: str, thing) -> bool:
    x, y = (thing[2] + thing[4]) / 2 / SIDE, (thing[3] + thing[5]) / 2 / SIDE
    there = {"at the top": y < 1 / 3, "at the bottom": y > 2 / 3, "at the left": x < 1 / 3, "at the right": x > 2 / 3}
    return there.get(place, not any(there.values()))


def by_hand(question: str, scene: Scene) -> set[str]:
    """Every answer that the pixels allow, by words of the question and none of the rules that made it."""
    things, words = seen(scene), question.rstrip("?").split()
    if words[:2] == ["how", "many"]:
        plurals = {"crosses": "cross", **{shape + "s": shape for shape in SHAPES}}
        word = plurals.get(words[2], words[2])
        return {str(sum(word in thing[:2] for thing in things))}
    if words[:2] == ["is", "there"]:
        return {"yes" if any(thing[:2] == (words[4], words[3]) for thing in things) else "no"}
    relation = next((name for name in BESIDE if f" {name} the " in question), "")
    if words[0] == "is":
        pairs = [(a, b) for a in things for b in things if a[0] == words[2] and b[0] == words[-1]]
        return {"yes" if BESIDE[relation](*pair) else "no" for pair in pairs} if len(pairs) == 1 else {"several"}
    if relation:
        landmarks = [b for b in things if b[0] == words[-1]]
        fit = [a for a in things for b in landmarks if len(landmarks) == 1 and BESIDE[relation](a, b)]
    elif " thing " in question:
        place = next(name for name in scenes.PLACES if question.endswith(f"{name}?"))
        fit = [thing for thing in things if at(place, thing)]
    else:
        fit = [thing for thing in things if words[4] in thing[:2]]
    return {thing[words[1] == "colour"] for thing in fit} if len(fit) == 1 else {"several"}


@pytest.mark.parametrize(("layout", "kind"), list(itertools.product(LAYOUTS, DECKS)))
def test_every_answer_is_the_one_that_the_picture_shows(layout, kind):
    rng = random.Random(kind)
    place, numbers = LAYOUTS[layout]
    for card in itertools.islice(deal(rng, [kind]), 40):
        scene = scene_questions.compose(card, rng, layout)
        assert by_hand(card.question, scene) == {card.answer} and card.kind == kind
        assert len(scene.things) <= max(numbers) and len({thing[:2] for thing in scene.things}) == len(scene.things)
        assert len(scene.things) in numbers or kind == "count"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_answer_says_of_any_scene_is_what_the_picture_shows(layout):
    """Questions of other scenes too, where often no answer is right."""
    cards = {card.question: card for deck in DECKS.values() for card in deck()}
    rng, nothing, shown = random.Random(1), 0, 0
    for _ in range(60):
        kinds = rng.sample(scenes.KINDS, 4)
        things = LAYOUTS[layout][0](rng, kinds)
        scene = scenes.on_ground(rng, things)
        for question in rng.sample(sorted(cards), 40 if things else 0):
            found, expected = answer(question, scene), by_hand(question, scene)
            assert ({found} if found else {"several"}) == expected
            nothing, shown = nothing + (found is None), shown + (found is not None)
    assert nothing > 300 and shown > 300


def test_every_answer_of_a_question_is_dealt_as_often_as_any_other():
    """And with whatever is planted, so that nothing about cards tells answers apart."""
    for kind, deck in DECKS.items():
        cards = list(deck())
        counts: dict[str, Counter] = defaultdict(Counter)
        for card in cards:
            counts[card.question][card.answer] += 1
        for question, found in counts.items():
            assert len(set(found.values())) == 1 and len(found) >= 2, question
        answers = {answer for found in counts.values() for answer in found}
        expected = {
            "colour": set(COLORS),
            "shape": set(SHAPES),
            "exists": {"yes", "no"},
            "count": set(COUNTS),
            "place": {*COLORS, *SHAPES},
            "relation": {"yes", "no"},
            "neighbour": {*COLORS, *SHAPES},
        }
        assert answers == expected[kind]
        dealt = list(itertools.islice(deal(random.Random(0), [kind]), 3 * len(cards)))
        assert Counter(dealt[: len(cards)]) == Counter(cards) and Counter(dealt) == Counter(3 * cards)
        assert dealt[: len(cards)] != dealt[len(cards) : 2 * len(cards)]


def test_kinds_are_dealt_in_turn():
    kinds = [card.kind for card in itertools.islice(deal(random.Random(0), ["count", "exists", "colour"]), 9)]
    assert kinds == ["count", "exists", "colour"] * 3


def test_chance_is_what_the_best_guess_by_question_gets():
    cards = list(itertools.islice(deal(random.Random(0), DECKS), 21_000))
    usual: dict[str, Counter] = defaultdict(Counter)
    for card in cards:
        usual[card.question][card.answer] += 1
    right = sum(max(found.values()) for found in usual.values())
    assert 100 * right / len(cards) == pytest.approx(chance(cards), abs=1)
    one = {kind: chance(list(deck())) for kind, deck in DECKS.items()}
    assert one["exists"] == one["relation"] == 50 and one["colour"] == 12.5 and one["count"] == 20
    assert one["shape"] == pytest.approx(100 / 6) and one["place"] == pytest.approx(100 / 7)


def test_a_thing_that_is_not_there_has_as_many_like_it_as_one_that_is():
    rng, counts = random.Random(3), {"yes": Counter(), "no": Counter()}
    for card in itertools.islice(deal(rng, ["exists"]), 384):
        scene = scene_questions.compose(card, rng, "cells")
        words = re.findall(r"\w+", card.question)
        alike = tuple(sum(word in thing[:2] for thing in scene.things) for word in words[-2:])
        counts[card.answer][alike] += 1
    assert counts["yes"] == counts["no"] and set(counts["yes"]) == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_the_order_of_things_does_not_tell_what_a_question_is_about():
    rng, first, numbers = random.Random(5), 0, Counter()
    for card in itertools.islice(deal(rng, ["colour"]), 96):
        scene = scene_questions.compose(card, rng, "cells")
        first += scene.things[0].shape in card.question
        numbers[len(scene.things)] += 1
    assert first < 48 and set(numbers) == set(LAYOUTS["cells"][1]) == {4, 5, 6}


def test_things_in_cells_fill_one_each():
    rng, taken = random.Random(0), Counter()
    for _ in range(200):
        things = scenes.in_cells(rng, rng.sample(scenes.KINDS, 5))
        assert len({thing.box for thing in things}) == 5
        for thing in things:
            left, top, right, bottom = thing.box
            column, row = left * CELLS // SIDE, top * CELLS // SIDE
            size = SIDE // CELLS
            assert (left - column * size, top - row * size) == ((column + 1) * size - right, (row + 1) * size - bottom)
            assert right - left == bottom - top == scenes.SIZES[thing.size][0] and thing.size == "medium"
            taken[column, row] += 1
    assert len(taken) == CELLS**2 and max(taken.values()) < 2 * min(taken.values())


THREE = scene_of(
    ("circle", "red", (4, 4, 12, 12)), ("circle", "orange", (4, 30, 12, 38)), ("square", "red", (40, 4, 48, 12))
)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("what colour is the square?", "red"),
        ("what colour is the circle?", None),
        ("what colour is the ring?", None),
        ("what shape is the orange thing?", "circle"),
        ("what shape is the red thing?", None),
        ("how many circles are there?", "2"),
        ("how many red things are there?", "2"),
        ("how many crosses are there?", "0"),
        ("how many shapes are there?", None),
        ("is there an orange circle?", "yes"),
        ("is there an orange square?", "no"),
        ("what colour is the thing in the middle?", None),
        ("what shape is the thing at the right?", "square"),
        ("is the square above the circle?", None),
        ("is the circle above the ring?", None),
        ("what colour is the thing to the left of the square?", None),
        ("what shape is the thing above the square?", None),
        ("what colour is the thing above the circle?", None),
        ("what colour is the square", None),
        ("", None),
        ("what size is the square?", None),
    ],
)
def test_answer(question, expected):
    assert answer(question, THREE) == expected


def test_every_rule_and_every_word_of_the_questions_is_used():
    questions = {card.question for deck in DECKS.values() for card in deck()}
    for pattern in RULES:
        assert any(re.fullmatch(pattern, question) for question in questions)
    assert all(sum(bool(re.fullmatch(pattern, question)) for pattern in RULES) == 1 for question in questions)
    assert len({word for question in questions for word in question.rstrip("?").split()}) < 50


def test_types_of_answers_are_named_as_in_vqa():
    assert [answer_type(text) for text in ("yes", "no", "0", "4", "red")] == ["yes/no"] * 2 + ["number"] * 2 + ["other"]


SEEDS = range(240)


@pytest.fixture(scope="module")
def told():
    return [scene_phrases.compose(random.Random(seed)) for seed in SEEDS]


def true_of(text: str, scene: Scene) -> list[Thing]:
    """By words alone: things for which every word before the relation fits, and the rest holds."""
    head, *rest = re.split(" (above|below|to the left of|to the right of) the ", text)
    place = next((name for name in scenes.PLACES if head.endswith(name)), "")
    words = {*head.removesuffix(place).split()} - {"the", "thing"}
    found = [t for t in scene.things if words <= {t.shape, t.colour, t.size}]
    if place:
        found = [t for t in found if at(place, (0, 0, *t.box))]
    if rest:
        [landmark] = true_of(f"the {rest[1]}", scene)
        found = [t for t in found if BESIDE[rest[0]]((0, 0, *t.box), (0, 0, *landmark.box))]
    return found


def test_a_phrase_is_true_of_one_thing_alone_and_needs_every_word(told):
    for scene, phrase in told:
        assert true_of(phrase.text, scene) == referents(phrase.text, scene) == [phrase.thing]
        parts = re.fullmatch(r"(.*?)( at the \w+| in the middle| (?:above|below|to the \w+ of) .*)?", phrase.text)
        head, rest = parts[1], parts[2] or ""
        assert bool(rest) == (phrase.kind != "attributes") and (not rest or len(true_of(head, scene)) > 1)
        words = head.split()
        for i, word in enumerate(words[1:], 1):
            shorter = [*words[:i], *(["thing"] if i == len(words) - 1 else []), *words[i + 1 :]]
            if word != "thing":
                assert len(true_of(" ".join(shorter) + rest, scene)) > 1, phrase.text


def test_kinds_of_phrases_and_places_of_things_are_balanced(told):
    assert set(Counter(phrase.kind for _, phrase in told)) == set(scene_phrases.KINDS)
    assert min(Counter(phrase.kind for _, phrase in told).values()) > len(told) / 4
    first = sum(scene.things[0] == phrase.thing for scene, phrase in told) / len(told)
    widest = sum(
        phrase.thing.box[2] - phrase.thing.box[0] == max(t.box[2] - t.box[0] for t in scene.things)
        for scene, phrase in told
    ) / len(told)
    assert first == pytest.approx(1 / THINGS, abs=0.07) and widest < 0.42
    for scene, _ in told:
        assert len(scene.things) == len({thing[:3] for thing in scene.things}) == THINGS
        assert all(len({thing[i] for thing in scene.things}) <= 2 for i in range(3))


def test_exactly_one_candidate_fits_each_thing(told):
    places = Counter()
    for seed, (scene, phrase) in enumerate(told):
        boxes = scene_phrases.candidates(scene, random.Random(seed))
        assert len(boxes) == len(set(boxes)) == CANDIDATES
        assert all(0 <= left < right <= SIDE and 0 <= top < bottom <= SIDE for left, top, right, bottom in boxes)
        fit = iou(np.array(boxes), np.array([thing.box for thing in scene.things]))
        assert ((fit >= 0.6).sum(0) == 1).all() and (fit > 0.4).sum() == THINGS
        places[int(fit[:, scene.things.index(phrase.thing)].argmax())] += 1
    assert len(places) == CANDIDATES and max(places.values()) < 3 * len(told) / CANDIDATES
    moved = [
        box
        for scene, _ in told
        for box in scene_phrases.candidates(scene, random.Random(0))
        if box in {thing.box for thing in scene.things}
    ]
    assert len(moved) < len(told)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("the red thing", 2),
        ("the small circle", 2),
        ("the big circle", 0),
        ("the thing", 3),
        ("the circle at the top", 1),
        ("the circle to the left of the square", 2),
        ("the thing below the red circle", 1),
        ("the square above the circle", 0),
        ("the thing to the right of the orange circle", 1),
        ("a circle", 0),
        ("the circle at the top of the square", 0),
        ("the circle above the ring", 0),
        ("the thing below the red thing", 0),
        ("the orange thing in the middle", 0),
        ("", 0),
    ],
)
def test_meant(text, number):
    assert len(referents(text, THREE)) == number
