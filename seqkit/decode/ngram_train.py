"""Training of n-gram models with interpolated modified Kneser-Ney smoothing.

Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 4.1.6 and equations
(25) to (27). With a(hw) the adjusted count of an n-gram, D1, D2, D3+ the discounts of its order and h' the context h
without its first word,

    p(w | h) = (a(hw) - D(a(hw))) / sum over w of a(hw)  +  backoff(h) p(w | h')
    backoff(h) = sum over w of D(a(hw)) / sum over w of a(hw)

The adjusted count is the number of occurrences for the highest order and for n-grams that begin with <s>, else the
number of different words seen before the n-gram. Below the unigrams is the uniform distribution over <unk>, </s> and
the words, from which alone <unk> gets its probability. These are the conventions of KenLM's lmplz (Heafield et al.
2013). So is the fallback to 0.5, 1 and 1.5 where an order's counts of counts give no discounts, as with characters.

T tokens of the text with <s> and </s>, U different n-grams of one order, V symbols.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.decode.ngram import BOS, EOS, NEVER, SPECIALS, UNK, Ngram, contexts
from seqkit.errors import InputError

FALLBACK = (0.5, 1.0, 1.5)
SMALL = 1 << 26  # range of keys up to which they are counted in a table, else by sorting

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Level(NamedTuple):
    """The n-grams of one order, sorted by (parent, word)."""

    key_U: Ints  # parent * V + word
    suffix_U: Ints  # node without the first word
    count_U: Ints  # number of occurrences; in the end the adjusted count
    begins_U: NDArray[np.bool_]  # whether it begins with <s>


def train_ngram(sentences: Iterable[Sequence[str]], order: int) -> Ngram:
    """Train a model of all n-grams up to `order` on sentences of tokens.

    The model's order is lower where no sentence, with <s> and </s>, has as many tokens.

    Raises InputError for no sentence, and for one that holds <s> or </s>; ValueError for an `order` below 1.
    """
    if order < 1:
        raise ValueError(f"`order` must be at least 1, got {order}")
    symbols, word_T = read(sentences)
    vocab = len(symbols)
    levels = adjusted(count(word_T, vocab, order))
    bounds = (0, 1, *(1 + np.cumsum([len(level.key_U) for level in levels])).tolist())
    logprob, backoff = [np.zeros(1)], []
    for number, level in enumerate(levels):
        lower_U = np.exp(logprob[-1][level.suffix_U - bounds[number]]) if number else uniform(vocab)
        probability_U, backoff_P = smooth(level, lower_U, vocab, bounds[number], bounds[number + 1])
        with np.errstate(divide="ignore"):
            logprob.append(np.log(probability_U))
            backoff.append(np.log(backoff_P))
    logprob[1][BOS] = NEVER
    backoff[0][:] = 0.0  # already in the unigrams: every word follows the empty context
    backoff.append(np.zeros(len(levels[-1].key_U)))
    key_E, suffix_G = (
        np.concatenate(parts)
        for parts in ([level.key_U for level in levels], [np.zeros(1, np.int64), *(level.suffix_U for level in levels)])
    )
    backoff_G, suffix_G = np.concatenate(backoff).astype(np.float32), suffix_G.astype(np.int32)
    context_G = contexts(key_E, bounds, backoff_G, suffix_G, vocab)
    return Ngram(symbols, bounds, key_E, np.concatenate(logprob).astype(np.float32), backoff_G, suffix_G, context_G)


def read(sentences: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], Ints]:
    """The vocabulary in order of first occurrence, and the text as ids (T,)."""
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__
    for symbol in SPECIALS:
        ids[symbol]
    stream = array("i")
    for tokens in sentences:
        stream.append(BOS)
        stream.extend(map(ids.__getitem__, tokens))
        stream.append(EOS)
    word_T = np.frombuffer(stream, np.int32).astype(np.int64) if stream else np.zeros(0, np.int64)
    begins, ends = (np.flatnonzero(word_T == symbol) for symbol in (BOS, EOS))
    if not len(word_T):
        raise InputError("`sentences` must hold at least one sentence, got none")
    if len(begins) != len(ends) or (begins[1:] != ends[:-1] + 1).any():
        raise InputError("`sentences` must not hold <s> or </s>, which mark their ends; rename these words")
    return tuple(ids), word_T


def count(word_T: Ints, vocab: int, order: int) -> list[Level]:
    """The n-grams of every order with their numbers of occurrences, up to the longest that occur."""
    time_T = np.arange(len(word_T))
    depth_T = time_T - np.maximum.accumulate(np.where(word_T == BOS, time_T, 0))  # place in its sentence
    counts_V = np.bincount(word_T, minlength=vocab)
    words_V = np.arange(vocab)
    levels = [Level(words_V, np.zeros(vocab, np.int64), counts_V, words_V == BOS)]
    node_T, first = 1 + word_T, 1
    for number in range(2, order + 1):
        last_T = np.flatnonzero(depth_T >= number - 1)
        if not len(last_T):
            break
        key_U, some_U, count_U, place_T = distinct(node_T[last_T - 1] * vocab + word_T[last_T])
        begins_U = levels[-1].begins_U[key_U // vocab - first]
        levels.append(Level(key_U, node_T[last_T[some_U]], count_U, begins_U))
        first += len(levels[-2].key_U)
        node_T = np.zeros_like(node_T)
        node_T[last_T] = first + place_T
    return levels


def distinct(key_T: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """The distinct keys in order, one place of each, the counts, and for each place the number of its key."""
    low = int(key_T.min(initial=0))
    if int(key_T.max(initial=0)) - low < min(SMALL, 8 * len(key_T)):
        often = np.bincount(key_T - low)
        found = np.flatnonzero(often)
        number, some = np.cumsum(often > 0) - 1, np.zeros_like(often)
        some[key_T - low] = np.arange(len(key_T))
        return found + low, some[found], often[found], number[key_T - low]
    order_T = np.argsort(key_T)
    sorted_T = key_T[order_T]
    first_U = np.flatnonzero(np.concatenate([[True], sorted_T[1:] != sorted_T[:-1]]))
    often_U = np.diff(np.append(first_U, len(key_T)))
    place_T = np.empty_like(key_T)
    place_T[order_T] = np.repeat(np.arange(len(first_U)), often_U)
    return sorted_T[first_U], order_T[first_U], often_U, place_T


def adjusted(levels: list[Level]) -> list[Level]:
    """The levels with adjusted counts."""
    found, first = [], 1
    for level, longer in zip(levels, levels[1:], strict=False):
        befores_U = np.bincount(longer.suffix_U - first, minlength=len(level.key_U))
        found.append(level._replace(count_U=np.where(level.begins_U, level.count_U, befores_U)))
        first += len(level.key_U)
    found.append(levels[-1])
    found[0].count_U[[UNK, BOS]] = 0
    return found


def discounts(count_U: Ints) -> Floats:
    """The discounts of adjusted counts of 0, 1, 2, and 3 or more."""
    t = np.bincount(count_U[count_U < 5], minlength=5).astype(np.float64)
    if t[1:4].all():
        y, k = t[1] / (t[1] + 2 * t[2]), np.arange(1, 4)
        found_3 = k - (k + 1) * y * t[2:5] / t[1:4]
        if (found_3 >= 0).all():
            return np.array([0.0, *found_3])
    return np.array([0.0, *FALLBACK])


def uniform(vocab: int) -> Floats:
    """The uniform distribution over all symbols but <s>."""
    return np.full(vocab, 1 / (vocab - 1))


def smooth(level: Level, lower_U: Floats, vocab: int, first: int, end: int) -> tuple[Floats, Floats]:
    """The interpolated probabilities of one order, and the back-off weights of its contexts `first` to `end`."""
    parent_U = level.key_U // vocab - first
    taken_U = np.minimum(discounts(level.count_U)[np.minimum(level.count_U, 3)], level.count_U)
    total_P, taken_P = (np.bincount(parent_U, weights=x, minlength=end - first) for x in (level.count_U, taken_U))
    backoff_P = np.where(total_P > 0, taken_P / np.maximum(total_P, 1), 1.0)
    return (level.count_U - taken_U) / total_P[parent_U] + backoff_P[parent_U] * lower_U, backoff_P
