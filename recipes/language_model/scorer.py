"""Language models as scorers of the other recipes' searches."""

from collections.abc import Sequence
from pathlib import Path

import torch

from seqkit import recipe as recipes
from seqkit.data.vocab import SPECIALS
from seqkit.decode import LanguageModel, MappedScorer, NgramScorer, Scorer, WordScorer, load_ngram, match_symbols
from seqkit.errors import InputError
from seqkit.recipes.language_model.data import TextConfig
from seqkit.recipes.language_model.model import Member
from seqkit.recipes.language_model.recipe import RECIPE
from seqkit.train.distributed import print0


def load_scorer(path: Path, tokens: Sequence[str], device: torch.device) -> Scorer:
    """A language model as a scorer of a search over `tokens`, the specials among them.

    `path`: a run of this recipe, or the file of an n-gram model (.ngram, .arpa, .arpa.gz). A model of words scores
    characters word by word. Raises InputError where model and tokens have nothing in common.
    """
    model = load_model(path, device)
    plain = [token for token in tokens if token not in SPECIALS]
    words = any(len(symbol) > 1 for symbol in model.symbols if symbol not in SPECIALS)
    if model.ngram and words and " " in plain and all(len(token) == 1 for token in plain):
        return WordScorer(model.ngram, tokens, device)
    symbol_V, lacking = match_symbols(tokens, model.symbols, model.unknown)
    if len(lacking) >= len(plain):
        raise InputError(f"{path}: must be a language model of the same symbols, got none of {' '.join(plain[:5])} …")
    if lacking:
        print0(f"{path}: unknown to the language model: {' '.join(map(repr, lacking[:20]))}")
    scorer: Scorer
    if model.ngram:
        scorer = NgramScorer(model.ngram, device)
    else:
        assert model.decoder is not None
        scorer = LanguageModel(model.decoder)
    return MappedScorer(scorer, symbol_V.to(device))


def load_model(path: Path, device: torch.device) -> Member:
    """The model of a run, or of the file of an n-gram model."""
    if path.is_dir():
        member: Member = recipes.load(RECIPE, [path], device, {}).predictor.members[0]  # type: ignore[attr-defined]
        return member
    ngram = load_ngram(path)
    return Member(TextConfig(), None, ngram.symbols, ngram, None)
