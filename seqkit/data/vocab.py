"""Vocabularies of characters, words or subwords: text to ids and back.

Protocol: `encode(text)` to ids without BOS and EOS; `decode(ids)` to text; `tokens(text)`, the pieces that `encode`
numbers; `join(tokens)` to text, with single spaces and none at its ends, whatever the tokens; `token(id)`; `len()`;
`train(texts, ...)`; `save(folder, name)`. Ids 0 to 3 are PAD, BOS, EOS and UNK in every vocabulary. `decode` leaves out
PAD, BOS and EOS, and shows UNK as ⁇ as sentencepiece does, but without spaces around it, so that a word of which one
character is unknown stays one word: an unknown token is a fault of the text, and hiding it would flatter a score.

Subwords: BPE (Sennrich et al. 2016, arXiv:1508.07909) or unigram (Kudo 2018, arXiv:1804.10959) by sentencepiece;
sampled encodings are BPE-dropout (Provilkov et al. 2020, arXiv:1910.13267) or subword regularization (Kudo), see
`seqkit.data.subword_sampling`. sentencepiece writes a space as ▁; a ▁ of the text itself is kept apart from it.
"""

import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from seqkit.data.files import atomic_write, strict_json
from seqkit.data.subword_sampling import SPACE, BpeSampler, UnigramSampler, make_sampler
from seqkit.data.text import join_words, normalize_whitespace, single_spaces, words
from seqkit.errors import InputError

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")
UNKNOWN = "⁇"  # how UNK reads in decoded text
MIN_FOR_RARE = 100  # subwords of a vocabulary that may leave characters out
OWN_SPACE_SIGN = "\ufdd0"  # stands for a ▁ of the text in pieces; Unicode gives it to no text


class _Table:
    """Token table: tokens and their ids, special tokens first."""

    def __init__(self, kind: str, tokens: Sequence[str]) -> None:
        self.kind = kind
        self.tokens = (*SPECIALS, *tokens)
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    def save(self, folder: Path, name: str) -> None:
        content = {"kind": self.kind, "tokens": self.tokens[len(SPECIALS) :]}
        _write(Path(folder), name, ".json", json.dumps(content, ensure_ascii=False, indent=0).encode())

    def text(self, ids: Iterable[int]) -> list[str]:
        """Returns the tokens of `ids` that are part of the text."""
        return [UNKNOWN if i == UNK else self.tokens[i] for i in ids if i not in (PAD, BOS, EOS)]


def _counted(counts: Counter[str], min_count: int, max_size: int | None) -> list[str]:
    """Sorts tokens by frequency, ties by code point, so that the order of the texts does not matter."""
    if max_size is not None and max_size <= len(SPECIALS):
        raise InputError(f"`max_size` must be above {len(SPECIALS)}, the special tokens, got {max_size}")
    kept = sorted((t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
    kept = kept if max_size is None else kept[: max_size - len(SPECIALS)]
    if not kept:
        raise InputError(f"`texts` must hold a token {min_count} times, got {len(counts)} different tokens, all rarer")
    return kept


class CharVocab:
    """Character vocabulary: one id per character of the text in NFC with single spaces."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """`tokens` are the characters in the order of their ids, from 4 on."""
        self._table = _Table("characters", tokens)

    @classmethod
    def train(cls, texts: Iterable[str], *, min_count: int = 1, max_size: int | None = None) -> "CharVocab":
        """Characters seen `min_count` times; `max_size` counts the specials. Raises InputError where none is."""
        return cls(_counted(Counter(c for text in texts for c in normalize_whitespace(text)), min_count, max_size))

    def __len__(self) -> int:
        return len(self._table.tokens)

    def tokens(self, text: str) -> list[str]:
        return list(normalize_whitespace(text))

    def join(self, tokens: Iterable[str]) -> str:
        return single_spaces("".join(tokens))

    def token(self, id: int) -> str:
        return self._table.tokens[id]

    def encode(self, text: str) -> list[int]:
        return [self._table.ids.get(c, UNK) for c in normalize_whitespace(text)]

    def decode(self, ids: Iterable[int]) -> str:
        return self.join(self._table.text(ids))

    def save(self, folder: Path, name: str) -> None:
        self._table.save(folder, name)


class WordVocab:
    """Word vocabulary: one id per word or punctuation mark; `join` restores spaces."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """`tokens` are the words in the order of their ids, from 4 on."""
        self._table = _Table("words", tokens)

    @classmethod
    def train(cls, texts: Iterable[str], *, min_count: int = 1, max_size: int | None = None) -> "WordVocab":
        """Words seen `min_count` times; `max_size` counts the specials. Raises InputError where none is."""
        return cls(_counted(Counter(w for text in texts for w in words(text)), min_count, max_size))

    def __len__(self) -> int:
        return len(self._table.tokens)

    def tokens(self, text: str) -> list[str]:
        return words(text)

    def join(self, tokens: Iterable[str]) -> str:
        return join_words(tokens)

    def token(self, id: int) -> str:
        return self._table.tokens[id]

    def encode(self, text: str) -> list[int]:
        return [self._table.ids.get(w, UNK) for w in words(text)]

    def decode(self, ids: Iterable[int]) -> str:
        return join_words(self._table.text(ids))

    def save(self, folder: Path, name: str) -> None:
        self._table.save(folder, name)


class SubwordVocab:
    """Subword vocabulary trained by sentencepiece; a piece that starts a word starts with ▁."""

    lacking: Sequence[
        str
    ] = ()  # characters of the training texts that are too rare for a piece, the most frequent first

    def __init__(self, model: bytes) -> None:
        """`model` is a serialized sentencepiece model. Raises InputError where it is not, or its specials differ."""
        import sentencepiece

        self.model = model
        self._sampler: BpeSampler | UnigramSampler | None = None  # made when it is asked for
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model or b"none")  # empty is not read
        except RuntimeError:
            raise InputError("`model` must be a serialized sentencepiece model, got other bytes") from None
        try:
            pieces = [self._pieces.id_to_piece(i) for i in range(len(self._pieces))]
            finite = all(math.isfinite(self._pieces.get_score(i)) for i in range(len(pieces)))
        except UnicodeDecodeError:
            finite = False
        if not finite:
            raise InputError("`model` must have pieces in UTF-8 with finite scores, got a damaged one; make it again")
        got = (self._pieces.pad_id(), self._pieces.bos_id(), self._pieces.eos_id(), self._pieces.unk_id())
        if got != (PAD, BOS, EOS, UNK):
            raise InputError(f"`model` must have pad, bos, eos, unk = 0, 1, 2, 3, got {got}; train it with these ids")

    @classmethod
    def train(
        cls, texts: Iterable[str], size: int, *, kind: str = "bpe", character_coverage: float = 1.0
    ) -> "SubwordVocab":
        """At most `size` pieces, fewer where the texts are too few; the same texts give the same pieces.

        kind: bpe or unigram. character_coverage: the share of all characters that get a piece; the rest is UNK. Where
        there are more characters than `size`, the most frequent get three quarters of it; `lacking` has the others.
        Raises InputError for no text, or a small `size` that cannot hold the characters.
        """
        if kind not in ("bpe", "unigram"):
            raise InputError(f"`kind` must be bpe or unigram, got {kind!r}")
        texts = texts if isinstance(texts, Sequence) else list(texts)
        try:
            return cls(_train(map(_escape, texts), size, kind, character_coverage))
        except RuntimeError as error:
            reason = str(error).rpartition("] ")[2] or "no text to learn from"
            if "required_chars" not in reason:
                raise InputError(
                    f"`size` {size} and `texts` must fit each other, sentencepiece says: {reason}"
                ) from None
        counts = Counter(c for text in texts for c in _escape(text) if c != " ")
        ordered = sorted(counts, key=lambda c: (-counts[c], c))
        if size < MIN_FOR_RARE:
            raise InputError(f"`size` must be above {len(ordered)}, the characters of `texts`, got {size}")
        kept = ordered[: 3 * size // 4 - len(SPECIALS)]
        rare = str.maketrans(dict.fromkeys(ordered[len(kept) :], " "))
        vocab = cls(_train((_escape(text).translate(rare) for text in texts), size, kind, 1.0))
        vocab.lacking = ordered[len(kept) :]
        return vocab

    def __len__(self) -> int:
        return len(self._pieces)

    def __reduce__(self) -> tuple[type["SubwordVocab"], tuple[bytes]]:
        return SubwordVocab, (self.model,)

    def tokens(self, text: str) -> list[str]:
        pieces: list[str] = self._pieces.encode(_escape(text), out_type=str)
        return pieces

    def join(self, tokens: Iterable[str]) -> str:
        return single_spaces("".join(tokens).replace(SPACE, " ")).replace(OWN_SPACE_SIGN, SPACE)

    def token(self, id: int) -> str:
        piece: str = self._pieces.id_to_piece(id)
        return piece

    def encode(self, text: str, *, sample: float = 0.0, rng: np.random.Generator | None = None) -> list[int]:
        """Ids of the best split, or with `sample` above 0 of one drawn from `rng`.

        For bpe `sample` is the probability that a merge is left out (0.1 in the paper), for unigram the sharpness
        of the distribution over splits (0.2 in the paper; less is more random).
        """
        if sample <= 0:
            ids: list[int] = self._pieces.encode(_escape(text))
            return ids
        if rng is None:
            raise ValueError("`rng` must be given where `sample` is above 0, got None")
        self._sampler = self._sampler or make_sampler(self._pieces)
        return self._sampler.sample(self._pieces.normalize(_escape(text)), sample, rng)

    def decode(self, ids: Iterable[int]) -> str:
        return self.join(UNKNOWN if i == UNK else self.token(i) for i in ids if i not in (PAD, BOS, EOS))

    def save(self, folder: Path, name: str) -> None:
        _write(Path(folder), name, ".model", self.model)


def _train(sentences: Iterable[str], size: int, kind: str, character_coverage: float) -> bytes:
    """A sentencepiece model. Raises RuntimeError, with sentencepiece's reason."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type=kind,
        vocab_size=size,
        character_coverage=character_coverage,
        pad_id=PAD,
        bos_id=BOS,
        eos_id=EOS,
        unk_id=UNK,
        hard_vocab_limit=False,  # a small corpus has fewer pieces than asked for
        normalization_rule_name="identity",
        max_sentence_length=1 << 20,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


Vocab = CharVocab | WordVocab | SubwordVocab
KINDS: dict[str, Callable[[list[str]], CharVocab | WordVocab]] = {"characters": CharVocab, "words": WordVocab}


def train_vocab(units: str, texts: Sequence[str], size: int) -> Vocab:
    """Trains a vocabulary of `units` (subwords, words or characters); `size` limits subwords and words."""
    if units == "subwords":
        return SubwordVocab.train(texts, size)
    if units == "words":
        return WordVocab.train(texts, max_size=size)
    if units != "characters":
        raise InputError(f"`units` must be subwords, words or characters, got {units!r}")
    return CharVocab.train(texts)


def load_vocab(folder: Path, name: str) -> Vocab:
    """Loads what `save(folder, name)` wrote. Raises InputError for a missing or broken file."""
    table, model = Path(folder) / f"{name}.json", Path(folder) / f"{name}.model"
    if model.is_file():
        try:
            return SubwordVocab(model.read_bytes())
        except InputError as error:
            raise InputError(f"{model}: {error}") from None
    if not table.is_file():
        raise InputError(f"{folder}: must hold the vocabulary {name}.json or {name}.model, got neither")
    try:
        content = strict_json(table.read_bytes())
        kind, tokens = content["kind"], content["tokens"]
        valid = kind in KINDS and isinstance(tokens, list) and len(set(tokens)) == len(tokens)
        valid = valid and all(isinstance(token, str) for token in tokens)
    except (ValueError, KeyError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise InputError(f"{table}: must be a vocabulary with `kind` and different `tokens`, got a broken file")
    return KINDS[kind](tokens)


def _escape(text: str) -> str:
    """Text as sentencepiece may read it."""
    return normalize_whitespace(text).replace(SPACE, OWN_SPACE_SIGN)


def _write(folder: Path, name: str, suffix: str, content: bytes) -> None:
    """Writes a vocabulary file and removes one of the other kind with the same name."""
    with atomic_write(folder / (name + suffix)) as file:
        file.write(content)
    other = {".json": ".model", ".model": ".json"}[suffix]
    (folder / (name + other)).unlink(missing_ok=True)
