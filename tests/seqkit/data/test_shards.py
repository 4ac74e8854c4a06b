"""Shards: what is written is what was there, for our reader, for tarfile and for webdataset."""

import gc
import io
import json
import tarfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
import webdataset
from PIL import Image

from seqkit.cli import main
from seqkit.data.array_file import read_array
from seqkit.data.audio import read_audio
from seqkit.data.cache import stamp_of
from seqkit.data.container import read_clock
from seqkit.data.image import read_image
from seqkit.data.manifest import Item, read_manifest, write_manifest
from seqkit.data.shard_writer import layout_of, write_shards
from seqkit.data.shards import has_file, open_file, path_in, place_of, read_place, size_of
from seqkit.data.sound_file import joined
from seqkit.data.video_file import read_frames
from seqkit.errors import InputError

NAMES = ("a/x.y.png", "b/x.y.png", "c/.y.png", "a/x.png", "a/für 1.png")  # dots, equal stems, other letters


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4 + number, 3), (number, 2, 3)).save(buffer, "png")
    return buffer.getvalue()


def corpus(folder: Path) -> list[Item]:
    """Pictures of all kinds of names, one without, rows of one table, and a key that only one item has."""
    np.save(folder / "t.npy", np.arange(20.0, dtype=np.float32).reshape(10, 2))
    items = []
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(picture(number))
        rows = (number, number + 3)
        extra = {"scene": {"n": number}} if number == 3 else {}
        items.append(Item(id=name, image=folder / name, features=folder / "t.npy", rows=rows, extra=extra))
    items.append(Item(id="none", source="ü", features=folder / "t.npy"))
    write_manifest(folder / "test.2016.jsonl", items)
    return items


def test_items_and_their_files_are_the_same(tmp_path: Path) -> None:
    items = corpus(tmp_path)
    index = write_shards(tmp_path, tmp_path / "s", most=6000)
    found = read_manifest(tmp_path / "s" / "test.2016.jsonl")
    assert len(index["splits"]["test.2016"]["shards"]) > 1
    assert [(item.id, item.source, item.extra) for item in found] == [(i.id, i.source, i.extra) for i in items]
    for own, other in zip(items, found, strict=True):
        if own.image:
            assert other.image is not None and other.image.name == own.image.name
            with open_file(other.image) as file:
                assert file.read() == own.image.read_bytes()
            assert (read_image(other.image) == read_image(own.image)).all()
            assert has_file(other.image) and size_of(other.image) == own.image.stat().st_size
        assert own.features and other.features and other.rows is None
        assert (read_array(other.features) == read_array(own.features)[slice(*own.rows or (None,))]).all()


def test_shards_of_shards_are_the_same(tmp_path: Path) -> None:
    corpus(tmp_path)
    write_shards(tmp_path, tmp_path / "s", most=6000)
    write_shards(tmp_path / "s", tmp_path / "again", most=6000)
    for path in (tmp_path / "s").glob("*.tar"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def samples(folder: Path) -> list[dict[str, bytes]]:
    paths = sorted(map(str, folder.glob("*.tar")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves closing to the garbage collector
        found = list(webdataset.WebDataset(paths, shardshuffle=False))
        gc.collect()
    return found


def test_webdataset_reads_them_unchanged(tmp_path: Path) -> None:
    """Every item once, in order; all samples have the same files, all JSON the same keys."""
    items = corpus(tmp_path)
    write_manifest(tmp_path / "val.jsonl", items[:1])
    write_manifest(tmp_path / "train.jsonl", items[:1])  # one sample, then another of the same number
    write_shards(tmp_path, tmp_path / "s", most=6000)
    found = samples(tmp_path / "s")
    told = [json.loads(sample["json"]) for sample in found]
    assert [one["id"] for one in told] == [item.id for item in [*items, *items[:1], *items[:1]]]
    own = found[: len(items)]
    assert {frozenset(sample) - {"__url__", "__local_path__"} for sample in own} == {
        frozenset({"__key__", "json", "image.png", "features.npy"})
    }
    assert {tuple(one) for one in told[: len(items)]} == {tuple(told[0])} and "scene" in told[0]
    for item, sample, one in zip(items, own, told, strict=False):
        assert sample["image.png"] == (item.image.read_bytes() if item.image else b"")
        assert one["image"] == (item.image.name if item.image else None)


def test_files_of_several_endings_go_without(tmp_path: Path) -> None:
    for number, name in enumerate(("a.png", "b.PNG", "c.Jpeg", "d.x-y")):
        (tmp_path / name).write_bytes(picture(number))
    items = [Item(id=name, image=tmp_path / name) for name in ("a.png", "b.PNG", "c.Jpeg", "d.x-y")]
    assert [layout_of(some).files["image"] for some in (items[:2], items, items[2:3], items[3:])] == [
        "image.png",
        "image",
        "image.jpeg",
        "image",
    ]


def test_tarfile_finds_the_files_where_the_manifest_says(tmp_path: Path) -> None:
    corpus(tmp_path)
    write_shards(tmp_path, tmp_path / "s", most=6000)
    places = {
        (place.shard, place.offset, place.size)
        for item in read_manifest(tmp_path / "s" / "test.2016.jsonl")
        for path in (item.image, item.features)
        if path and (place := place_of(path))
    }
    theirs = set()
    for path in (tmp_path / "s").glob("*.tar"):
        with tarfile.open(path) as tar:
            theirs |= {(str(path), own.offset_data, own.size) for own in tar if own.size and "json" not in own.name}
    assert places == theirs


@pytest.mark.parametrize("ending", ["mp4", "ts", "mpg", "mkv", "wav", "mp3", "ogg", "flac"])
def test_media_in_shards_decode_to_the_same(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    samples_N = np.sin(np.arange(8000) / 9)
    if ending in ("wav", "mp3", "ogg", "flac"):
        soundfile.write(path, samples_N, 16000)
        items = [Item(id="a", audio=path)]
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg2video" if ending == "mpg" else "mpeg4", rate=25)
            stream.width = stream.height = 32
            for number in range(12):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * number, np.uint8), "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        items = [Item(id="a", video=path)]
    write_manifest(tmp_path / "train.jsonl", items)
    write_shards(tmp_path, tmp_path / "s", most=10**6)
    found = read_manifest(tmp_path / "s" / "train.jsonl")[0]
    if found.video:
        pairs = zip(read_frames(path), read_frames(found.video), strict=True)
        assert all((own == other).all() for own, other in pairs)
        assert read_clock(found.video) == read_clock(path)
    else:
        assert found.audio
        assert (read_audio(found.audio) == read_audio(path)).all()
        assert (read_audio(found.audio, start=0.1, end=0.2) == read_audio(path, start=0.1, end=0.2)).all()


def test_joined_sounds_in_a_shard_are_read_to_their_end(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", np.zeros(800), 16000)
    (tmp_path / "two.wav").write_bytes((tmp_path / "one.wav").read_bytes() * 2)
    write_manifest(tmp_path / "train.jsonl", [Item(id="a", audio=tmp_path / "two.wav")])
    write_shards(tmp_path, tmp_path / "s", most=10**6)
    path = read_manifest(tmp_path / "s" / "train.jsonl")[0].audio
    assert path and len(joined(path)) == 2 and len(read_audio(path)) == 1600


def test_the_stamp_of_a_file_is_that_of_its_shard(tmp_path: Path) -> None:
    items = corpus(tmp_path)
    write_shards(tmp_path, tmp_path / "s", most=10**6)
    first, second = (item.image for item in read_manifest(tmp_path / "s" / "test.2016.jsonl")[:2])
    assert first and second and items[0].image
    before = stamp_of(first)
    assert before and before != stamp_of(second)
    place = place_of(first)
    assert place
    Path(place.shard).touch()
    assert stamp_of(first) != before
    Path(place.shard).unlink()
    assert stamp_of(first) == b"" and not has_file(first)


def test_only_paths_in_shards_are_taken_for_such(tmp_path: Path) -> None:
    assert place_of(path_in(tmp_path / "a.tar", 1, 2, "x.png")) == (str(tmp_path / "a.tar"), 1, 2)
    for text in ("a.tar/1+2", "a.tar/1-2/x", "a.tgz/1+2/x", "x/a.tar", "a.tar/-1+2/x", "1+2/x", "x"):
        assert place_of(tmp_path / text) is None


def test_a_shard_that_is_missing_or_cut_off_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(100))
    assert read_place(place_of(path_in(tmp_path / "a.tar", 90, 10, "x"))) == bytes(10)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a\.tar: must have 101 bytes or more, got one cut off at 100; fetch it"):
        read_image(path_in(tmp_path / "a.tar", 90, 11, "x"))
    with pytest.raises(InputError, match=r"b\.tar: must be a shard, got No such file or directory; fetch it again"):
        read_array(path_in(tmp_path / "b.tar", 90, 11, "x"))


def test_no_memory_is_taken_for_what_a_shard_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(100))
    with pytest.raises(InputError, match=r"a\.tar: must have .* bytes or more, got one cut off at 100; fetch it"):
        read_image(path_in(tmp_path / "a.tar", 90, 10**14, "x"))


def test_what_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = corpus(tmp_path)
    with pytest.raises(InputError, match=r"must be a folder with manifests such as train.jsonl, got no \*.jsonl"):
        write_shards(tmp_path / "a", tmp_path / "s", most=1)
    with pytest.raises(InputError, match=r"`OUT` must be a new folder, got .*, which is there"):
        write_shards(tmp_path, tmp_path / "a", most=1)
    write_manifest(tmp_path / "val.jsonl", [Item(id="g", image=tmp_path / "gone.png")])
    with pytest.raises(InputError, match=r'gone\.png, id "g": no such file; put it there, or take the item out'):
        write_shards(tmp_path, tmp_path / "s", most=1)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=5))
    with pytest.raises(InputError, match=r"disk must have 0\.0 GB of room, got 0\.0 GB"):
        write_shards(tmp_path, tmp_path / "t", most=1)
    monkeypatch.undo()
    (tmp_path / "val.jsonl").unlink()
    monkeypatch.setattr("seqkit.data.shard_writer.size_of", lambda path: 10**4)
    with pytest.raises(InputError, match="a file must stay as it is while it is copied, got one that became shorter"):
        write_shards(tmp_path, tmp_path / "u", most=1)
    assert len(items) == 6 and not list((tmp_path / "u").glob("*.tar"))


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = corpus(tmp_path)
    write_manifest(tmp_path / "val.jsonl", [Item(id=str(n), image=items[0].image) for n in range(3)])
    assert main(["shards", str(tmp_path), str(tmp_path / "s")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "test.2016: 6 items in 1 shards, 0.0 MB"
    assert lines[1].startswith("val: 3 items in 1 shards") and lines[1].endswith("copies of files that items share")
    assert main(["check", str(tmp_path / "s")]) == 0
    out = capsys.readouterr().out
    assert "3 image" in out and "unreadable" not in out and "missing file" not in out
    assert main(["shards", str(tmp_path), str(tmp_path / "t"), "--megabytes", "0"]) == 2
    assert "`--megabytes` must be at least 1, got 0" in capsys.readouterr().err
