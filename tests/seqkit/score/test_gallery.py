"""The gallery shows each item once, in its place, with a picture that needs no other file."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.score.gallery import SIDE, GalleryItem, boxes_of, choose, thumbnail
from seqkit.score.report import Provenance, ScoredItem, write_report


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 40, 100])
@pytest.mark.parametrize("each", [1, 12])
def test_kinds_are_disjoint_ordered_and_as_many_as_there_are(count: int, each: int) -> None:
    order_N = np.random.default_rng(0).permutation(count)
    kinds = choose(order_N, each)
    places = [list(order_N).index(n) for kind in kinds.values() for n in kind]
    assert len(set(places)) == len(places) == min(count, 3 * each) or count < 3 * each
    rank = {kind: [list(order_N).index(n) for n in found] for kind, found in kinds.items()}
    assert rank["worst"] == list(range(len(rank["worst"])))
    assert rank["best"] == [count - 1 - n for n in range(len(rank["best"]))]
    if count > 3 * each:
        assert abs(sum(rank["median"]) / each - (count - 1) / 2) <= 1 and len(rank["median"]) == each


def test_a_thumbnail_is_a_small_jpeg_of_the_picture(tmp_path: Path) -> None:
    Image.new("RGB", (1200, 600), (200, 30, 30)).save(tmp_path / "a.png")
    head, _, data = thumbnail(tmp_path / "a.png").partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == "data:image/jpeg;base64" and image.format == "JPEG" and image.size == (SIDE, SIDE // 2)
    assert abs(image.getpixel((5, 5))[0] - 200) < 6


def test_a_report_about_pictures_shows_them_in_place_of_alignments(tmp_path: Path) -> None:
    items = []
    for n, said in enumerate(["a dog runs", "a <cat> sits", "nothing like it"]):
        Image.new("RGB", (40, 40), (80 * n, 0, 0)).save(tmp_path / f"{n}.png")
        items.append(ScoredItem(f"i{n}", ["a dog runs", "a <dog> ran"], said, image=tmp_path / f"{n}.png"))
    about = Provenance("captioning", "val", None, "cpu", {"beam": 1, "seconds": 1.0})
    write_report(tmp_path / "out", items, ["bleu1"], about)
    page = (tmp_path / "out" / "report.html").read_text()
    places = [
        page.index(text)
        for text in (
            "Best by bleu1",
            "a dog runs<br>",
            "Median by",
            "a &lt;cat&gt; sits<br>",
            "Worst by",
            "nothing like it<br>",
        )
    ]
    assert places == sorted(places) and page.count("data:image/jpeg") == 3 and "worst items" not in page
    assert page.count("<li>a &lt;dog&gt; ran</li>") == 3
    write_report(tmp_path / "out", [*items, items[0]._replace(id="x", image=None)], ["bleu1"], about)
    assert "worst items" in (tmp_path / "out" / "report.html").read_text()


def test_boxes_are_drawn_where_they_are(tmp_path: Path) -> None:
    Image.new("RGB", (480, 240), (255, 255, 255)).save(tmp_path / "a.png")
    item = GalleryItem("a", 0.0, tmp_path / "a.png", "20 20 100 100", ("200 40 300 200", "no box"), boxes=True)
    assert boxes_of(item._replace(boxes=False)) == []
    _, _, data = thumbnail(item.image, boxes_of(item)).partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    red, green, plain = image.getpixel((10, 30)), image.getpixel((100, 60)), image.getpixel((200, 60))
    assert red[0] > red[1] + 60 and green[1] > green[0] + 60 and min(plain) > 230
