"""Boxes as people and programs write them, to four numbers.

Texts are four numbers, left, top, right, bottom: with white space, commas or semicolons between, any brackets, quotes
and names of functions around, as in `0 0 9 9`, `[0, 0, 9, 9]`, `(0,0),(9,9)`, `<box>(0,0),(9,9)</box>`,
`tensor([0., 0., 9., 9.], device='cuda:0')` or `{"bbox_2d": [0, 0, 9, 9], "label": "dog"}`; or four named numbers, as
in `{"x": 0, "y": 0, "width": 9, "height": 9}`, in the names of NAMES, with a score and a label beside. What may mean
two things is no box: a `bbox`, which is left, top, width, height in COCO, and five numbers.
"""

import math
import re

from seqkit.data.text import invisible

_ORDERS = "x1 y1 x2 y2, x0 y0 x1 y1, xmin ymin xmax ymax, left top right bottom, l t r b, x y w h, x y width height, "
_ORDERS += "left top width height, cx cy w h, cx cy width height, xcenter ycenter w h, xcenter ycenter width height"
NAMES = {frozenset(names): names for names in (order.split() for order in _ORDERS.split(", "))}
BESIDE = {"score", "scores", "confidence", "conf", "prob", "probability", "id", "class", "label"}  # a box's numbers
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_FOUR = re.compile(r"[\s\[({<]*" + r"[\s,;|\[\](){}<>]+".join([_NUMBER] * 4) + r"[\s\])}>,.]*")
_NAMED = re.compile(r"([A-Za-z]\w*)[\"']?\s*[:=]\s*" + _NUMBER)
_TAG = re.compile(
    r"</?\w*box\w*>|<\|box_(?:start|end)\|>|\b(?:np\.|torch\.)?(?:tensor|array|Box|BBox|BoundingBox)(?=\()"
    r"|,\s*(?:dtype|device)=[^,)]*|[\"']?\bbbox_2d[\"']?\s*:|[\"']?\blabel[\"']?\s*[:=]\s*[\"'][^\"']*[\"']|```(?:json)?"
    r"|[\"']",
    re.IGNORECASE,
)
Box = tuple[float, float, float, float]


def read_box(text: str) -> Box | None:
    """Parses a box in any notation of the module's docstring; None where the text is no box with an area."""
    numbers = read_numbers(text)
    if numbers is None:
        return None
    left, top, right, bottom = numbers
    return numbers if left < right and top < bottom else None


def read_numbers(text: str) -> Box | None:
    """Parses four finite numbers, those of a box by names as left, top, right, bottom; None where they are not four."""
    for char in {*invisible(text)}:
        text = text.replace(char, "")
    text = text.replace("\N{MINUS SIGN}", "-")
    named = {name.lower().replace("_", ""): float(value) for name, value in _NAMED.findall(text)}
    named = {name: value for name, value in named.items() if name not in BESIDE}
    found = None
    if frozenset(named) in NAMES:
        first, second, third, fourth = (named[name] for name in NAMES[frozenset(named)])
        if "w" in named or "width" in named:
            middle = "cx" in named or "xcenter" in named
            first, second = (first - third / 2, second - fourth / 2) if middle else (first, second)
            third, fourth = first + third, second + fourth
        found = first, second, third, fourth
    elif match := _FOUR.fullmatch(_TAG.sub(" ", text)):
        first, second, third, fourth = map(float, match.groups())
        found = first, second, third, fourth
    return found if found and all(map(math.isfinite, found)) else None
