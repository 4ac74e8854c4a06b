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

EACH = 12  # items of a kind
SIDE = 240  # pixels of a thumbnail's longer side

STYLE = """
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1.4rem 1.2rem }
figure { margin: 0 } figure img { width: 100%; border-radius: 4px; display: block }
figcaption { margin-top: .35rem; overflow-wrap: anywhere } figcaption ul { margin: .2rem 0 0; padding-left: 1rem;
  color: var(--faint); font-size: .8rem }
"""


class GalleryItem(NamedTuple):
    """One item as the gallery shows it."""

    id: str
    value: float  # its own, of the first metric
    image: Path
    hypothesis: str
    references: Sequence[str]
    prompt: str | None = None  # what was asked


def choose(worst_first_N: NDArray[np.intp], each: int = EACH) -> dict[str, list[int]]:
    """Chooses the best, median and worst items, none twice; fewer of a kind where there are few items."""
    order = worst_first_N.tolist()
    each = min(each, -(-len(order) // 3))
    worst, rest = order[:each], order[each:]
    best, rest = rest[::-1][:each], rest[: max(0, len(rest) - each)]
    middle = max(0, (len(rest) - each) // 2)
    return {"best": best, "median": rest[middle : middle + each], "worst": worst}


def thumbnail(path: Path) -> str:
    """Makes a thumbnail as a data URL."""
    from PIL import Image

    from seqkit.data.image import read_image

    image = Image.fromarray(read_image(path, at_least=SIDE))
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def gallery(kinds: dict[str, list[GalleryItem]], metric: str) -> str:
    """Renders one heading and image grid per kind."""
    parts = []
    for kind, items in kinds.items():
        figures = "".join(map(_figure, items))
        parts.append(f'<h2>{kind.capitalize()} by {escape(metric)}</h2>\n<div class="gallery">{figures}</div>')
    return "\n".join(parts)


def _figure(item: GalleryItem) -> str:
    references = "".join(f"<li>{escape(text)}</li>" for text in dict.fromkeys(item.references))
    asked = f"<i>{escape(item.prompt)}</i><br>" if item.prompt else ""
    return (
        f'<figure><img alt="" src="{thumbnail(item.image)}"><figcaption>{asked}'
        f"{escape(item.hypothesis) or 'nothing'}<br><small>{item.value:.1f} · {escape(item.id)}</small>"
        f"<ul>{references}</ul></figcaption></figure>"
    )
