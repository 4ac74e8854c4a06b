"""Recipes train from shards as from the folder: the same weights, every item once an epoch, resumed to the item."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from seqkit.cli import main
from seqkit.config import read_values
from seqkit.data.batch import Data
from seqkit.data.image import Square
from seqkit.data.shard_writer import write_shards
from seqkit.recipes.captioning import data as captioning
from seqkit.recipes.common.image_reader import PixelReader
from seqkit.train import distributed, step
from seqkit.train.state import Progress
from seqkit.train.training_config import TrainingConfig
from tests.range_server import serve
from tests.tiny_runs import corpus, evaluate, train


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def weights(run: Path) -> bytes:
    return (run / "last" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("task", ["translation", "wlas"])
def test_weights_from_shards_are_those_from_the_folder(task: str, tmp_path: Path) -> None:
    folder, shards = corpus(task, tmp_path / "d"), tmp_path / "s"
    index = write_shards(folder, shards, most=30_000)
    assert len(index["splits"]["train"]["shards"]) > (task != "translation")
    assert train(task, folder, tmp_path / "a") == train(task, shards, tmp_path / "b") == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert evaluate(task, folder, tmp_path / "a") == evaluate(task, shards, tmp_path / "b")


def test_weights_from_an_address_are_those_from_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = corpus("grounding", tmp_path / "d")
    write_shards(folder, tmp_path / "s", most=5000)
    assert train("grounding", folder, tmp_path / "a") == 0
    with serve(tmp_path) as server:
        assert train("grounding", Path(f"{server.url}/s"), tmp_path / "b") == 0
        assert weights(tmp_path / "a") == weights(tmp_path / "b")
        assert read_values(tmp_path / "b" / "config.yaml")["data"] == f"{server.url}/s"
        command = ["grounding", "evaluate", "--run", str(tmp_path / "b"), "--split", "val"]
        assert main(command) == 0
        (tmp_path / "s" / "val-000000.tar").unlink()
        assert main(command) == 2
    assert "val-000000.tar: must be a file to read, got 404" in capsys.readouterr().err.splitlines()[-1]


def shard_data(folder: Path, workers: int) -> Data:
    items = captioning.read_captions(folder, "train")
    text = captioning.TextConfig(batch_budget=2, workers=workers, min_count=1)
    vocab = captioning.train_vocab(text, items)
    return captioning.train_data(text, vocab, items, PixelReader(Square(16)), seed=3)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_item_once_an_epoch(processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of processes, each with two workers: the items of every step are those of one process; and a
    run that goes on in the middle of an epoch gets what is left of it."""
    folder = corpus("captioning", tmp_path / "d")
    write_shards(folder, tmp_path / "s", most=5000)
    plain, own = shard_data(folder, 0), shard_data(tmp_path / "s", 2)
    for epoch in (0, 1):
        assert own.epoch(epoch) == plain.epoch(epoch)
        found = []
        for rank in range(processes):
            monkeypatch.setattr(distributed, "world_size", lambda: processes)
            monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
            steps = step.batches(own, TrainingConfig(), Progress(0, epoch, 0))
            mine = []
            for (after, _), batches in steps:
                mine.append(batches)
                if after != epoch:
                    break
            found.append(mine)
            half = next(step.batches(own, TrainingConfig(), Progress(0, epoch, 2 * processes)))[1]
            assert all(
                torch.equal(a.streams[0].values, b.streams[0].values) for a, b in zip(half, mine[2], strict=True)
            )
        turns = [batch for together in zip(*found, strict=True) for own in together for batch in own]
        monkeypatch.undo()
        whole = list(plain.load(plain.epoch(epoch), epoch))
        assert len(whole) == len(turns)
        for one, other in zip(whole, turns, strict=True):
            assert torch.equal(one.streams[0].values, other.streams[0].values)
            assert torch.equal(one.targets_BT, other.targets_BT)
        captions = Counter(index for batch in turns for index in batch.indices)
        assert captions == Counter(dict(enumerate(map(len, references(folder)))))


def references(folder: Path) -> list[tuple[str, ...]]:
    return [item.references for item in captioning.read_captions(folder, "train")]
