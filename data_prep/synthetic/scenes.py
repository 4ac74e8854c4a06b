"""Drawn scenes: colored shapes on a background, and sentences about them that are true by rule.

A `Scene` is a value from which everything else follows: the picture (`draw`), true captions (`captions`), and whether
a caption is true (`holds`). Boxes keep a distance, so of two things one is always clearly above, below, left or right
of the other. In what `compose` makes no two things share both shape and color, so `the red circle` is one thing.

Boxes are (left, top, right, bottom) in pixels from the upper left corner, right and bottom just outside, and fit the
thing tightly. R rows, C columns of pixels, 3 for red, green, blue.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 64  # pixels, of every picture
MARGIN = 2  # pixels at least between two things, and around each
SIZES = {"small": (8, 10), "medium": (14, 16), "big": (21, 24)}  # pixels of a side, from and to
COLORS = {
    "red": (214, 40, 40),
    "green": (44, 160, 60),
    "blue": (40, 80, 215),
    "yellow": (245, 220, 50),
    "orange": (250, 140, 30),
    "purple": (140, 60, 170),
    "black": (20, 20, 20),
    "white": (250, 250, 250),
}
GROUNDS = {"grey": (150, 150, 150), "brown": (130, 95, 65), "pink": (230, 160, 185), "cyan": (120, 205, 210)}
CONTRAST = np.uint8(14)  # of 255, between a ground's color and each of its texture's two tones
NUMBERS = ("no", "one", "two", "three", "four")  # also how many things a scene may have

CELLS = 4  # along each side, of a scene whose things stand in cells

Box = tuple[int, int, int, int]
Kind = tuple[str, str]  # shape and color


class Thing(NamedTuple):
    shape: str
    colour: str  # spelled as in the manifests
    size: str
    box: Box


class Scene(NamedTuple):
    things: tuple[Thing, ...]
    texture: str  # of the background
    ground: str  # its color


# Which pixels of an N x N box a shape covers: x and y count from the box's middle, r is half its side.
SHAPES: dict[str, Callable[..., NDArray[np.bool_]]] = {
    "circle": lambda x, y, r: x**2 + y**2 <= r**2,
    "ring": lambda x, y, r: (x**2 + y**2 <= r**2) & (x**2 + y**2 >= (0.55 * r) ** 2),
    "square": lambda x, y, r: (abs(x) <= r) & (abs(y) <= r),
    "triangle": lambda x, y, r: 2 * abs(x) <= y + r + 0.5,
    "diamond": lambda x, y, r: abs(x) + abs(y) <= r,
    "cross": lambda x, y, r: (abs(x) <= 0.35 * r) | (abs(y) <= 0.35 * r),
}
KINDS: list[Kind] = [(shape, color) for shape in SHAPES for color in COLORS]
SINGULARS = {noun + ("es" if noun.endswith("s") else "s"): noun for noun in ("shape", *SHAPES)}
PLURALS = {singular: plural for plural, singular in SINGULARS.items()}
# Where the background has its lighter tone.
TEXTURES: dict[str, Callable[..., NDArray[np.bool_]]] = {
    "plain": lambda row, column: (row < 0) & (column < 0),
    "striped": lambda row, column: (row + 0 * column) % 8 < 4,
    "checked": lambda row, column: (row // 8 + column // 8) % 2 == 0,
    "dotted": lambda row, column: (row % 6 < 2) & (column % 6 < 2),
}
RELATIONS: dict[str, Callable[[Box, Box], bool]] = {
    "above": lambda one, other: one[3] <= other[1],
    "below": lambda one, other: one[1] >= other[3],
    "to the left of": lambda one, other: one[2] <= other[0],
    "to the right of": lambda one, other: one[0] >= other[2],
}
PLACES: dict[str, Callable[[float, float], bool]] = {  # of a thing's middle, 0 to 1 from the left and from the top
    "at the top": lambda x, y: y < 1 / 3,
    "at the bottom": lambda x, y: y > 2 / 3,
    "at the left": lambda x, y: x < 1 / 3,
    "at the right": lambda x, y: x > 2 / 3,
    "in the middle": lambda x, y: 1 / 3 <= x <= 2 / 3 and 1 / 3 <= y <= 2 / 3,
}


def compose(rng: random.Random) -> Scene:
    """A scene of two to four things."""
    things: tuple[Thing, ...] = ()
    while not things:
        things = scattered(rng, rng.sample(KINDS, rng.randint(2, len(NUMBERS) - 1)))
    return on_ground(rng, things)


def on_ground(rng: random.Random, things: tuple[Thing, ...]) -> Scene:
    """The things on some background."""
    return Scene(things, rng.choice(list(TEXTURES)), rng.choice(list(GROUNDS)))


def scattered(rng: random.Random, kinds: Sequence[Kind], sizes: Sequence[str] = ()) -> tuple[Thing, ...]:
    """Things anywhere, of any size where `sizes` does not say; none at all where there is no room for one of them."""
    things: list[Thing] = []
    for i, (shape, color) in enumerate(kinds):
        size = sizes[i] if sizes else rng.choice(list(SIZES))
        boxes = (_box(rng, size) for _ in range(20))
        free = (box for box in boxes if all(_apart(box, thing.box) for thing in things))
        things += [Thing(shape, color, size, box) for box in itertools.islice(free, 1)]
    return tuple(things) if len(things) == len(kinds) else ()


def in_cells(rng: random.Random, kinds: Sequence[Kind]) -> tuple[Thing, ...]:
    """Things of one size, each in the middle of a cell of its own of the picture's CELLS x CELLS."""
    cell, side = SIDE // CELLS, SIZES["medium"][0]
    corners = list(itertools.product(range((cell - side) // 2, SIDE, cell), repeat=2))
    places = rng.sample(corners, len(kinds))
    return tuple(Thing(*kind, "medium", (x, y, x + side, y + side)) for kind, (x, y) in zip(kinds, places, strict=True))


def _box(rng: random.Random, size: str) -> Box:
    side = rng.randint(*SIZES[size])
    left, top = (rng.randint(MARGIN, SIDE - MARGIN - side) for _ in range(2))
    return left, top, left + side, top + side


def _apart(one: Box, other: Box) -> bool:
    gaps = (one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])
    return max(gaps) >= MARGIN


def draw(scene: Scene, rng: random.Random) -> NDArray[np.uint8]:
    """The picture (R, C, 3); `rng` moves the texture and varies every color a little, within its name."""

    def tone(color: tuple[int, int, int]) -> NDArray[np.uint8]:
        return np.array([min(255, max(0, part + rng.randint(-10, 10))) for part in color], np.uint8)

    places = np.arange(SIDE)
    mask_RC = TEXTURES[scene.texture](places[:, None] + rng.randrange(24), places + rng.randrange(24))
    ground_3 = tone(GROUNDS[scene.ground])
    picture_RC3 = np.where(mask_RC[..., None], ground_3 + CONTRAST, ground_3 - CONTRAST)
    for thing in scene.things:
        left, top, right, bottom = thing.box
        from_middle = places[: right - left] - (right - left - 1) / 2
        mask_RC = SHAPES[thing.shape](from_middle, from_middle[:, None], (right - left) / 2)
        picture_RC3[top:bottom, left:right][mask_RC] = tone(COLORS[thing.colour])
    return picture_RC3


def captions(scene: Scene, rng: random.Random) -> tuple[str, ...]:
    """Five different true sentences: how two things lie; all, from left to right; a place; the ground; a count."""
    one, other = rng.sample(scene.things, 2)
    relation = rng.choice([name for name, true in RELATIONS.items() if true(one.box, other.box)])
    *most, last = (describe(thing) for thing in sorted(scene.things, key=lambda thing: thing.box))
    placed, seen = rng.choice(scene.things), rng.choice(scene.things)
    color, noun = rng.choice([("", "shape"), ("", seen.shape), (f"{seen.colour} ", "shape")])
    number = next(i for i in range(len(NUMBERS)) if _counted(scene, NUMBERS[i], color, noun))
    return (
        f"{describe(one, size=True)} is {relation} {describe(other, size=True)}",
        f"{', '.join(most)} and {last}",
        f"{describe(placed)} is {rng.choice(list(places(placed)))} of the picture",
        f"{describe(rng.choice(scene.things))} on a {scene.texture} {scene.ground} background",
        f"there is one {color}{noun}" if number == 1 else f"there are {NUMBERS[number]} {color}{PLURALS[noun]}",
    )


def describe(thing: Thing, *, size: bool = False) -> str:
    """`a red circle`, or with its size `a small red circle`."""
    words = f"{thing.size} {thing.colour} {thing.shape}" if size else f"{thing.colour} {thing.shape}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def places(thing: Thing) -> Iterator[str]:
    """Every name of where the thing is in the picture."""
    left, top, right, bottom = thing.box
    return (name for name, true in PLACES.items() if true((left + right) / 2 / SIDE, (top + bottom) / 2 / SIDE))


def holds(caption: str, scene: Scene) -> bool | None:
    """Whether a sentence in the manner of `captions` is true of the scene; None for any other sentence."""
    for pattern, rule in RULES.items():
        if match := re.fullmatch(pattern, caption):
            return rule(scene, *match.groups())
    return None


def _fits(description: str, thing: Thing) -> bool:
    return set(description.split()[1:]) <= set(thing[:3])


def _listed(scene: Scene, *descriptions: str) -> bool:
    """Whether there is a thing for each description, none for two."""
    chosen = itertools.permutations(scene.things, len(descriptions))
    return any(all(map(_fits, descriptions, things)) for things in chosen)


def _related(scene: Scene, one: str, relation: str, other: str) -> bool:
    pairs = itertools.permutations(scene.things, 2)
    return any(_fits(one, a) and _fits(other, b) and RELATIONS[relation](a.box, b.box) for a, b in pairs)


def _placed(scene: Scene, description: str, place: str) -> bool:
    return any(_fits(description, thing) and place in places(thing) for thing in scene.things)


def _grounded(scene: Scene, description: str, texture: str, ground: str) -> bool:
    return (scene.texture, scene.ground) == (texture, ground) and _listed(scene, description)


def _counted(scene: Scene, number: str, adjectives: str, noun: str) -> bool:
    wanted = {*adjectives.split(), SINGULARS.get(noun, noun)} - {"shape"}
    return NUMBERS.index(number) == sum(wanted <= set(thing[:3]) for thing in scene.things)


def _either(words: Mapping[str, object] | tuple[str, ...]) -> str:
    return f"(?:{'|'.join(words)})"


_ADJECTIVES = f"(?:{_either(SIZES)} )?(?:{_either(COLORS)} )?"
_A = f"(an? {_ADJECTIVES}{_either(SHAPES)})"
RULES: dict[str, Callable[..., bool]] = {  # sentence to rule, whose arguments are the sentence's groups
    f"{_A} is ({_either(RELATIONS)}) {_A}": _related,
    f"{_A} is ({_either(PLACES)}) of the picture": _placed,
    f"{_A} on a ({_either(TEXTURES)}) ({_either(GROUNDS)}) background": _grounded,
    f"there is (one) ({_ADJECTIVES})({_either(PLURALS)})": _counted,
    f"there are ({_either(NUMBERS)}) ({_ADJECTIVES})({_either(SINGULARS)})": _counted,
    **{", ".join([_A] * n) + f" and {_A}": _listed for n in range(1, len(NUMBERS) - 1)},
}


def to_json(scene: Scene) -> dict[str, Any]:
    """The scene as a manifest keeps it, under `scene`."""
    return {**scene._asdict(), "things": [thing._asdict() for thing in scene.things]}


def from_json(values: Mapping[str, Any]) -> Scene:
    """The scene that `to_json` wrote, before or after it was in a file."""
    things = (Thing(**{**thing, "box": tuple(thing["box"])}) for thing in values["things"])
    return Scene(tuple(things), values["texture"], values["ground"])
