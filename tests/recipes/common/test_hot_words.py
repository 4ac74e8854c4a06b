"""Files of hot words as other programs have them."""

from pathlib import Path

import pytest
import torch

from seqkit.data.vocab import CharVocab
from seqkit.errors import InputError
from seqkit.recipes.common.scorers import ScorerOptions, make_scorers


@pytest.mark.parametrize("content", ["bin\t5\nred\t3\n", "bin:5.0\n", "bin 2.5\nred 3.0\n", "bin = 3\n", "bin^2\n"])
def test_hot_words_with_weights_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "words").write_text(content)
    vocab = CharVocab.train(["bin red 0123456789.:=^"])
    options = ScorerOptions(hotwords=tmp_path / "words")
    if content == "bin = 3\n":  # a phrase
        assert make_scorers(options, vocab, torch.device("cpu"))
        return
    with pytest.raises(InputError, match="line 1: must be a word or phrase alone, got a weight too, 'bin"):
        make_scorers(options, vocab, torch.device("cpu"))
    (tmp_path / "words").write_text("at 10:30\nroute 66\nbin 2.5\n")
    assert make_scorers(options, vocab, torch.device("cpu"))
    (tmp_path / "words").write_text("\n")
    with pytest.raises(InputError, match="words: must hold at least one word, got none"):
        make_scorers(options, vocab, torch.device("cpu"))
