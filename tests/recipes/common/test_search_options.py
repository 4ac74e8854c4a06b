"""The search options that the recipes share, and what may form an ensemble."""

from pathlib import Path

import pytest
import torch

from seqkit.data.vocab import WordVocab
from seqkit.errors import InputError
from seqkit.recipes.common.search_options import SearchOptions, check_vocabulary


def test_a_length_of_ones_own_goes_before_the_recipes() -> None:
    assert SearchOptions(max_len=7).search(30, 1).max_len == 7
    assert SearchOptions().search(torch.tensor([3, 4]), 1).max_len.tolist() == [3, 4]


def test_as_many_hypotheses_are_kept_open_as_are_asked_for() -> None:
    assert (SearchOptions(beam=2).search(9, 4).beam, SearchOptions(beam=5).search(9, 4).beam) == (4, 5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_len": -1}, "`max_len` must be at least 0, got -1"),
        ({"alpha": -0.5}, "`alpha` must be at least 0, got -0.5"),
    ],
)
def test_bad_options_are_the_users_mistake(options: dict[str, float], text: str) -> None:
    with pytest.raises(InputError, match=text):
        SearchOptions(**options).search(9, 1)


def test_an_ensemble_speaks_with_one_vocabulary() -> None:
    check_vocabulary(WordVocab(["a", "b"]), WordVocab(["a", "b"]), Path("other"))
    with pytest.raises(InputError, match="an ensemble must have one vocabulary, got other, which has another"):
        check_vocabulary(WordVocab(["a", "b"]), WordVocab(["b", "a"]), Path("other"))
