"""What the model attended to for the best, median and worst items, drawn into the HTML report."""

import base64
import tempfile
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from seqkit.errors import InputError

EACH = 2  # items of a kind


class Drawn(NamedTuple):
    """An item and what draws its attention to a .png, and maybe others beside it."""

    title: str
    draw: Callable[[Path], None]


def attention_section(kinds: Mapping[str, Sequence[Drawn]], metric: str) -> str:
    """Renders a heading and the pictures of each kind; what cannot be drawn is said."""
    parts = []
    for kind, items in kinds.items():
        figures = "".join(map(_figure, items))
        parts.append(f'<h2>Attention, {kind} by {escape(metric)}</h2>\n<div class="plots">{figures}</div>')
    return "\n".join(parts)


def _figure(item: Drawn) -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            item.draw(Path(folder) / "plot.png")
        except InputError as error:
            return f"<p>{escape(item.title)}: {escape(str(error))}</p>"
        pictures = [path.read_bytes() for path in sorted(Path(folder).glob("*.png"))]
    images = "".join(f'<img alt="" src="data:image/png;base64,{base64.b64encode(one).decode()}">' for one in pictures)
    return f"<figure>{images}<figcaption>{escape(item.title)}</figcaption></figure>"
