"""Items about images: each image decoded once, none in two splits, every dropped item counted and named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqkit.data.manifest import Item
from seqkit.data_prep.common import image_check
from seqkit.data_prep.common.image_check import DecodeCheck
from seqkit.data_prep.common.image_items import Split, check_disjoint, keep_readable, merge
from seqkit.data_prep.common.raw_files import find_files
from seqkit.errors import InputError
from tests import fragile


def picture(path: Path, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def test_pictures_are_decoded_once_and_all_of_their_items_go_with_them(tmp_path, monkeypatch, decoded_here):
    looked = []
    faults = {"a.png": "", "b.png": "x"}
    monkeypatch.setattr(
        image_check, "check_decode", lambda path: looked.append(path.name) or DecodeCheck(faults[path.name])
    )
    part = Split.empty()
    for i, name in enumerate("abab"):
        picture(tmp_path / f"{name}.png")
        part.items.append(Item(id=str(i), image=Path(f"{name}.png"), question="?"))
    kept = keep_readable(find_files(tmp_path), part, workers=1, title="")
    assert looked == ["a.png", "b.png"] and [item.id for item in kept.items] == ["0", "2"]
    assert kept.counts["dropped"] == {"x": 2} and kept.counts["named"] == {"x": ["b.png"]}
    assert kept.counts["images"] == 2


def test_the_finish_of_an_item_may_change_or_drop_it(tmp_path):
    picture(tmp_path / "a.png")
    part = Split([Item(id=i, image=Path("a.png")) for i in "xyz"], {"odd": ["w"]})
    kept = keep_readable(
        find_files(tmp_path),
        part,
        workers=1,
        title="",
        finish=lambda item: "odd" if item.id == "y" else Item(id=item.id * 2, image=item.image),
    )
    assert [item.id for item in kept.items] == ["xx", "zz"] and kept.counts["dropped"] == {"odd": 2}
    assert kept.items[0].image == tmp_path / "a.png"


def test_at_most_a_hundred_of_a_fault_are_named():
    part = Split([], {"odd": [str(i) for i in range(250)]})
    counts = keep_readable({}, part, workers=1, title="").counts
    assert counts["dropped"] == {"odd": 250} and len(counts["named"]["odd"]) == 100


def test_several_test_sets_may_share_pictures():
    def part(name: str) -> Split:
        return Split([Item(id="x", image=Path(name))], {})

    check_disjoint({"testA": part("a"), "testB": part("a"), "train": part("b")})
    with pytest.raises(InputError, match="a: must be in one split, got questions or .* in test and in val"):
        check_disjoint({"testA": part("a"), "val": part("a")})
    assert len(merge([part("a"), part("b")]).items) == 2


def test_an_image_that_ends_its_process_costs_itself_alone(tmp_path, monkeypatch):
    """In a chunk of others, which are decoded again one by one; the order stays."""
    monkeypatch.setattr(image_check, "check_chunk", fragile.check_chunk)
    monkeypatch.setattr(image_check, "check_decode", fragile.check_decode)
    monkeypatch.setattr(image_check, "CHUNK_SIZE", 3)
    names = ["a", "b", "c", "d", "crash", "e", "f"]
    checks = list(image_check.check_decodes([Path(f"{name}.jpg") for name in names], 2, "x"))
    assert [check.mode for check in checks if not check.fault] == ["a", "b", "c", "d", "e", "f"]
    assert checks[4].fault == "unreadable" and "one that ends the process that decodes it" in checks[4].reason
