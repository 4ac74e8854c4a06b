"""The reader itself: a sense, a token or the blank for every frame, and the search that makes text of them.

B batch, T frames, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqkit.config import at_least_one
from seqkit.data.batch import Example, collate
from seqkit.data.files import read_lines
from seqkit.data.manifest import Item
from seqkit.data.vocab import BOS, UNK, Vocab
from seqkit.decode import (
    Grammar,
    Hypothesis,
    LengthBonus,
    Scorer,
    Search,
    greedy_ctc,
    lexicon,
    prefix_beam,
    slots,
    token_spans,
)
from seqkit.decode.ctc import SPECIAL_TOKENS
from seqkit.decode.search import Scorers
from seqkit.errors import InputError
from seqkit.recipes.language_model.recipe import load_scorer
from seqkit.recipes.lipreading.data import spelt_words
from seqkit.recipes.lipreading.encoders import Sense
from seqkit.train.distributed import print0

LM = "lm.ngram"  # the file of the run's own model
OWN, NONE = "own", "none"
Words = list[tuple[str, float, float]]  # word, start and end in seconds


@dataclass(frozen=True)
class Reading:
    """Search, when evaluating and predicting; validation during training takes the best path."""

    beam: int = 100
    """prefixes kept open; 1: the best path, without language model or grammar"""
    lm: str = OWN
    """language model: own, the n-grams of the run's training text (LipNet: of five characters); none; or a run of
    language_model.py, or a .ngram or .arpa file"""
    lm_weight: float = 0.5
    """weight of its log-probabilities beside the frames'"""
    length_bonus: float = 0.0
    """added to a text's score for each of its tokens"""
    grammar: Path = Path()
    """file of what may be said: words in one line, of which any may follow any, or a line for each place; empty: all"""
    batch: int = 32
    """items read together"""
    subtitles: Path = Path()
    """folder for an .srt and a .vtt file of every input of predict; empty: none"""

    def __post_init__(self) -> None:
        at_least_one(self, "beam", "batch")


class LipReader(nn.Module):
    """Frames to logits (B, T, V); token 0 is the blank."""

    def __init__(self, watch: Sense, vocab_size: int) -> None:
        super().__init__()
        self.watch, self.output = watch, nn.Linear(watch.output_dim, vocab_size)
        self.dropout = nn.Dropout(watch.dropout.p)

    def forward(self, values: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.watch(values, lengths_B)
        return self.output(self.dropout(encoded.values_BSD)), encoded.lengths_B


class System(NamedTuple):
    """What turns frames into text."""

    model: LipReader
    vocab: Vocab
    scorers: Scorers

    @property
    def device(self) -> torch.device:
        return self.model.output.weight.device

    @torch.no_grad()
    def logits(self, sizes: Sequence[int], show: Callable[[int], Tensor], batch: int) -> list[Tensor]:
        """(T, V) of every item, on the CPU. `show` gives the frames of an item by its number, `sizes` how many they
        are, about; items of like size are read and computed together.
        """
        order = sorted(range(len(sizes)), key=lambda n: sizes[n])
        found: dict[int, Tensor] = {}
        for first in range(0, len(order), batch):
            numbers = order[first : first + batch]
            stream = collate([Example(n, (show(n),), ()) for n in numbers]).to(self.device).streams[0]
            logits_BTV, lengths_B = self.model(*stream)
            rows = zip(numbers, logits_BTV.cpu(), lengths_B.tolist(), strict=True)
            found |= {n: logits_TV[:length].clone() for n, logits_TV, length in rows}
        return [found[n] for n in range(len(sizes))]

    def read(self, logits: Sequence[Tensor], reading: Reading, nbest: int = 1) -> list[list[Hypothesis]]:
        """The `nbest` texts of every item, best first, by the best path where `beam` is 1."""
        found: list[list[Hypothesis]] = []
        for first in range(0, len(logits), reading.batch):
            own = logits[first : first + reading.batch]
            lengths_B = torch.tensor([len(logits_TV) for logits_TV in own], device=self.device)
            padded_BTV = nn.utils.rnn.pad_sequence(list(own), batch_first=True).to(self.device)
            if reading.beam == 1 and nbest == 1:
                found += [
                    [timed.hypothesis]
                    for timed in greedy_ctc(padded_BTV, lengths_B, suppress_tokens=(*SPECIAL_TOKENS, UNK))
                ]
                continue
            search = Search(beam=max(reading.beam, nbest), nbest=nbest, suppress_tokens=(BOS, UNK))
            found += prefix_beam(padded_BTV, lengths_B, search, scorers=self.scorers)
        return found

    def text(self, hypothesis: Hypothesis) -> str:
        return self.vocab.decode(hypothesis.tokens)

    def words(self, logits_TV: Tensor, hypothesis: Hypothesis, seconds_a_frame: float) -> Words:
        """The words of a text and when they are said, by the best path that says it."""
        if not hypothesis.tokens:
            return []
        found = token_spans(logits_TV[None], torch.tensor([len(logits_TV)]), [hypothesis.tokens])[0]
        timed = (
            (self.vocab.token(token), first * seconds_a_frame, (last + 1) * seconds_a_frame)
            for token, (first, last) in zip(hypothesis.tokens, found, strict=True)
        )
        return spelt_words(timed, spelt=space_of(self.vocab) is not None)


def space_of(vocab: Vocab) -> int | None:
    """The token between words where they are spelt."""
    return next((i for i in range(len(vocab)) if vocab.token(i) == " "), None)


def make_scorers(reading: Reading, vocab: Vocab, folder: Path, device: torch.device) -> Scorers:
    """What the search adds to the frames' log-probability. `folder` is that of the run's checkpoint."""
    tokens = [vocab.token(i) for i in range(len(vocab))]
    scorers: list[tuple[Scorer, float]] = []
    if reading.lm != NONE:
        path = folder / LM if reading.lm == OWN else Path(reading.lm)
        if not path.exists():
            raise InputError(f"`lm` must be own, none, or a language model's run or file, got {reading.lm!r}")
        scorers.append((load_scorer(path, tokens, device), reading.lm_weight))
    if reading.length_bonus:
        scorers.append((LengthBonus(), reading.length_bonus))
    if reading.grammar != Path():
        scorers.append((read_grammar(reading.grammar, vocab, device), 1.0))
    return tuple(scorers)


def read_grammar(path: Path, vocab: Vocab, device: torch.device) -> Grammar:
    """The words of a file as a closed set: one line a lexicon, several the places of a sentence.

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
    if len(sets) == 1:
        return lexicon(sets[0], len(vocab), space_of(vocab), device)
    return slots(sets, len(vocab), space_of(vocab), device)


def note_unknown(vocab: Vocab, items: Sequence[Item]) -> None:
    """Say which symbols no output of the run can have."""
    texts = (text for item in items for text in item.references)
    unknown = sorted({symbol for text in texts for symbol in vocab.tokens(text) if UNK in vocab.encode(symbol)})
    if unknown:
        print0(f"symbols that training did not have, so that they cannot be read: {' '.join(map(repr, unknown[:20]))}")
