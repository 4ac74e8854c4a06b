"""Language models as scorers of the other recipes' searches."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from seqkit import recipe as recipes
from seqkit.data.subword_sampling import SPACE
from seqkit.data.vocab import SPECIALS
from seqkit.decode import LanguageModel, MappedScorer, NgramScorer, Scorer, WordScorer, load_ngram, match_symbols
from seqkit.errors import InputError
from seqkit.find_run import find_run
from seqkit.recipes.common.letter_case import other_case, usual_case
from seqkit.recipes.language_model.data import TextConfig
from seqkit.recipes.language_model.model import Member
from seqkit.recipes.language_model.recipe import RECIPE
from seqkit.train.distributed import print0

LEAST = {
    "characters": 0.1,
    "subwords": 0.5,
    "words": 0.0,
}  # share of a model's letters, pieces or words that must be tokens


def load_scorer(path: Path, tokens: Sequence[str], device: torch.device) -> Scorer:
    """A language model as a scorer of a search over `tokens`, the specials among them, the most frequent first.

    `path`: a run of this recipe, or the file of an n-gram model. A model of words scores characters word by word.
    Raises InputError where model and tokens have nothing in common, or are in another case.
    """
    model = load_model(path, device)
    plain = [token for token in tokens if token not in SPECIALS]
    symbols = [symbol for symbol in model.symbols if symbol not in SPECIALS]
    units = units_of(plain)
    theirs = units_of(symbols)
    if model.ngram and theirs == "words" and units == "characters" and " " in plain:
        check_units(path, letter_weights(symbol_weights(model)), plain, units)
        unspelled = [word for word in symbols if not set(word) <= set(plain)]
        if unspelled:
            shown = ", ".join(map(repr, unspelled[:5])) + ", …" * (len(unspelled) > 5)
            print0(f"{path}: {len(unspelled):,} of {len(symbols):,} words have characters that the run lacks: {shown}")
        return WordScorer(model.ngram, tokens, device)
    symbol_V, lacking = match_symbols(tokens, model.symbols, model.unknown)
    if "characters" in (units, theirs) and units != theirs:
        raise InputError(f"{path}: must be a language model of {units}, as the run, got one of {theirs}")
    check_units(path, symbol_weights(model), plain, units)
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


def units_of(tokens: Sequence[str]) -> str:
    """What tokens most likely are: characters, subwords (some begin with sentencepiece's sign of a space) or words."""
    if " " in tokens or all(len(token) == 1 for token in tokens):
        return "characters"
    return "subwords" if any(token.startswith(SPACE) for token in tokens) else "words"


def symbol_weights(model: Member) -> dict[str, float]:
    """The probability of each symbol by itself, or 1 for each where the model has none; specials are left out."""
    weights = np.exp(model.ngram.logprob_G[1 : len(model.symbols) + 1]) if model.ngram else np.ones(len(model.symbols))
    found = zip(model.symbols, weights.tolist(), strict=True)
    return {symbol: weight for symbol, weight in found if symbol not in SPECIALS}


def letter_weights(words: Mapping[str, float]) -> dict[str, float]:
    """How often each character stands in words of these probabilities."""
    weights: dict[str, float] = defaultdict(float)
    for word, weight in words.items():
        for character in word:
            weights[character] += weight
    return weights


def check_units(path: Path, weights: Mapping[str, float], tokens: Sequence[str], units: str) -> None:
    """Raise InputError where a language model's letters or words are in another case than `tokens`, the most frequent
    first, or too few are among them."""
    usual = usual_case(tokens)
    spelled = {unit: weight for unit, weight in weights.items() if any(map(str.isalpha, unit))}
    shared = sum(weight for unit, weight in spelled.items() if unit.lower() in usual)
    if shared < LEAST[units] * sum(spelled.values()):
        few = " ".join(sorted(spelled, key=lambda unit: -spelled[unit])[:5])
        raise InputError(
            f"{path}: must be a language model of the same symbols, got none of {' '.join(tokens[:5])} … but {few} …"
        )
    if found := other_case(spelled, tokens):
        raise InputError(
            f"{path}: must be a language model in the case of the run, {found[0]!r}, got {found[1]!r}; "
            "make it of text in that case"
        )


def load_model(path: Path, device: torch.device) -> Member:
    """The model of a run, or of the file of an n-gram model."""
    path = find_run(path)
    if path.is_dir():
        member: Member = recipes.load(RECIPE, [path], device, {}).predictor.members[0]  # type: ignore[attr-defined]
        return member
    ngram = load_ngram(path)
    return Member(TextConfig(), None, ngram.symbols, ngram, None)
