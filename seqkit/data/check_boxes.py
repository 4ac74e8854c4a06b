"""Rules of `seqkit check` for boxes: candidates and true boxes of phrases, in pixels of the upright picture."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from seqkit.data.box_text import read_numbers
from seqkit.data.check_files import opened
from seqkit.data.check_media import Finding, Line

PIXEL = 1.0  # by which a rounded box may reach past an edge
SIZED = "if it is left, top, width, height, make right and bottom of it"

Box = tuple[float, ...]


def boxes(lines: Sequence[Line]) -> Iterator[Finding]:
    """Finds boxes that are inside out, outside their picture or shares of it, and references that are no boxes."""
    for line, found in opened([line for line in lines if line.item.boxes], "image", "boxes", _size):
        if isinstance(found, str):  # which another rule tells
            continue
        height, width = found
        extent = line.item.extra.get("extent")
        if extent is not None and list(extent) != [height, width]:
            fault = f"{line.at('extent')}: is {extent}, but the upright picture has [{height}, {width}]; correct it"
            yield Finding(True, "other extent", fault)
        truth = [(f"references` {text!r}", text, read_numbers(text)) for text in line.item.references]
        given = [(f"boxes` {list(box)}", str(list(box)), box) for box in line.item.boxes]
        for name, text, box in [*given, *truth]:
            place = f'{line.file}, line {line.number}, id "{line.item.id}", `{name}'
            if box is None:
                yield Finding(True, "no box", f"{place}: must be left, top, right, bottom, got {text!r}")
            elif finding := _fault(box, height, width, place):
                yield finding


def _fault(box: Box, height: int, width: int, place: str) -> Finding | None:
    left, top, right, bottom = box
    if max(height, width) > 1 and max(box) <= 1 and min(box) >= 0 and any(edge % 1 for edge in box):
        fault = f"{place}: are shares of the picture; multiply them by its width {width} and height {height}"
        return Finding(True, "shares for pixels", fault)
    if right <= left or bottom <= top:
        return Finding(True, "box inside out", f"{place}: right and bottom must be beyond left and top; {SIZED}")
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        return Finding(True, "box outside", f"{place}: lies outside the {width} x {height} picture; correct it")
    if left < -PIXEL or top < -PIXEL or right > width + PIXEL or bottom > height + PIXEL:
        return Finding(False, "box beyond the edge", f"{place}: reaches out of the {width} x {height} picture; {SIZED}")
    return None


def _size(path: Path) -> tuple[int, int]:
    from seqkit.data.image import read_size

    return read_size(path)
