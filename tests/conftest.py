"""Shared by all tests: one thread (tiny tensors lose by more) and the folder of real corpora."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from tests.corpora import DATA

torch.set_num_threads(1)
T = TypeVar("T")


@pytest.fixture(scope="session")
def talking_mouths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of drawn mouths and their sound, three words a sentence; for reading alone."""
    from seqkit.data_prep.synthetic.speech import lipreading

    folder = tmp_path_factory.mktemp("mouths")
    lipreading(folder, 12, seed=1, words=3, size=40)
    return folder


@pytest.fixture
def real_data() -> Path:
    """The folder of published corpora; a test that needs it is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"needs the published corpora in {DATA} (set SEQKIT_DATA)")
    return DATA


@pytest.fixture
def decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What decoders do happens in this process, where a test can see it and put something in its place."""
    from seqkit.data import decoder_process

    class Here:
        def call(self, function: Callable[[], T], size: int = 0) -> T:
            return function()

        def close(self) -> None:
            pass

    monkeypatch.setattr(decoder_process, "DecoderProcess", Here)
    monkeypatch.setattr(decoder_process, "_idle", defaultdict(list))
