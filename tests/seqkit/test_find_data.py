"""What a word of `--data` leads to: folders, addresses, patterns of shards."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seqkit.data import shards
from seqkit.data.array_file import read_array
from seqkit.data.manifest import Item, read_manifest, write_manifest
from seqkit.data.shard_writer import write_shards
from seqkit.data.shards import fetch, file_behind
from seqkit.errors import InputError
from seqkit.find_data import expand_braces, find_data, word_of
from tests.range_server import Server, serve


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shards, "PAUSE", 0.001)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Five items a split, each with an array of its own; two items a shard."""
    for split in ("train", "val", "my test"):
        items = []
        for number in range(5):
            path = tmp_path / "raw" / f"{split}.{number}.npy"
            path.parent.mkdir(exist_ok=True)
            np.save(path, np.full((2, 3), number + len(split)))
            items.append(Item(id=f"{split} {number}", features=path))
        write_manifest(tmp_path / "raw" / f"{split}.jsonl", items)
    write_shards(tmp_path / "raw", tmp_path / "s", most=5000)
    return tmp_path / "s"


@pytest.fixture
def server(corpus: Path) -> Iterator[Server]:
    with serve(corpus.parent) as found:
        yield found


def contents(data: Path, split: str) -> list[tuple[str, float]]:
    items = read_manifest(data / f"{split}.jsonl")
    return [(item.id, float(read_array(item.features)[0, 0])) for item in items if item.features]


def all_of(split: str) -> list[tuple[str, float]]:
    return [(f"{split} {number}", float(number + len(split))) for number in range(5)]


def test_a_folder_is_itself(corpus: Path) -> None:
    assert find_data(corpus) == corpus
    assert find_data(corpus.parent / "raw") == corpus.parent / "raw"
    assert word_of(corpus.parent / "raw") == str(corpus.parent / "raw")
    assert len(json.loads((corpus / "shards.json").read_text())["splits"]["train"]["shards"]) == 3


def test_an_address_gives_the_same_items_and_files(server: Server) -> None:
    for word in (f"{server.url}/s", f"{server.url}/s/", Path(f"{server.url}/s")):  # of which a path loses a slash
        data = find_data(word)
        assert all(contents(data, split) == all_of(split) for split in ("train", "val", "my test"))
        assert word_of(data) == f"{server.url}/s"


def test_manifests_of_an_address_are_fetched_once_and_when_they_change(server: Server, corpus: Path) -> None:
    first = find_data(f"{server.url}/s")
    stamp = (first / "shards.json").stat().st_mtime_ns
    server.asked.clear()
    assert find_data(f"{server.url}/s") == first
    assert server.asked == [("s/shards.json", "")] and (first / "shards.json").stat().st_mtime_ns == stamp
    for path in corpus.iterdir():
        path.unlink()
    corpus.rmdir()
    items = read_manifest(corpus.parent / "raw" / "val.jsonl")
    (corpus.parent / "raw" / "my test.jsonl").unlink()
    write_manifest(corpus.parent / "raw" / "train.jsonl", items[:2])
    write_shards(corpus.parent / "raw", corpus, most=5000)
    assert contents(find_data(f"{server.url}/s"), "train") == all_of("val")[:2]


def test_a_pattern_takes_the_items_of_its_shards(server: Server, corpus: Path) -> None:
    for folder in (str(corpus), f"{server.url}/s"):
        data = find_data(f"{folder}/train-{{000000..000001}}.tar")
        assert contents(data, "train") == all_of("train")[:4]
        assert contents(data, "val") == all_of("val")
        assert word_of(data) == f"{folder}/train-{{000000..000001}}.tar"
        assert find_data(word_of(data)) == data
        both = find_data(f"{folder}/{{train,val}}-00000[02].tar")
        assert contents(both, "val") == all_of("val")[:2] + all_of("val")[4:]
        assert contents(both, "train") == all_of("train")[:2] + all_of("train")[4:]
        assert contents(find_data(f"{folder}/*.tar"), "my test") == all_of("my test")
        with pytest.raises(InputError, match=r"x-\*\.tar: must match shards that .*shards\.json names, got none"):
            find_data(f"{folder}/x-*.tar")


def test_braces_are_those_of_a_shell() -> None:
    assert list(expand_braces("a-{008..010}.tar")) == ["a-008.tar", "a-009.tar", "a-010.tar"]
    assert list(expand_braces("{a,b}-{0..1}")) == ["a-0", "a-1", "b-0", "b-1"]
    assert list(expand_braces("a")) == ["a"]


def test_a_missing_or_cut_off_shard_is_one_line_before_anything_begins(corpus: Path) -> None:
    path = corpus / "val-000001.tar"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert find_data(corpus, ("train", "no such split")) == corpus
    with pytest.raises(InputError, match=r"val-000001\.tar: must be a shard of 10,240 bytes, got 10,239; fetch it"):
        find_data(corpus, ("train", "val"))
    path.unlink()
    with pytest.raises(InputError, match=r"val-000001\.tar: must be a shard of 10,240 bytes, got no such file"):
        find_data(corpus)
    with pytest.raises(InputError, match=r"val-000001\.tar: must be a shard"):
        find_data(corpus / "val-*.tar")
    assert contents(find_data(corpus / "val-000000.tar"), "val") == all_of("val")[:2]


def test_a_damaged_index_is_one_line(corpus: Path) -> None:
    index = json.loads((corpus / "shards.json").read_text())
    index["splits"]["train"]["shards"][0]["file"] = "../x.tar"
    for text in ("[]", "{}", '{"splits": {"a": 1}}', json.dumps(index)):
        (corpus / "shards.json").write_text(text)
        with pytest.raises(InputError, match=r"shards\.json: must be an index as `seqkit shards` writes it, got a dam"):
            find_data(corpus)


def test_what_is_not_at_an_address_is_one_line(server: Server, corpus: Path) -> None:
    with pytest.raises(InputError, match=r"http://.*/x/shards\.json: must be a file to read, got 404 Not Found; corr"):
        find_data(f"{server.url}/x")
    data = find_data(f"{server.url}/s")
    (corpus / "train-000002.tar").write_bytes((corpus / "train-000002.tar").read_bytes()[:1700])
    with pytest.raises(InputError, match=r"train-000002\.tar: must have [0-9,]+ bytes or more, got one cut off at 1,7"):
        contents(data, "train")
    (corpus / "train-000002.tar").write_bytes(b"")
    with pytest.raises(InputError, match=r"train-000002\.tar: must have [0-9,]+ bytes or more, got one cut off at"):
        contents(data, "train")
    (corpus / "train-000000.tar").unlink()
    with pytest.raises(InputError, match=r"train-000000\.tar: must be a file to read, got 404 Not Found"):
        contents(data, "train")
    server.whole = True
    with pytest.raises(InputError, match=r"my%20test-000000\.tar: its server must give parts of files \(HTTP ranges\)"):
        contents(data, "my test")
    with pytest.raises(InputError, match=r"must be reached, got .*refused"):
        find_data("http://127.0.0.1:9/s")


def test_a_manifest_that_is_not_what_the_index_says_is_refused(server: Server, corpus: Path) -> None:
    with (corpus / "val.jsonl").open("r+b") as file:
        file.write(b" ")
    for _ in range(2):
        with pytest.raises(InputError, match=r"/s/val\.jsonl: must be the manifest that shards\.json names, got anoth"):
            find_data(f"{server.url}/s")


def test_a_server_that_fails_for_a_moment_is_asked_again(server: Server) -> None:
    server.busy, server.broken = 2, 1
    assert contents(find_data(f"{server.url}/s"), "train") == all_of("train")
    server.busy = 10
    with pytest.raises(InputError, match="must be a file to read, got 503 Service Unavailable"):
        fetch(f"{server.url}/s/shards.json")
    server.busy, server.broken = 0, 10
    with pytest.raises(InputError, match=r"must be reached, got IncompleteRead"):
        fetch(f"{server.url}/s/shards.json")
    server.broken = 0
    assert fetch(f"{server.url}/nothing", 5, 0) == b""


def test_the_stamp_of_a_file_behind_an_address_is_that_of_the_index(server: Server) -> None:
    data = find_data(f"{server.url}/s")
    path = read_manifest(data / "train.jsonl")[0].features
    assert path and file_behind(path) == data / "shards.json"


def test_an_index_of_other_splits_or_with_counts_that_are_none_is_named(corpus: Path) -> None:
    index = json.loads((corpus / "shards.json").read_text())
    moved = {**index, "splits": {"other": index["splits"]["train"]}}
    (corpus / "shards.json").write_text(json.dumps(moved))
    pattern = str(corpus / index["splits"]["train"]["shards"][0]["file"])
    with pytest.raises(InputError, match=r"other.jsonl: must be there, as .*shards.json names it; fetch it again"):
        find_data(pattern)
    for count in ("7", -1, 2**70, True, 1.5):
        index["splits"]["train"]["shards"][0]["items"] = count
        (corpus / "shards.json").write_text(json.dumps(index))
        with pytest.raises(InputError, match="must be an index as `seqkit shards` writes it, got a damaged one"):
            find_data(pattern)
