"""Every recipe's training data in worker processes, however these are started: only Linux forks by default."""

import multiprocessing
import pickle
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit import tasks
from seqkit.config import fields_by_name, replace
from seqkit.data_prep.synthetic.corpora import make
from seqkit.recipe import preset
from seqkit.start import Start

FROZEN = {
    "backbone": "resnet18",
    "weights": "random",
    "image_size": 32,
    "output_stage": "layer1",
    "unfreeze_from": None,
}
SPEECH = {"crop_size": (36, 40), "frame_size": (16, 16), "crop_jitter": 2, "video_dim": 8}
RECIPES = {  # task: changes of its preset `tiny`, which reads pixels, and how many items
    "captioning": (FROZEN, 8),
    "vqa": ({}, 12),
    "grounding": ({}, 8),
    "lipnet": (SPEECH, None),
    "wlas": ({**SPEECH, "noise": "babble"}, None),
}


class PickledLoader(torch.utils.data.DataLoader[Any]):
    """Loads here what would have been sent to a worker."""

    def __init__(self, dataset: Any, *, num_workers: int, collate_fn: Any, **others: Any) -> None:
        assert num_workers == 1
        dataset, collate_fn = pickle.loads(ForkingPickler.dumps((dataset, collate_fn)))
        super().__init__(dataset, collate_fn=collate_fn, **others)


@pytest.fixture
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers are started by the method that the test names."""
    if request.param == "pickled":
        monkeypatch.setattr(torch.utils.data, "DataLoader", PickledLoader)
        yield
        return
    if request.param not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this platform has no {request.param}")
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(request.param, force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def tensors(batch: Any) -> list[torch.Tensor]:
    """All tensors in a batch, which is tuples in tuples."""
    if isinstance(batch, torch.Tensor):
        return [batch]
    return [found for part in batch if isinstance(part, tuple | list | torch.Tensor) for found in tensors(part)]


def test_every_recipe_with_workers_is_here() -> None:
    found = {name for name in tasks.TASKS if "workers" in fields_by_name(tasks.find_recipe(name).config)}
    assert found == RECIPES.keys()


@pytest.mark.parametrize(
    "task, method",
    [
        *((task, "pickled") for task in RECIPES),
        ("wlas", "spawn"),
        pytest.param("wlas", "forkserver", marks=pytest.mark.slow),
        *(
            pytest.param(task, method, marks=pytest.mark.slow)
            for task in RECIPES
            for method in ("spawn", "forkserver")
            if task != "wlas"
        ),
    ],
    indirect=["method"],
)
def test_a_worker_that_is_not_forked_loads_the_same(
    task: str, method: None, talking_mouths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe, (changes, items) = tasks.find_recipe(task), RECIPES[task]
    data = talking_mouths
    if items is not None:
        data = tmp_path / "data"
        make(task, data, items=items)
    loaded = []
    for workers in (0, 1):
        config = replace(preset(recipe, "tiny"), {**changes, "workers": workers})
        job = recipe.training_job(config, data, Start(torch.device("cpu"), tmp_path / "run"))
        loaded.append([tensors(batch) for batch in job.data.load(job.data.epoch(3)[:2], 3)])
    alone, helped = loaded
    assert len(alone) == len(helped) == 2
    for ours, theirs in zip(alone, helped, strict=True):
        assert len(ours) > 2 and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
