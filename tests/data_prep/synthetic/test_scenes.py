"""Drawn scenes: boxes against pixels, captions and `holds` against a plain enumeration of all that is true."""

import itertools
import json
import random
import re

import numpy as np
import pytest

from seqkit.data_prep.synthetic import scenes
from seqkit.data_prep.synthetic.scenes import (
    COLORS,
    GROUNDS,
    MARGIN,
    NUMBERS,
    SHAPES,
    SIDE,
    SIZES,
    TEXTURES,
    Scene,
    Thing,
)

SEEDS = range(30)


def a_scene(seed: int) -> Scene:
    return scenes.compose(random.Random(seed))


def pixels_of(thing: Thing, ground: Scene) -> np.ndarray:
    """Where the picture with the thing alone differs from the empty one, as (row, column) pairs."""
    empty = scenes.draw(ground._replace(things=()), random.Random(0))
    alone = scenes.draw(ground._replace(things=(thing,)), random.Random(0))
    return np.argwhere((empty != alone).any(-1))


def descriptions(thing: Thing) -> list[str]:
    adjectives = [[], [thing.size], [thing.colour], [thing.size, thing.colour]]
    texts = [" ".join([*words, thing.shape]) for words in adjectives]
    return [("an " if text.startswith("orange") else "a ") + text for text in texts]


def all_true(scene: Scene) -> set[str]:
    """Every true sentence of the grammar but for lists, from the pixels alone."""
    spots = {thing: pixels_of(thing, scene) for thing in scene.things}
    sentences = set()
    for one, other in itertools.permutations(scene.things, 2):
        (top, left), (bottom, right) = spots[one].min(0), spots[one].max(0)
        (other_top, other_left), (other_bottom, other_right) = spots[other].min(0), spots[other].max(0)
        facts = {
            "above": bottom < other_top,
            "below": top > other_bottom,
            "to the left of": right < other_left,
            "to the right of": left > other_right,
        }
        true = [name for name, fact in facts.items() if fact]
        sentences |= {f"{a} is {name} {b}" for a in descriptions(one) for name in true for b in descriptions(other)}
    for thing in scene.things:
        y, x = (spots[thing].min(0) + spots[thing].max(0) + 1) / 2
        true = [
            name
            for name, fact in {
                "at the top": 3 * y < SIDE,
                "at the bottom": 3 * y > 2 * SIDE,
                "at the left": 3 * x < SIDE,
                "at the right": 3 * x > 2 * SIDE,
            }.items()
            if fact
        ]
        for text in descriptions(thing):
            sentences |= {f"{text} is {name} of the picture" for name in true or ["in the middle"]}
            sentences.add(f"{text} on a {scene.texture} {scene.ground} background")
    for size, colour, shape in itertools.product(["", *SIZES], ["", *COLORS], ["shape", *SHAPES]):
        wanted = {size, colour, shape} - {"", "shape"}
        number = sum(wanted <= {thing.size, thing.colour, thing.shape} for thing in scene.things)
        text = " ".join(filter(None, [size, colour, shape]))
        plural = f"{text}s".replace("crosss", "crosses")
        sentences |= {f"there are {NUMBERS[number]} {plural}"} | ({f"there is one {text}"} if number == 1 else set())
    return sentences


@pytest.mark.parametrize("shape", SHAPES)
def test_a_box_fits_its_thing_tightly(shape):
    for side in range(min(SIZES["small"]), max(SIZES["big"]) + 1):
        found = pixels_of(Thing(shape, "red", "any", (5, 11, 5 + side, 11 + side)), Scene((), "plain", "grey"))
        assert [*found.min(0), *found.max(0)] == [11, 5, 10 + side, 4 + side]
        mask = np.zeros((side, side), bool)
        mask[tuple((found - [11, 5]).T)] = True
        assert (mask == mask[:, ::-1]).all() and (shape == "triangle" or (mask == mask.T).all())


def test_every_colour_is_seen_whole_on_every_ground():
    for colour, texture, ground in itertools.product(COLORS, TEXTURES, GROUNDS):
        assert len(pixels_of(Thing("square", colour, "any", (9, 7, 39, 37)), Scene((), texture, ground))) == 900


@pytest.mark.parametrize(
    ("shape", "share"),
    [
        ("circle", np.pi / 4),
        ("ring", np.pi / 4 * (1 - 0.55**2)),
        ("square", 1),
        ("triangle", 0.5),
        ("diamond", 0.5),
        ("cross", 1 - 0.65**2),
    ],
)
def test_a_shape_fills_its_share_of_the_box(shape, share):
    found = pixels_of(Thing(shape, "red", "any", (0, 0, 60, 60)), Scene((), "plain", "grey"))
    assert len(found) / 3600 == pytest.approx(share, abs=0.03)


def test_shapes_differ_at_every_size():
    for side in {side for low, high in SIZES.values() for side in range(low, high + 1)}:
        scene = Scene((), "plain", "grey")
        masks = {
            tuple(map(tuple, pixels_of(Thing(shape, "red", "any", (0, 0, side, side)), scene))) for shape in SHAPES
        }
        assert len(masks) == len(SHAPES)


def test_tones_stay_near_their_colours_and_apart_from_the_others():
    named = {**COLORS, **GROUNDS}
    for seed in range(20):
        for colour, ground in itertools.product(COLORS, GROUNDS):
            scene = Scene((Thing("square", colour, "big", (10, 10, 30, 30)),), "checked", ground)
            picture = scenes.draw(scene, random.Random(seed)).astype(int)
            for wanted, spot in ((colour, picture[20, 20]), (ground, picture[0, 0]), (ground, picture[0, 8])):
                assert min(named, key=lambda name: np.abs(spot - named[name]).sum()) == wanted


@pytest.mark.parametrize("texture", TEXTURES)
def test_textures_have_two_tones_and_move(texture):
    pictures = [scenes.draw(Scene((), texture, "grey"), random.Random(seed)) for seed in range(12)]
    for picture in pictures:
        tones = {tuple(tone) for tone in picture.reshape(-1, 3).tolist()}
        assert picture.shape == (SIDE, SIDE, 3) and picture.dtype == np.uint8
        assert len(tones) == (1 if texture == "plain" else 2)
    assert len({(picture == picture[0, 0]).tobytes() for picture in pictures}) > 1 or texture == "plain"


def test_scenes_keep_their_rules():
    numbers = set()
    for seed in range(300):
        scene = a_scene(seed)
        numbers.add(len(scene.things))
        assert len({thing[:2] for thing in scene.things}) == len(scene.things)
        for thing in scene.things:
            left, top, right, bottom = thing.box
            low, high = SIZES[thing.size]
            assert low <= right - left == bottom - top <= high
            assert min(left, top) >= MARGIN and max(right, bottom) <= SIDE - MARGIN
        for one, other in itertools.combinations(scene.things, 2):
            across = max(one.box[0], other.box[0]) - min(one.box[2], other.box[2])
            down = max(one.box[1], other.box[1]) - min(one.box[3], other.box[3])
            assert max(across, down) >= MARGIN
    assert numbers == {2, 3, 4}
    bounds = [bound for size in SIZES.values() for bound in size]
    assert bounds == sorted(set(bounds))


def test_captions_are_five_true_sentences_each_of_its_own_kind():
    for seed in SEEDS:
        scene = a_scene(seed)
        texts = scenes.captions(scene, random.Random(seed))
        assert len(set(texts)) == 5 and all(scenes.holds(text, scene) is True for text in texts)
        true = all_true(scene)
        listed = texts[1].replace(" and ", ", ").split(", ")
        assert {*texts[:1], *texts[2:]} <= true
        assert listed == [descriptions(t)[2] for t in sorted(scene.things, key=lambda t: t.box[0] + t.box[1] / 1000)]
        assert re.match(r"an? (small|medium|big) \w+ \w+ is (above|below|to) ", texts[0])


def test_what_holds_is_what_can_be_listed():
    """Captions of one scene, judged in others: mostly false there, and true where the pixels make them so."""
    answers = []
    for seed in SEEDS:
        scene = a_scene(seed)
        true = all_true(scene)
        for other in range(100):
            for text in scenes.captions(a_scene(other), random.Random(other))[::2]:
                answers.append(scenes.holds(text, scene))
                assert answers[-1] is (text in true), text
        assert all(scenes.holds(text, scene) for text in true)
    assert 100 < sum(answers) < 0.5 * len(answers)


TWO = Scene(
    (Thing("circle", "red", "small", (4, 4, 12, 12)), Thing("circle", "orange", "big", (4, 30, 26, 52))),
    "plain",
    "grey",
)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a small red circle is above a big orange circle", True),
        ("a circle is above a circle", True),
        ("a big red circle is above an orange circle", False),
        ("a red circle is to the left of a circle", False),
        ("a red circle is below an orange circle", False),
        ("a red circle is above a red circle", False),
        ("an orange circle and a red circle", True),
        ("a red circle and a red circle", False),
        ("a circle and a circle", True),
        ("a circle, a circle and a circle", False),
        ("a red circle and a square", False),
        ("a red circle is at the top of the picture", True),
        ("a big circle is at the top of the picture", False),
        ("an orange circle on a plain grey background", True),
        ("a square on a plain grey background", False),
        ("a red circle on a dotted grey background", False),
        ("a red circle on a plain pink background", False),
        ("there are two circles", True),
        ("there are two shapes", True),
        ("there is one circle", False),
        ("there is one big shape", True),
        ("there are no squares", True),
        ("there are three shapes", False),
        ("a red circle", None),
        ("there are two dogs", None),
        ("there are no crosses", True),
        ("there are no crosss", None),
        ("there are two circle", None),
        ("there is one circles", None),
        ("a circle red is above a circle", None),
        ("", None),
        ("a red circle is above", None),
        ("a red circle is above an orange circle .", None),
    ],
)
def test_holds(caption, expected):
    assert scenes.holds(caption, TWO) is expected


def test_every_word_of_the_grammar_is_used():
    words = {
        w
        for seed in range(300)
        for text in scenes.captions(a_scene(seed), random.Random(seed))
        for w in text.replace(",", "").split()
    }
    names = {*SHAPES, *COLORS, *SIZES, *TEXTURES, *GROUNDS, "above", "below", "left", "right", "top", "bottom"}
    plurals = {"circles", "rings", "squares", "triangles", "diamonds", "crosses", "shapes"}
    assert names | plurals | {"middle", "shape", *NUMBERS[1:]} <= words
    assert len(words) < 60


def test_a_scene_goes_through_json():
    for seed in SEEDS:
        scene = a_scene(seed)
        assert scenes.from_json(scenes.to_json(scene)) == scene
        again = scenes.from_json(json.loads(json.dumps(scenes.to_json(scene))))
        assert again == scene and hash(again) == hash(scene)
