"""Gallery of the best, median and worst items with their images, for the HTML report.

N items.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.data.box_text import read_box

EACH = 12  # items of a kind
Box = tuple[float, float, float, float]
RIGHT, FOUND = "#2f9d5f", "#d43d2a"
SIDE = 240  # pixels of a thumbnail's longer side

STYLE = """
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1.4rem 1.2rem }
figure { margin: 0 } figure img { width: 100%; border-radius: 4px; display: block }
figcaption { margin-top: .35rem; overflow-wrap: anywhere } figcaption ul { margin: .2rem 0 0; padding-left: 1rem;
  color: var(--faint); font-size: .8rem }
"""
LEGEND = f'<p><b style="color: {FOUND}">predicted</b> <b style="color: {RIGHT}">right</b></p>'


class GalleryItem(NamedTuple):
    """One item as the gallery shows it."""

    id: str
    value: float  # its own, of the first metric
    image: Path
    hypothesis: str
    references: Sequence[str]
    prompt: str | None = None  # what was asked
    boxes: bool = False  # hypothesis and references are boxes, to be drawn


def choose(worst_first_N: NDArray[np.intp], each: int = EACH) -> dict[str, list[int]]:
    """Chooses the best, median and worst items, none twice; fewer of a kind where there are few items."""
    order = worst_first_N.tolist()
    each = min(each, -(-len(order) // 3))
    worst, rest = order[:each], order[each:]
    best, rest = rest[::-1][:each], rest[: max(0, len(rest) - each)]
    middle = max(0, (len(rest) - each) // 2)
    return {"best": best, "median": rest[middle : middle + each], "worst": worst}


def thumbnail(path: Path, boxes: Sequence[tuple[str, Box]] = ()) -> str:
    """Makes a thumbnail as a data URL, with boxes (left, top, right, bottom in pixels of the image) in their colors."""
    from PIL import Image, ImageDraw

    from seqkit.data.image import read_image, read_size

    image = Image.fromarray(read_image(path, at_least=SIDE))
    image.thumbnail((SIDE, SIDE))
    scale = image.width / read_size(path)[1] if boxes else 1.0
    for color, box in boxes:
        corners = [side * scale for side in box]
        ImageDraw.Draw(image).rectangle(corners, outline=color, width=3)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def boxes_of(item: GalleryItem) -> list[tuple[str, Box]]:
    """The boxes of an item whose texts are boxes: those that are right, and the predicted one on top."""
    texts = [*((RIGHT, text) for text in item.references), (FOUND, item.hypothesis)] if item.boxes else []
    return [(color, box) for color, text in texts if (box := read_box(text)) is not None]


def gallery(kinds: dict[str, list[GalleryItem]], metric: str) -> str:
    """Renders one heading and image grid per kind."""
    parts = []
    for kind, items in kinds.items():
        figures = "".join(map(_figure, items))
        legend = LEGEND if items and items[0].boxes else ""
        parts.append(f'<h2>{kind.capitalize()} by {escape(metric)}</h2>\n{legend}<div class="gallery">{figures}</div>')
    return "\n".join(parts)


def _figure(item: GalleryItem) -> str:
    references = "".join(f"<li>{escape(text)}</li>" for text in dict.fromkeys(item.references))
    asked = f"<i>{escape(item.prompt)}</i><br>" if item.prompt else ""
    return (
        f'<figure><img alt="" src="{thumbnail(item.image, boxes_of(item))}"><figcaption>{asked}'
        f"{escape(item.hypothesis) or 'nothing'}<br><small>{item.value:.1f} · {escape(item.id)}</small>"
        f"<ul>{references}</ul></figcaption></figure>"
    )
