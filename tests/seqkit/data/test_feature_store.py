"""The store of records: what is found again after everything that can happen to files."""

import errno
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data import feature_store as module
from seqkit.data.feature_store import ENTRY, HEADER, FeatureStore, StoreWriter, locked, open_store, plain, read_record
from seqkit.errors import InputError

KEY = {"network": "sum", "size": 3}
SHAPES = ((2,), (3, 2))


def arrays(*numbers: int) -> list[np.ndarray[Any, Any]]:
    """The records of files that are just numbers."""
    values_B = np.array(numbers, np.float16)
    products = [values_B * n for n in range(6)]
    return [np.stack([values_B, values_B + 1], 1), np.stack(products, 1).reshape(-1, 3, 2)]


def name(kind: str, number: int) -> bytes:
    return f"{kind}{number}".encode()


def add(folder: Path, *numbers: int, key: dict[str, Any] = KEY) -> None:
    with locked(folder), StoreWriter(folder, key, open_store(folder, key), len(numbers)) as writer:
        writer.add([name("content", number) for number in numbers], arrays(*numbers))
        for number in numbers:
            writer.note(name("stamp", number), name("content", number))


def found(folder: Path, *numbers: int, key: dict[str, Any] = KEY) -> list[bool]:
    """Whether each number is there; what is there must be right."""
    records = open_store(folder, key)
    rows = records.rows([name("stamp", number) for number in numbers])
    for number, row in zip(numbers, rows.tolist(), strict=True):
        if row >= 0:
            whole = np.concatenate([array.ravel() for array in arrays(number)])
            np.testing.assert_array_equal(read_record(records.data_file, row, records.width), whole)
    return (rows >= 0).tolist()


def complaint(folder: Path, key: dict[str, Any] = KEY) -> str:
    return open_store(folder, key).complaint


def file(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_what_was_added_is_found_and_nothing_else(tmp_path: Path) -> None:
    assert found(tmp_path, 1) == [False] and complaint(tmp_path) == ""
    add(tmp_path, 5, 6)
    add(tmp_path, 3)
    assert found(tmp_path, 3, 4, 5, 5, 6, 99) == [True, False, True, True, True, False] and complaint(tmp_path) == ""
    assert open_store(tmp_path, KEY).shapes == SHAPES
    assert file(tmp_path, "features-*").stat().st_size == 3 * 8 * 2
    assert file(tmp_path, "index-*").stat().st_size == 3 * ENTRY.itemsize == 3 * 64


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=16), st.integers(0, 50)), max_size=30),
    st.lists(st.binary(max_size=16), max_size=20),
)
def test_rows_are_those_of_a_dictionary(entries: list[tuple[bytes, int]], others: list[bytes]) -> None:
    """The later of two entries with one stamp holds; digests may end in zeros."""
    table = np.array([(plain(stamp), b"", row, 0, 0) for stamp, row in entries], ENTRY)
    oracle = {plain(stamp): row for stamp, row in entries}
    asked = [plain(stamp) for stamp in [*others, *oracle]]
    rows = FeatureStore(Path("a"), Path("b"), SHAPES, table).rows(asked)
    assert rows.tolist() == [oracle.get(stamp, -1) for stamp in asked]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=12))
def test_a_content_is_found_by_writer_as_by_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int]
) -> None:
    folder, half = tmp_path_factory.mktemp("a"), len(numbers) // 2
    for part in (numbers[:half], numbers[half:]):
        if part:
            add(folder, *part)
    rows = {name("content", number): row for row, number in enumerate(numbers)}
    writer = StoreWriter(folder, KEY, open_store(folder, KEY), 0)
    for number in range(9):
        row = writer.find(name("content", number))
        assert (row is None) == (number not in numbers)
        assert row is None or numbers[row[0]] == number
    assert rows


def test_digests_that_end_in_zeros(tmp_path: Path) -> None:
    content = plain(b"abc" + bytes(29))
    with locked(tmp_path), StoreWriter(tmp_path, KEY, open_store(tmp_path, KEY), 1) as writer:
        writer.add([content], arrays(1))
        writer.note(plain(b"xyz" + bytes(13)), content)
    assert StoreWriter(tmp_path, KEY, open_store(tmp_path, KEY), 0).find(content) is not None
    assert open_store(tmp_path, KEY).rows([b"xyz"]).tolist() == [0]


@pytest.mark.parametrize("width", [1, 333, 2048, 70_000])
def test_every_record_of_a_longer_file_is_read(tmp_path: Path, width: int) -> None:
    values = np.random.default_rng(0).integers(-999, 999, 700_000).astype("<f2")
    values.tofile(tmp_path / "a")
    for row in {0, 1, 2, 5, 700_000 // width - 1}:
        np.testing.assert_array_equal(read_record(tmp_path / "a", row, width), values[row * width : (row + 1) * width])
    with pytest.raises(InputError, match=r"a: must stay as it was opened, got "):
        read_record(tmp_path / "a", 700_000 // width, width)


def test_another_key_begins_anew_and_says_which(tmp_path: Path) -> None:
    add(tmp_path, 1, 2)
    other = KEY | {"size": 4}
    assert complaint(tmp_path, other) == "cache of another size made anew"
    assert complaint(tmp_path, {"network": "sum"}) == "cache of another size made anew"
    assert complaint(tmp_path, other | {"more": 1}) == "cache of another size, more made anew"
    assert found(tmp_path, 1, key=other) == [False] and found(tmp_path, 1) == [True]
    add(tmp_path, 2, key=other)
    assert found(tmp_path, 1, 2, key=other) == [False, True] and found(tmp_path, 2) == [False]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_reader_of_the_old_never_gets_the_new(tmp_path: Path) -> None:
    add(tmp_path, 1)
    old = open_store(tmp_path, KEY)
    add(tmp_path, 2, key=KEY | {"size": 4})
    with pytest.raises(InputError, match=r"features-\w+\.f16: must stay as it was opened, got .*; build the cache"):
        read_record(old.data_file, 0, old.width)


def test_another_format_is_another_cache(tmp_path: Path) -> None:
    add(tmp_path, 1)
    header = json.loads((tmp_path / HEADER).read_text())
    (tmp_path / HEADER).write_text(json.dumps(header | {"format": 2}))
    assert complaint(tmp_path) == "cache of another format made anew" and found(tmp_path, 1) == [False]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"key": 3}', '{"shapes": [], "key": {}}', "\0\0\0"])
def test_a_damaged_header_begins_anew(tmp_path: Path, content: str) -> None:
    add(tmp_path, 1)
    (tmp_path / HEADER).write_text(content)
    assert complaint(tmp_path).startswith("damaged cache made anew (") and found(tmp_path, 1) == [False]
    add(tmp_path, 1)
    assert found(tmp_path, 1) == [True] and len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("key", ["features", "index"])
def test_a_header_that_names_other_files_leaves_them_alone(tmp_path: Path, key: str) -> None:
    add(tmp_path / "cache", 1)
    (tmp_path / "mine").write_bytes(b"x" * 640)
    header = json.loads((tmp_path / "cache" / HEADER).read_text())
    for name_of_mine in ("../mine", str(tmp_path / "mine"), "mine"):
        (tmp_path / "cache" / HEADER).write_text(json.dumps(header | {key: name_of_mine}))
        assert "names that are not those of a cache" in complaint(tmp_path / "cache")
        add(tmp_path / "cache", 1)
        assert found(tmp_path / "cache", 1) == [True] and (tmp_path / "mine").read_bytes() == b"x" * 640


@pytest.mark.parametrize("pattern", ["features-*", "index-*"])
def test_a_missing_file_begins_anew(tmp_path: Path, pattern: str) -> None:
    add(tmp_path, 1)
    file(tmp_path, pattern).unlink()
    assert complaint(tmp_path).startswith("damaged cache made anew (FileNotFoundError")
    assert found(tmp_path, 1) == [False]


def test_features_cut_off_are_computed_again_and_only_they(tmp_path: Path) -> None:
    add(tmp_path, 1, 2, 3, 4)
    os.truncate(file(tmp_path, "features-*"), 2 * 16 + 5)
    assert complaint(tmp_path) == "2 of 4 pictures cut off in the cache"
    assert found(tmp_path, 1, 2, 3, 4) == [True, True, False, False]
    add(tmp_path, 7)
    assert found(tmp_path, 1, 2, 3, 4, 7) == [True, True, False, False, True] and complaint(tmp_path) == ""
    assert file(tmp_path, "features-*").stat().st_size == 3 * 16
    add(tmp_path, 4, 3)
    assert found(tmp_path, 1, 2, 3, 4, 7) == [True] * 5


@pytest.mark.parametrize("size", [0, 63, 64, 65, 128 + 30])
def test_a_cut_index_knows_the_whole_entries(tmp_path: Path, size: int) -> None:
    add(tmp_path, 1, 2, 3)
    os.truncate(file(tmp_path, "index-*"), size)
    assert found(tmp_path, 1, 2, 3) == [size >= 64, size >= 128, False]
    add(tmp_path, 3, 2)
    assert found(tmp_path, 1, 2, 3) == [size >= 64, True, True]


def test_features_of_another_store_are_noticed(tmp_path: Path) -> None:
    add(tmp_path / "a", *range(100))
    add(tmp_path / "b", *range(100, 200))
    shutil.copy(file(tmp_path / "b", "features-*"), file(tmp_path / "a", "features-*"))
    assert complaint(tmp_path / "a") == "cache whose features do not fit their checksums made anew"
    assert found(tmp_path / "a", 5) == [False]


@pytest.mark.parametrize("damage", [lambda d: bytes(len(d)), lambda d: d[16:] + d[:16], lambda d: d[:1584] + bytes(16)])
def test_damaged_features_are_noticed(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    add(tmp_path, *range(100))
    path = file(tmp_path, "features-*")
    path.write_bytes(damage(path.read_bytes()))
    assert complaint(tmp_path) == "cache whose features do not fit their checksums made anew"


def test_a_damaged_index_is_noticed(tmp_path: Path) -> None:
    add(tmp_path, *range(100))
    path = file(tmp_path, "index-*")
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))
    assert complaint(tmp_path) and found(tmp_path, 5) == [False]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_was_added_before_an_end_is_kept(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), locked(tmp_path), StoreWriter(tmp_path, KEY, open_store(tmp_path, KEY), 3) as writer:
        for number in (1, 2):
            writer.add([name("content", number)], arrays(number))
            writer.note(name("stamp", number), name("content", number))
        writer.add([name("content", 3)], arrays(3))
        raise error
    assert found(tmp_path, 1, 2, 3) == [True, True, False]
    add(tmp_path, 4)
    assert found(tmp_path, 1, 2, 3, 4) == [True, True, False, True]
    assert file(tmp_path, "features-*").stat().st_size == 3 * 16


def test_commits_on_the_way_write_every_entry_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT", -1)
    add(tmp_path, 1, 2, 3)
    assert found(tmp_path, 1, 2, 3) == [True] * 3
    assert file(tmp_path, "index-*").stat().st_size == 3 * ENTRY.itemsize


def test_further_names_of_a_record_take_no_room(tmp_path: Path) -> None:
    add(tmp_path, 1)
    with locked(tmp_path), StoreWriter(tmp_path, KEY, open_store(tmp_path, KEY), 0) as writer:
        for other in (8, 9):
            writer.note(name("stamp", other), name("content", 1))
    add(tmp_path, 2)
    assert open_store(tmp_path, KEY).rows([name("stamp", number) for number in (1, 8, 9, 2)]).tolist() == [0, 0, 0, 1]
    assert file(tmp_path, "features-*").stat().st_size == 2 * 16 and found(tmp_path, 1, 2) == [True, True]


def killed(folder: Path) -> None:
    with locked(folder), StoreWriter(folder, KEY, open_store(folder, KEY), 3) as writer:
        module.COMMIT = 0
        writer.add([name("content", 1)], arrays(1))
        writer.note(name("stamp", 1), name("content", 1))
        module.COMMIT = 1000
        writer.add([name("content", 2)], arrays(2))
        writer.note(name("stamp", 2), name("content", 2))
        os.kill(os.getpid(), 9)


def test_a_killed_process_leaves_what_it_committed_and_no_lock(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=killed, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -9 and found(tmp_path, 1, 2) == [True, False] and complaint(tmp_path) == ""
    add(tmp_path, 2)
    assert found(tmp_path, 1, 2) == [True, True] and file(tmp_path, "features-*").stat().st_size == 2 * 16


def test_a_second_process_waits_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path):
        process = multiprocessing.get_context("fork").Process(target=add, args=(tmp_path, 1))
        process.start()
        process.join(0.3)
        assert process.exitcode is None and found(tmp_path, 1) == [False]
    process.join()
    assert process.exitcode == 0 and found(tmp_path, 1) == [True]
    assert f"{tmp_path}: another process adds to this cache; waiting for it" in capfd.readouterr().err


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with (
        pytest.raises(InputError, match=r"a/b: must be a folder to write to, got Not a directory; choose another"),
        locked(tmp_path / "a" / "b"),
    ):
        pass


def test_too_small_a_disk_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 100))
    add(tmp_path, 1, 2)
    message = r"disk must have 0\.0 GB of room for 9 records, got 0\.0 GB; free some or choose another folder"
    with pytest.raises(InputError, match=message), StoreWriter(tmp_path, KEY, open_store(tmp_path, KEY), 9):
        pass
    new = tmp_path / "new"
    with pytest.raises(InputError, match=message), StoreWriter(new, KEY, open_store(new, KEY), 9) as writer:
        writer.add([b"a"], arrays(1))
    assert found(tmp_path, 1, 2) == [True, True]


@pytest.mark.parametrize("code, kind", [(errno.ENOSPC, InputError), (errno.EIO, OSError)])
def test_a_disk_that_fills_up_keeps_what_was_written(tmp_path: Path, code: int, kind: type[Exception]) -> None:
    class Full:
        def write(self, _: object) -> int:
            raise OSError(code, os.strerror(code))

    add(tmp_path, 1)
    message = "must have room for features, got 'No space left on device'" if kind is InputError else "output error"
    with pytest.raises(kind, match=message), StoreWriter(tmp_path, KEY, open_store(tmp_path, KEY), 1) as writer:
        real, writer.data = writer.data, Full()  # type: ignore[assignment]
        try:
            writer.add([b"a"], arrays(2))
        finally:
            writer.data = real
    assert found(tmp_path, 1, 2) == [True, False]


def test_a_write_in_pieces_is_whole(tmp_path: Path) -> None:
    class Slow:
        def __init__(self) -> None:
            self.got = b""

        def write(self, data: memoryview) -> int:
            self.got += bytes(data[:5])
            return min(5, len(data))

    slow = Slow()
    module._write(slow, np.arange(9), tmp_path)  # type: ignore[arg-type]
    assert slow.got == np.arange(9).tobytes()


def test_faults_of_the_program_are_told(tmp_path: Path) -> None:
    with locked(tmp_path), StoreWriter(tmp_path, KEY, open_store(tmp_path, KEY), 1) as writer:
        writer.add([b"a"], arrays(1))
        with pytest.raises(ValueError, match=r"`arrays` must be 1 of each of .* with this key, got \[\(1, 2\)\]"):
            writer.add([b"b"], arrays(1)[:1])
        with pytest.raises(ValueError, match=r"`arrays` must be 2 of each of .*, got \[\(1, 2\), \(1, 3, 2\)\]"):
            writer.add([b"b", b"c"], arrays(1))
        with pytest.raises(ValueError, match=r"`content` must be that of a record, got 7a"):
            writer.note(b"s", b"z")
