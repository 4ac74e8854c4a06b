"""One meaning of times: `start` and `end` on the clock of the file, `words` and `seconds` from the item's beginning."""

import json

import numpy as np
import pytest

from seqkit.cli import main
from seqkit.data.manifest import Item, write_manifest
from seqkit.data.video_file import write_clip
from seqkit.data.vocab import CharVocab
from seqkit.recipes.lipreading.data import make_reader, read_split, segment
from seqkit.recipes.lipreading.input_config import AudioConfig, FeatureConfig, VideoConfig, read_statistics
from seqkit.recipes.lipreading.item_times import duration, has_word_times, words_outside

WORDS = (("bin", 0.1, 0.4), ("blue", 0.4, 0.9))


def cut(**keys) -> Item:
    return Item(**{"id": "x", "references": ("bin blue",), "start": 3.0, "end": 6.0, "words": WORDS, **keys})


def test_a_cut_lasts_from_start_to_end_whatever_seconds_says():
    assert duration(cut()) == duration(cut(seconds=9.0)) == 3.0 and duration(cut(start=None, end=None)) == 0.9
    word = segment(cut(video="a.mp4"), 1, 1)
    assert (word.start, word.end) == pytest.approx((3.4, 3.9)) and word.words == (("blue", 0.0, 0.5),)


def test_words_on_the_files_clock_are_named_and_not_used(tmp_path, capsys):
    late = tuple((word, start + 3, end + 3) for word, start, end in WORDS)
    assert has_word_times(cut()) and words_outside(cut(words=late)) and not has_word_times(cut(words=late))
    np.save(tmp_path / "a.npy", np.ones((300, 4)))
    items = [cut(features=tmp_path / "a.npy"), cut(id="y", words=late, features=tmp_path / "a.npy")]
    write_manifest(tmp_path / "train.jsonl", items)
    assert list(read_split(tmp_path, "train", "video").timed) == [0]
    assert "words of y are outside their items, so that their times are not used" in capsys.readouterr().err


@pytest.mark.parametrize("rate", [100, 25, 50])
def test_rows_keep_their_rate_in_the_run(rate, tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(3 * rate, 4)))
    items = [Item(id=str(n), features=tmp_path / "a.npy", seconds=3.0, references=("a",)) for n in range(3)]
    reader = make_reader(VideoConfig(), FeatureConfig(), AudioConfig(), streams=("video", "audio"), items=items)
    reader.save(tmp_path, CharVocab(["a"]))
    assert {name: own.rate for name, own in read_statistics(tmp_path, False).items()} == {"video": rate, "audio": rate}
    for name in ("video", "audio"):
        assert reader.seconds(name, reader.streams(items[0], "both")[0]) == pytest.approx(3.0)


def test_a_clip_shorter_than_its_seconds_is_named(tmp_path, capsys):
    for name in ("a", "b"):
        write_clip(tmp_path / f"{name}.mp4", [np.full((60, 110, 3), 90, np.uint8)] * (10 if name == "a" else 75), {})
    for split in ("train", "val"):
        lines = [{"id": n, "video": f"{n}.mp4", "seconds": 3.0, "references": ["bin blue at f two now"]} for n in "ab"]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = ["lipnet", "train", "--data", tmp_path, "--out", tmp_path / "run", "--preset", "tiny", "--steps", "2"]
    assert main([str(word) for word in given]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'a.mp4, id "a": must have' in last and "fewer than its `seconds` say" in last
