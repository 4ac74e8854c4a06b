"""Vocabularies that take in further tokens: what a trained one lacks of new texts, and the same one with that added.

A token keeps its id, so weights that were trained with the vocabulary keep their meaning.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from seqkit.data.subword_sampling import SPACE
from seqkit.data.text import normalize_whitespace
from seqkit.data.vocab import OWN_SPACE_SIGN, SPECIALS, UNK, CharVocab, SubwordVocab, Vocab

PIECES, PIECE, SCORE = b"\x0a", b"\x0a", b"\x15"  # tags of fields of a sentencepiece model


def units_of(vocab: Vocab) -> str:
    """What a token of the vocabulary is: subwords, characters or words."""
    if isinstance(vocab, SubwordVocab):
        return "subwords"
    return "characters" if isinstance(vocab, CharVocab) else "words"


def new_tokens(vocab: Vocab, train: Callable[[], Vocab], texts: Iterable[str]) -> list[str]:
    """What `vocab` lacks, most frequent first: tokens of the vocabulary that `train` returns; of subwords, which can
    spell any word, the characters of `texts`."""
    if isinstance(vocab, SubwordVocab):
        counts = Counter(c for text in texts for c in normalize_whitespace(text) if c != " ")
        return sorted((c for c in counts if UNK in vocab.encode(c)), key=lambda c: (-counts[c], c))
    known = {vocab.token(i) for i in range(len(vocab))}
    other = train()
    return [token for token in map(other.token, range(len(SPECIALS), len(other))) if token not in known]


def extend_vocab(vocab: Vocab, tokens: Sequence[str]) -> Vocab:
    """`vocab` with `tokens` after its own; of subwords, new characters."""
    if not tokens:
        return vocab
    if not isinstance(vocab, SubwordVocab):
        return type(vocab)([*map(vocab.token, range(len(SPECIALS), len(vocab))), *tokens])
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_proto=vocab.model)
    lowest = min(pieces.get_score(i) for i in range(len(pieces)))
    added = (
        _piece(token.replace(SPACE, OWN_SPACE_SIGN), lowest - number)  # a score as the trainer gives it, by rank
        for number, token in enumerate(tokens, 1)
    )
    return SubwordVocab(vocab.model + b"".join(added))


def _piece(text: str, score: float) -> bytes:
    """A piece in the form of sentencepiece's model, a protocol buffer: a repeated field grows by what is appended."""
    content = PIECE + _sized(text.encode()) + SCORE + struct.pack("<f", score)
    return PIECES + _sized(content)


def _sized(content: bytes) -> bytes:
    """Bytes after their number, which is less than 128."""
    return bytes([len(content)]) + content
