"""Items that stay in their file are those that `read_manifest` reads, faults included; token rows are lists."""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from seqkit.data.manifest import read_manifest
from seqkit.data.stored_manifest import StoredItems, open_manifest, sample
from seqkit.data.token_rows import TokenRows
from seqkit.errors import InputError

LINES = [
    json.dumps({"id": f"ü {n}", "source": "x" * (n % 7), "image": f"a/{n}.png"}, ensure_ascii=n % 2 == 0)
    for n in range(23)
]


def manifest(folder: Path, lines: list[str], *, end: str = "\n", begin: str = "", last: str = "\n") -> Path:
    path = folder / "train.jsonl"
    path.write_bytes((begin + end.join(lines) + last).encode())
    return path


@pytest.mark.parametrize(
    "written", [{}, {"end": "\r\n"}, {"begin": "\ufeff"}, {"last": ""}, {"end": "\n\n \n"}, {"begin": "\n\n"}]
)
def test_items_are_those_of_the_file(written: dict[str, str], tmp_path: Path) -> None:
    path = manifest(tmp_path, LINES, **written)
    items, found = read_manifest(path), open_manifest(path)
    assert isinstance(found, StoredItems) and list(found) == items and len(found) == len(items)
    assert [found[n] for n in range(-len(items), len(items))] == [items[n] for n in range(-len(items), len(items))]
    for part in (slice(3, 9), slice(None, None, 5), slice(-4, None), slice(5, 2)):
        assert list(found[part]) == items[part]
    with pytest.raises(IndexError):
        found[len(items)]
    assert list(pickle.loads(pickle.dumps(found))) == items


def test_a_packed_manifest_is_read_into_memory(tmp_path: Path) -> None:
    path = manifest(tmp_path, LINES)
    items = read_manifest(path)
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert open_manifest(path) == items


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [*LINES, LINES[4]],
        [LINES[2], "", LINES[2], LINES[2]],
        [*LINES[:3], "{", *LINES[3:]],
        [*LINES[:3], '{"id": "a", "source": 1}'],
        ['{"id": "a"}'],
    ],
)
def test_faults_are_those_of_read_manifest(lines: list[str], tmp_path: Path) -> None:
    path = manifest(tmp_path, lines)
    with pytest.raises(InputError) as theirs:
        read_manifest(path, needed=("source",))
    with pytest.raises(InputError) as ours:
        open_manifest(path, needed=("source",))
    assert str(ours.value) == str(theirs.value)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.jsonl: no such manifest; manifests in this folder: none"):
        open_manifest(tmp_path / "train.jsonl")


def test_equal_hashes_of_other_ids_are_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = manifest(tmp_path, LINES)
    monkeypatch.setattr("seqkit.data.stored_manifest.hash", lambda text: len(text), raising=False)
    assert len(open_manifest(path)) == len(LINES)
    manifest(tmp_path, [*LINES, LINES[4]])
    with pytest.raises(InputError, match="line 24, id .*: `id` must be unique, got one that line 5 has"):
        open_manifest(path)


def test_a_sample_is_evenly_spaced_and_all_where_there_are_few(tmp_path: Path) -> None:
    items = open_manifest(manifest(tmp_path, LINES))
    assert sample(items, 23) is items
    assert [item.id for item in sample(items, 3)] == ["ü 0", "ü 11", "ü 22"]
    assert list(sample(list(items), 3)) == list(sample(items, 3))


@pytest.mark.parametrize("size", [100, 1 << 16, 1 << 20])
def test_token_rows_are_lists(size: int) -> None:
    rng = np.random.default_rng(1)
    rows = [rng.integers(size, size=length).tolist() for length in (3, 0, 5, 1, 0)]
    rows[0][0] = size - 1
    found = TokenRows(size)
    for row in rows:
        found.append(row)
    assert list(found) == rows and found[-1] == rows[-1] and found[1:4] == rows[1:4]
    assert found.lengths().tolist() == [3, 0, 5, 1, 0]
    assert list(pickle.loads(pickle.dumps(found))) == rows
    with pytest.raises(IndexError):
        found[5]
    assert TokenRows(5).lengths().tolist() == []
