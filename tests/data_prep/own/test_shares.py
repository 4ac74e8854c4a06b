"""Splits of own files: by a hash of the unit, the same in any order, with no unit in two of them."""

import json
import random
from types import SimpleNamespace

import pytest

from seqkit.data.manifest import Item
from seqkit.data_prep.own.shares import (
    Dropped,
    Shares,
    hash_share,
    shares_of,
    split_items,
    split_named,
    split_units,
    write_own,
)
from seqkit.errors import InputError


def test_shares_of_many_units_are_those_asked_for_and_do_not_depend_on_order_or_on_others():
    keys = [f"speaker {n}" for n in range(2000)]
    splits = split_units(keys, Shares(0.2, 0.1))
    counts = [list(splits.values()).count(name) for name in ("train", "val", "test")]
    assert abs(counts[1] - 400) < 80 and abs(counts[2] - 200) < 60 and sum(counts) == 2000
    shuffled = random.Random(1).sample(keys, 1000)
    assert all(splits[key] == split for key, split in split_units(shuffled, Shares(0.2, 0.1)).items())
    assert all((splits[key] == "test") == (hash_share(key) < 0.1) for key in keys)


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize(("val", "test"), [(0.1, 0.1), (0.1, 0.0), (0.0, 0.1), (0.0, 0.0), (0.5, 0.49)])
def test_few_units_fill_every_split_that_is_asked_for_and_train_first(count, val, test):
    for start in range(20):
        found = split_units([f"{start}-{n}" for n in range(count)], Shares(val, test))
        there = set(found.values())
        assert "train" in there and len(found) == count
        wanted = {"train"} | ({"val"} if val else set()) | ({"test"} if test else set())
        assert there == wanted or count < len(wanted)


def test_the_first_unit_that_is_known_of_all_decides_and_is_said():
    speakers = [f"s{n % 5}" for n in range(40)]
    texts = [f"text {n}" for n in range(40)]
    names, by = split_items({"speaker": speakers, "text": texts}, Shares())
    assert by == "by speaker, of which there are 5"
    assert len({(speaker, name) for speaker, name in zip(speakers, names, strict=True)}) == 5
    names, by = split_items({"speaker": [*speakers[1:], None], "text": texts}, Shares())
    assert by == "by text, of which there are 40; not known of all, or too few: speaker"
    assert split_items({"speaker": speakers, "text": texts}, Shares(by="text"))[1] == "by text, of which there are 40"
    assert split_items({"speaker": ["a"] * 40, "text": texts}, Shares())[1].startswith("by text")
    assert split_items({"text": texts}, Shares(split="mine")) == (["mine"] * 40, "all into mine")
    with pytest.raises(InputError, match="--by speaker must be known of every item, got 39 of 40"):
        split_items({"speaker": [*speakers[1:], None], "text": texts}, Shares(by="speaker"))


def test_splits_that_files_are_named_after_stay_and_the_rest_is_shared():
    texts = [f"text {n}" for n in range(60)]
    named = ["train"] * 40 + ["test"] * 20
    names, by = split_named({"text": texts}, Shares(), named)
    assert names[40:] == ["test"] * 20 and set(names[:40]) == {"train", "val"}
    assert by == "test, train by the names of files; the rest by text, of which there are 40"
    names, by = split_named({"text": texts}, Shares(), ["train"] * 20 + ["val"] * 20 + ["test"] * 20)
    assert (
        names[20:40] == ["val"] * 20 and set(names[:20]) == {"train"} and by == "test, train, val by the names of files"
    )
    assert set(split_named({"text": texts}, Shares(split="all"), named)[0]) == {"all"}


def test_a_second_run_leaves_no_split_of_the_first(tmp_path):
    items = [Item(id=str(n), source=f"text {n}", references=("x",)) for n in range(30)]
    units = {"text": [item.source for item in items]}
    write_own(tmp_path, items, units, Shares(), {}, Dropped())
    assert (tmp_path / "test.jsonl").is_file()
    write_own(tmp_path, items, units, Shares(test=0.0), {}, Dropped())
    assert not (tmp_path / "test.jsonl").exists()
    assert json.loads((tmp_path / "stats.json").read_text())["test"] == {"items": 0}
    before = (tmp_path / "train.jsonl").read_bytes()
    write_own(tmp_path, items[:3], {"text": units["text"][:3]}, Shares(split="more"), {}, Dropped())
    assert (tmp_path / "train.jsonl").read_bytes() == before and (tmp_path / "more.jsonl").is_file()


def test_nothing_to_keep_is_an_error_that_says_what_was_dropped(tmp_path):
    dropped = Dropped()
    dropped.add("missing", "row 7", "no file x.png")
    dropped.add("missing", "row 8")
    with pytest.raises(InputError, match="--raw must hold items to keep, got none; dropped: 2 missing; the first: no"):
        write_own(tmp_path, [], {"text": []}, Shares(), {}, dropped)
    with pytest.raises(InputError, match="items to keep, got none$"):
        write_own(tmp_path, [], {"text": []}, Shares(), {}, Dropped())


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.5, 0.5), (0.1, 1.0)])
def test_shares_that_leave_nothing_are_refused(val, test):
    with pytest.raises(InputError, match="--val and --test must be shares with less than 1 together"):
        shares_of(SimpleNamespace(val=val, test=test, split=None, by=None))


def test_a_unit_for_one_split_is_refused():
    with pytest.raises(InputError, match="--by must be given without --split"):
        shares_of(SimpleNamespace(val=0.1, test=0.1, split="mine", by="text"))
