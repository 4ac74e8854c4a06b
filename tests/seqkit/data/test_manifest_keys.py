"""The table of manifest keys: whole, and the checks and help that are made from it."""

import json
from pathlib import Path

import pytest

from seqkit.cli import main
from seqkit.data.check import check
from seqkit.data.manifest import KEYS as ITEM_KEYS
from seqkit.data.manifest import parse_item
from seqkit.data.manifest_keys import KEYS, Reads, describe_keys, unread_remark
from seqkit.tasks import TASKS, find_recipe

READS = Reads(("source", "references"), {}, any_of=("video", "features"), optional=("speaker",))


def write(folder, *items):
    folder.mkdir(exist_ok=True)
    for name in ("train", "val"):
        lines = [json.dumps({"id": f"{name}-{n}", **item}) + "\n" for n, item in enumerate(items)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


def test_every_key_of_an_item_is_in_the_table():
    assert set(ITEM_KEYS) <= set(KEYS)


@pytest.mark.parametrize("task", TASKS)
def test_the_help_of_training_has_every_key_that_the_recipe_reads(task, capsys):
    reads = find_recipe(task).reads
    with pytest.raises(SystemExit):
        main([task, "train", "--help-all"])
    text = capsys.readouterr().out
    assert describe_keys(reads) in text and json.dumps(reads.example) in text
    assert all(f"\n  {key:<14}" in text for key in reads.every())
    parse_item(dict(reads.example), Path(), "example")


@pytest.mark.parametrize(
    ("item", "lack"),
    [
        ({"source": "a", "references": ["b"], "video": "v.mp4"}, ""),
        ({"source": "a", "references": ["b"], "features": "f.npy"}, ""),
        ({"references": ["b"], "video": "v.mp4"}, "`source`"),
        ({"source": "a", "video": "v.mp4"}, "`references`"),
        ({"source": "a", "references": ["b"]}, "`video` or `features`"),
    ],
)
def test_what_a_recipe_needs_and_lacks_is_named(tmp_path, item, lack):
    assert READS.missing(parse_item({"id": "1", **item}, tmp_path, "")) == lack


def test_check_for_a_recipe_names_what_is_missing_and_what_is_not_read(tmp_path, capsys):
    item = {"source": "a dog", "references": ["ein Hund"]}
    folder = write(tmp_path, item, item | {"speaker": "s1", "mood": 1}, {"references": ["allein"], "mood": 2})
    findings = [
        (found.problem, found.text) for found in check(folder, find_recipe("translation").reads, "translation")[1]
    ]
    needed = [text for problem, text in findings if problem and "translation needs `source`; add it" in text]
    assert len(needed) == 2 and 'train.jsonl, line 3, id "train-2"' in needed[0]
    texts = "\n".join(text for problem, text in findings if not problem)
    assert 'line 2, id "train-1", `speaker`: translation does not read it (1 items of the file have it)' in texts
    assert 'line 2, id "train-1", `mood`: nothing reads it (2 items of the file have it)' in texts
    assert main(["check", str(folder), "--recipe", "translation"]) == 2
    assert "missing key (2)" in capsys.readouterr().out
    assert main(["check", str(folder), "--recipe", "translator"]) == 2
    assert "the task must be one of translation, " in capsys.readouterr().err


def test_keys_that_nothing_reads_are_named_without_a_recipe_too(tmp_path):
    folder = write(tmp_path, {"references": ["a"], "answers": ["b"], "refrences": ["c"]})
    texts = [found.text for found in check(folder)[1] if found.kind == "unread key"]
    assert [text.split(", ")[0] for text in texts].count("train.jsonl") == 2
    assert any("`answers`: nothing reads it" in text for text in texts)
    assert any("`refrences`: nothing reads it; rename it if you meant `references`" in text for text in texts)


def test_what_preparations_write_for_people_is_not_named(tmp_path):
    folder = write(tmp_path / "data", {"source": "a", "references": ["b"], "scene": {"a": 1}, "truth": [], "mood": 1})
    told = unread_remark("translation", find_recipe("translation").reads, folder / "train.jsonl")
    assert told == f"{folder}/train.jsonl: translation does not read `mood`"


def test_training_names_keys_that_it_does_not_read(tmp_path):
    folder = write(tmp_path / "data", {"source": "a", "references": ["b"], "mood": 1, "video": "v.mp4"})
    told = unread_remark("translation", find_recipe("translation").reads, folder / "train.jsonl")
    assert told == f"{folder}/train.jsonl: translation does not read `mood`, `video`"
    (tmp_path / "deep.jsonl").write_text('{"id": "1", "place": {"a": 1}}\n{"id": "2", "place": {"b": 2}}\n')
    assert "`place`" in unread_remark("x", READS, tmp_path / "deep.jsonl")
    assert unread_remark("x", READS, tmp_path / "none.jsonl") == ""
    (tmp_path / "bad.jsonl").write_text("no json\n")
    assert unread_remark("x", READS, tmp_path / "bad.jsonl") == ""
