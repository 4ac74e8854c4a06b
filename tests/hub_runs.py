"""Runs and a stand-in of the Hub for tests of models that travel."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seqkit.cli import main
from tests.hub_server import TOKEN, Hub, serve
from tests.tiny_runs import corpus, train


@contextmanager
def stand_in(cache: Path) -> Iterator[Hub]:
    """A stand-in that huggingface_hub takes for the Hub, with a token and an empty cache, until the block ends."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs seqkit[hub]")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), serve() as hub:
        warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)  # of what huggingface_hub 2.4 calls
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setenv("HF_TOKEN", TOKEN)
        yield hub


def small_run(task: str, folder: Path, *, evaluated: bool = False) -> Path:
    """A run of preset tiny, in `folder/RUN`, of the corpus in `folder/DATA`."""
    data = corpus(task, folder / "DATA")
    assert train(task, data, folder / "RUN") == 0
    if evaluated:
        assert main([task, "evaluate", "--run", str(folder / "RUN"), "--split", "val", "--device", "cpu"]) == 0
    return folder / "RUN"
