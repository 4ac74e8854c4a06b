"""What is added to a model's log-probabilities when text is searched for: language model, hot words, grammar.

The same options in every recipe that writes text, over characters, words or subwords. `logprob` stays the model's own.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch

from seqkit.data.files import read_lines
from seqkit.data.subword_sampling import SPACE
from seqkit.data.text import JOINER, normalize_whitespace
from seqkit.data.vocab import SPECIALS, UNK, SubwordVocab, Vocab, WordVocab
from seqkit.decode import Grammar, HotWords, LengthBonus, Scorer, lexicon, slots
from seqkit.decode.search import Scorers
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.find_run import find_run
from seqkit.ranges import Range, check_ranges
from seqkit.recipes.common.letter_case import other_case
from seqkit.recipes.language_model.scorer import load_scorer
from seqkit.score.language import unspaced
from seqkit.train.distributed import print0

WEIGHT = re.compile(r"(\t|[^\W\d][:=,;] ?|\^)[-+]?\d+(\.\d+)?$")  # at the end of a line of hot words
FRACTION = re.compile(r"\s[-+]?\d+\.\d+$")  # the same, where all lines end so


@described
@dataclass(frozen=True)
class ScorerOptions:
    """What is added to the score of a text while it is searched for."""

    lm: str | None = None
    """language model: a run of language_model, or the file of an n-gram model (ours or ARPA); of lipnet also own, the
    n-grams of the run's training text (LipNet: own, characters, n = 5)"""
    lm_weight: Annotated[float, Range(min=0, max=1e6)] = 0.3
    """weight of the language model's log-probabilities"""
    length_bonus: Annotated[float, Range(min=-1e6, max=1e6)] = 0.0
    """added to the score for each token"""
    grammar: Path | None = None
    """file of the words that may occur: one line of words that may follow each other, or a line for each word position;
    null: all texts"""
    hotwords: Path | None = None
    """file of words or phrases that are likely to occur, such as names, one a line; null: none"""
    hotword_weight: Annotated[float, Range(min=0, max=1e6)] = 1.0
    """added to the score, in nats, for each letter of a hot word that the text has as a whole word"""

    def __post_init__(self) -> None:
        check_ranges(self)


def make_scorers(options: ScorerOptions, vocab: Vocab, device: torch.device, own: Path | None = None) -> Scorers:
    """The scorers that are asked for, with their weights. `own`: the run's own language model.

    Raises InputError for a file that is missing or does not fit the vocabulary.
    """
    scorers: list[tuple[Scorer, float]] = []
    if options.lm:
        path = own if own and options.lm == "own" else find_run(options.lm)
        if not os.path.exists(path):  # false for a name that is too long
            choices = "own, null" if own else "null"
            raise InputError(f"`lm` must be {choices}, or a language model's run or file, got {options.lm!r}")
        if options.lm_weight:
            tokens = [vocab.token(i) for i in range(len(vocab))]
            scorers.append((load_scorer(path, tokens, device), options.lm_weight))
    if options.length_bonus:
        scorers.append((LengthBonus(), options.length_bonus))
    if options.grammar:
        scorers.append((read_grammar(options.grammar, vocab, device), 1.0))
    if options.hotwords:
        scorers.append((read_hotwords(options.hotwords, vocab, device), options.hotword_weight))
    return tuple(scorers)


def word_separator(vocab: Vocab) -> int | None:
    """The token between words; None where tokens are words, or pieces that begin words."""
    return next((number for number in range(len(vocab)) if vocab.token(number) == " "), None)


def read_grammar(path: Path, vocab: Vocab, device: torch.device) -> Grammar:
    """The words of a file as a closed set: one line is a lexicon, several are the positions of a sentence.

    Raises InputError for a file that is missing, empty or has a symbol outside the vocabulary.
    """
    if not path.is_file():
        raise InputError(f"`grammar` must be a file of words, got {path}, which is none")
    lines = [line.split() for _, line in read_lines(path) if line.strip()]
    sets = [[vocab.encode(word) for word in line] for line in lines]
    for line, words in zip(lines, sets, strict=True):
        for word, ids in zip(line, words, strict=True):
            if UNK in ids:
                raise InputError(f"{path}: must hold words in the symbols of training, got {word!r}")
    if not sets:
        raise InputError(f"{path}: must hold at least one word, got none")
    letters = Counter(symbol for line in lines for word in line for symbol in vocab.tokens(word))
    if found := other_case(letters, [vocab.token(number) for number in range(len(vocab))]):
        print0(f"{path}: words are in another case than most of the training text, {found[1]!r} for {found[0]!r}")
    if len(sets) == 1:
        return lexicon(sets[0], len(vocab), word_separator(vocab), device)
    return slots(sets, len(vocab), word_separator(vocab), device)


def read_hotwords(path: Path, vocab: Vocab, device: torch.device) -> HotWords:
    """The words and phrases of a file, one a line; those that the vocabulary cannot write are named.

    Raises InputError for a file that is missing, or a line without a letter.
    """
    if not path.is_file():
        raise InputError(f"`hotwords` must be a file of words, one a line, got {path}, which is none")
    lines = [(number, line.strip()) for number, line in read_lines(path) if line.strip()]
    if not lines:
        raise InputError(f"{path}: must hold at least one word, got none")
    for number, line in lines:
        if WEIGHT.search(line) or all(FRACTION.search(other) for _, other in lines):
            fault = f"must be a word or phrase alone, got a weight too, {line!r}; `hotword_weight` is that of all words"
            raise InputError(f"{path}, line {number}: {fault}")
    words = [normalize_whitespace(line) for _, line in lines]
    if lacking := [word for word in words if UNK in vocab.encode(word)]:
        print0(f"{path}: not in the symbols of training, so that they cannot be written: {', '.join(lacking[:20])}")
    inside = [word for word in words if unspaced(word[0]) or unspaced(word[-1])]
    try:
        return HotWords(words, token_texts(vocab), device, inside=inside)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def token_texts(vocab: Vocab) -> Sequence[str]:
    """The characters that each token adds to a text, with a space before those that begin a word."""
    tokens = ["" if number < len(SPECIALS) else vocab.token(number) for number in range(len(vocab))]
    if isinstance(vocab, SubwordVocab):
        return [token.replace(SPACE, " ") for token in tokens]
    if isinstance(vocab, WordVocab):
        parts = [(" " * (not token.startswith(JOINER)), token.strip(JOINER)) for token in tokens]
        return [before + core if core else "" for before, core in parts]
    return tokens
