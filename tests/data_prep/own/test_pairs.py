"""Two files of own text to manifests: pairs stay pairs, splits go by document or sentence, repetitions are dropped."""

import pytest

from seqkit.cli import main
from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data_prep.own.pairs import prepare
from seqkit.data_prep.own.shares import Shares
from seqkit.errors import InputError
from tests.raw_files import stats, write_lines


def write(folder, count=60):
    write_lines(folder / "a.en", *(f"sentence {n}" for n in range(count)), "", "sentence 1", "sentence 2")
    write_lines(folder / "a.de", *(f"Satz {n}" for n in range(count)), "leer", "Satz 1", "Satz zwei")
    return folder / "a.en", folder / "a.de"


def test_every_pair_is_in_one_split_with_its_own_translation(tmp_path, capsys):
    source, target = write(tmp_path)
    out = tmp_path / "out"
    assert main(["prepare", "pairs", "--source", str(source), "--target", str(target), "--out", str(out)]) == 0
    items = {split: read_manifest(out / f"{split}.jsonl") for split in ("train", "val", "test")}
    pairs = [(item.source, item.references[0]) for found in items.values() for item in found]
    assert sorted(pairs) == sorted([(f"sentence {n}", f"Satz {n}") for n in range(60)] + [("sentence 2", "Satz zwei")])
    assert len(items["train"]) > 40 and items["val"] and items["test"]
    for split, found in items.items():  # the two translations of one sentence are together
        assert len({item.source for item in found} & {"sentence 2"}) == (
            ("sentence 2", "Satz zwei") in [(item.source, item.references[0]) for item in found]
        ), split
    assert stats(out)["all"]["dropped"] == {"empty_source": 1, "repeated": 1}
    assert stats(out)["all"]["named"]["repeated"] == ["a.en, line 62"]
    assert "split=by text, of which there are 60" in capsys.readouterr().out
    assert [finding.text for finding in check(out)[1]] == []


def test_documents_are_never_cut(tmp_path):
    source, target = write(tmp_path)
    write_lines(tmp_path / "docs", *(f"doc {n // 6}" for n in range(63)))
    out = tmp_path / "out"
    found = prepare(source, target, out, Shares(), tmp_path / "docs")
    assert found["all"]["split"] == "by document, of which there are 11"
    splits = {}
    for split in ("train", "val", "test"):
        for item in read_manifest(out / f"{split}.jsonl"):
            splits.setdefault((int(item.id[-6:]) - 1) // 6, set()).add(split)
    assert all(len(names) == 1 for names in splits.values())


@pytest.mark.parametrize(("lines", "fault"), [(62, "got fewer: none for a.en, line 63"), (64, "got more: line 64")])
def test_documents_must_be_as_many_as_pairs(tmp_path, lines, fault):
    source, target = write(tmp_path)
    write_lines(tmp_path / "docs", *("d" for _ in range(lines)))
    with pytest.raises(InputError, match=f"docs: must have a line for each pair, {fault}"):
        prepare(source, target, tmp_path / "out", Shares(), tmp_path / "docs")


def test_one_file_is_no_pair(tmp_path):
    source, _ = write(tmp_path)
    with pytest.raises(InputError, match=r"--source and --target must be two files, got \S+a.en for both"):
        prepare(source, source.parent / "." / source.name, tmp_path / "out", Shares())
