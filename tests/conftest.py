"""Shared by all tests: one thread (tiny tensors lose by more) and the folder of real corpora."""

from pathlib import Path

import pytest
import torch

from tests.corpora import DATA

torch.set_num_threads(1)


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
