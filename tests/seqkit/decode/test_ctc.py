"""CTC loss, best path, alignment and prefix beam against sums and maxima over all alignments."""

import itertools
import math
import random
from collections import defaultdict
from typing import Any

import pytest
import torch
from torch import Tensor

from seqkit.decode import (
    Hypothesis,
    LanguageModel,
    LengthBonus,
    Search,
    align,
    greedy_ctc,
    lexicon,
    prefix_beam,
    token_spans,
)
from seqkit.decode.ctc_beam import _hash
from seqkit.nn.ctc import ctc_loss, frames_needed
from tests.oracles import Recurrent, Table, assert_same

EVERY = Search(beam=400, nbest=400)


def emissions(batch: int, frames: int, vocab: int, *, seed: int, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Random logits of unequal lengths, large noise in the padding; the first item is the longest."""
    generator = torch.Generator().manual_seed(seed)
    logits_BTV = scale * torch.randn(batch, frames, vocab, generator=generator, dtype=torch.float64)
    lengths_B = torch.randint(1, frames + 1, (batch,), generator=generator).index_fill(0, torch.tensor([0]), frames)
    logits_BTV[torch.arange(frames) >= lengths_B[:, None]] *= 1e3
    return logits_BTV, lengths_B


def said(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token)


def all_paths(logits_TV: Tensor) -> dict[tuple[int, ...], list[tuple[float, tuple[int, ...]]]]:
    """Every text with its paths and their log-probabilities."""
    logprobs = logits_TV.log_softmax(-1).tolist()
    found = defaultdict(list)
    for path in itertools.product(range(logits_TV.shape[1]), repeat=len(logits_TV)):
        found[said(path)].append((math.fsum(row[token] for row, token in zip(logprobs, path, strict=True)), path))
    return found


def log_sum(paths: list[tuple[float, tuple[int, ...]]]) -> float:
    return float(torch.tensor([logprob for logprob, _ in paths], dtype=torch.float64).logsumexp(0))


def padded(texts: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """Targets with noise beyond their lengths."""
    lengths_B = torch.tensor([len(text) for text in texts])
    targets_BL = torch.full((len(texts), max(1, int(lengths_B.max()))), 2)
    for row, text in enumerate(texts):
        targets_BL[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
    return targets_BL, lengths_B


# Loss


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5])
def test_the_loss_is_the_sum_over_all_alignments(frames: int) -> None:
    logits_BTV, _ = emissions(1, frames, 3, seed=frames)
    paths = all_paths(logits_BTV[0])
    texts = list(paths)
    logits_BTV = logits_BTV.expand(len(texts), -1, -1)
    losses_B = ctc_loss(logits_BTV, torch.full((len(texts),), frames), *padded(texts))
    assert losses_B.tolist() == pytest.approx([-log_sum(paths[text]) for text in texts], abs=1e-9)


def test_the_loss_does_not_see_padding_and_neither_does_its_gradient() -> None:
    logits_BTV, lengths_B = emissions(4, 6, 5, seed=1)
    targets_BL, target_lengths_B = padded([(1, 2, 2), (3,), (), (4,)])
    lengths_B = torch.tensor([6, 3, 2, 5])
    logits_BTV.requires_grad_(True)
    loss_B = ctc_loss(logits_BTV, lengths_B, targets_BL, target_lengths_B)
    loss_B.sum().backward()
    for row, (length, size) in enumerate(zip(lengths_B.tolist(), target_lengths_B.tolist(), strict=True)):
        own = logits_BTV[row : row + 1, :length].detach()
        alone = ctc_loss(own, lengths_B[row : row + 1], targets_BL[row : row + 1, :size], torch.tensor([size]))
        assert float(alone) == pytest.approx(float(loss_B[row].detach()), abs=1e-9)
        assert float(logits_BTV.grad[row, length:].abs().sum()) == 0
        assert float(logits_BTV.grad[row, :length].abs().sum()) > 0


@pytest.mark.parametrize("silent", [(), (0,), (0, 3), (1, 2), (0, 1, 4)])
def test_where_it_must_be_silent_only_blank_paths_are_summed_and_gradients_are_theirs(silent: tuple[int, ...]) -> None:
    logits_BTV, _ = emissions(1, 5, 3, seed=7)
    silent_BT = torch.zeros(1, 5, dtype=torch.bool)
    silent_BT[0, list(silent)] = True
    paths = {
        text: [(p, path) for p, path in some if not any(path[frame] for frame in silent)]
        for text, some in all_paths(logits_BTV[0]).items()
    }
    texts = [text for text, some in paths.items() if some and len(text) > 0]
    several = logits_BTV.expand(len(texts), -1, -1), torch.full((len(texts),), 5), *padded(texts)
    losses_B = ctc_loss(*several, silent_BT.expand(len(texts), -1))
    assert losses_B.tolist() == pytest.approx([-log_sum(paths[text]) for text in texts], abs=1e-9)
    targets = padded([texts[-1]])
    assert torch.autograd.gradcheck(
        lambda some: ctc_loss(some, torch.tensor([5]), *targets, silent_BT), logits_BTV.requires_grad_(True)
    )


def test_a_target_must_fit_into_the_frames_that_are_not_silent() -> None:
    silent_BT = torch.tensor([[True, False, False, True, True]])
    logits_BTV, targets = emissions(1, 5, 4, seed=0)[0], padded([(1, 1)])
    with pytest.raises(ValueError, match="`silent_BT` must leave frames for the targets, got too few for item 0"):
        ctc_loss(logits_BTV, torch.tensor([5]), *targets, silent_BT)
    beyond = torch.tensor([[False, False, False, True, True]])
    alone = ctc_loss(logits_BTV[:, :3], torch.tensor([3]), *targets)
    assert float(ctc_loss(logits_BTV, torch.tensor([3]), *targets, beyond)) == pytest.approx(float(alone))


@pytest.mark.parametrize("shape", [(0, 5, 4), (2, 0, 4)])
def test_of_nothing_the_loss_is_nothing(shape: tuple[int, ...]) -> None:
    logits_BTV, none_B = torch.zeros(shape, requires_grad=True), torch.zeros(shape[0], dtype=torch.int64)
    loss_B = ctc_loss(logits_BTV, none_B, none_B[:, None][:, :0], none_B)
    loss_B.sum().backward()
    assert loss_B.tolist() == [0.0] * shape[0] and logits_BTV.grad is not None


def test_under_autocast_the_loss_is_float32() -> None:
    logits_BTV = emissions(2, 5, 4, seed=3)[0].to(torch.bfloat16)
    given = torch.tensor([5, 5]), *padded([(1, 2), (3,)])
    with torch.autocast("cpu", torch.bfloat16):
        loss_B = ctc_loss(logits_BTV, *given)
    assert loss_B.dtype == torch.float32
    assert loss_B.tolist() == pytest.approx(ctc_loss(logits_BTV.double(), *given).tolist(), rel=1e-6)


def test_frames_needed_are_the_fewest_that_have_a_path() -> None:
    texts = [text for size in range(4) for text in itertools.product((1, 2), repeat=size)]
    needed = frames_needed(*padded(texts)).tolist()
    for frames in range(6):
        possible = {said(path) for path in itertools.product(range(3), repeat=frames)}
        assert {text for text, fewest in zip(texts, needed, strict=True) if fewest <= frames} == possible & set(texts)


@pytest.mark.parametrize(
    "lengths, sizes, row, text",
    [
        ([5, 2], [2, 3], (1, 2, 3), r"fit into their frames, got item 1 of 3 tokens, which need 3 frames and have 2"),
        ([5, 3], [1, 3], (1, 2, 2), r"fit into their frames, got item 1 of 3 tokens, which need 4 frames and have 3"),
        ([5, 5], [1, 3], (1, 0, 2), r"`targets_BL` must be tokens from 1 to 3, got others in item 1"),
        ([5, 5], [1, 3], (1, 4, 2), r"`targets_BL` must be tokens from 1 to 3, got others in item 1"),
        ([6, 5], [1, 3], (1, 2, 3), r"`lengths_B` must be from 0 to 5 frames, got 6 for item 0"),
        ([5, 5], [4, 1], (1, 2, 3), r"`target_lengths_B` must be from 0 to 3, got 4 for item 0"),
        ([5, 5], [1, -1], (1, 2, 3), r"`target_lengths_B` must be from 0 to 3, got -1 for item 1"),
    ],
)
def test_what_cannot_be_said_is_named(lengths: list[int], sizes: list[int], row: tuple[int, ...], text: str) -> None:
    targets_BL = torch.tensor([(1, 2, 3), row])
    with pytest.raises(ValueError, match=text):
        ctc_loss(emissions(2, 5, 4, seed=0)[0], torch.tensor(lengths), targets_BL, torch.tensor(sizes))


def test_tokens_beyond_a_targets_length_do_not_matter() -> None:
    targets_BL, lengths_B = torch.tensor([[1, 0, 99, 99]]), torch.tensor([1])
    assert frames_needed(targets_BL, lengths_B).tolist() == [1]
    assert math.isfinite(float(ctc_loss(emissions(1, 3, 4, seed=0)[0], torch.tensor([3]), targets_BL, lengths_B)))


# Best path and alignment


@pytest.mark.parametrize("seed", range(20))
def test_the_best_path_is_the_best_of_all(seed: int) -> None:
    logits_BTV, lengths_B = emissions(3, 5, 4, seed=seed)
    for row, (hypothesis, frames) in enumerate(greedy_ctc(logits_BTV, lengths_B, suppress_tokens=())):
        paths = all_paths(logits_BTV[row, : lengths_B[row]])
        logprob, path = max(max(found) for found in paths.values())
        assert tuple(hypothesis.tokens) == said(path) and hypothesis.score == hypothesis.logprob
        assert hypothesis.logprob == pytest.approx(logprob, abs=1e-9)
        assert frames == runs(path)


def runs(path: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and last frame of each token of a path."""
    found, place = [], 0
    for token, group in itertools.groupby(path):
        size = len(list(group))
        found += [(place, place + size - 1)] if token else []
        place += size
    return found


def test_forbidden_tokens_are_not_on_the_best_path() -> None:
    logits_BTV = torch.zeros(1, 3, 5)
    logits_BTV[0, :, 1], logits_BTV[0, 0, 2], logits_BTV[0, 1, 4] = 9.0, 8.0, 7.0
    assert greedy_ctc(logits_BTV, torch.tensor([3]))[0].hypothesis.tokens == [4]
    assert greedy_ctc(logits_BTV, torch.tensor([3]), suppress_tokens=(1,))[0].hypothesis.tokens == [2, 4]
    assert float(logits_BTV[0, 0, 1]) == 9.0  # the caller's tensor is left alone


@pytest.mark.parametrize("seed", range(10))
def test_an_alignment_is_the_best_path_of_its_text(seed: int) -> None:
    logits_BTV, lengths_B = emissions(4, 5, 4, seed=seed)
    rng, texts, best = random.Random(seed), [], []
    for row in range(4):
        paths = all_paths(logits_BTV[row, : lengths_B[row]])
        texts.append(rng.choice(sorted(paths)))
        best.append(max(paths[texts[-1]]))
    found = align(logits_BTV, lengths_B, *padded(texts))
    assert found.logprob_B.tolist() == pytest.approx([logprob for logprob, _ in best], abs=1e-9)
    assert token_spans(logits_BTV, lengths_B, texts) == [runs(path) for _, path in best]
    for row, text in enumerate(texts):
        assert found.first_BL[row, len(text) :].eq(0).all() and found.last_BL[row, len(text) :].eq(0).all()


def test_alignment_equals_torchaudio() -> None:
    functional = pytest.importorskip("torchaudio.functional")
    logits_BTV, _ = emissions(1, 60, 20, seed=5)
    text = torch.randint(1, 20, (1, 25), generator=torch.Generator().manual_seed(5))
    path_BT, score_BT = functional.forced_align(logits_BTV.log_softmax(-1), text.int(), blank=0)
    found = align(logits_BTV, torch.tensor([60]), text, torch.tensor([25]))
    assert float(found.logprob_B) == pytest.approx(float(score_BT.sum()), abs=1e-9)
    assert token_spans(logits_BTV, torch.tensor([60]), text.tolist())[0] == runs(tuple(path_BT[0].tolist()))


def test_the_alignment_of_the_best_path_is_the_best_path() -> None:
    logits_BTV, lengths_B = emissions(8, 40, 6, seed=7)
    found = greedy_ctc(logits_BTV, lengths_B)
    assert token_spans(logits_BTV, lengths_B, [timed.hypothesis.tokens for timed in found]) == [t.spans for t in found]


def test_texts_of_no_token_align() -> None:
    logits_BTV, lengths_B = emissions(2, 4, 3, seed=8)
    assert token_spans(logits_BTV, lengths_B, [[], []]) == [[], []]


def test_a_text_that_does_not_fit_is_named() -> None:
    logits_BTV, _ = emissions(2, 4, 3, seed=9)
    with pytest.raises(ValueError, match=r"`targets_BL` must fit into their frames, got item 1, which has no path"):
        align(logits_BTV, torch.tensor([4, 2]), *padded([(1, 1), (1, 1)]))


# Prefix beam


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_is_exhaustive(seed: int) -> None:
    logits_BTV, lengths_B = emissions(3, 5, 5, seed=seed)
    for row, found in enumerate(prefix_beam(logits_BTV, lengths_B, EVERY)):
        paths = all_paths(logits_BTV[row, : lengths_B[row]])
        texts = {text: log_sum(own) for text, own in paths.items() if not {1, 2} & set(text)}
        assert_same(found, [Hypothesis(list(t), p, p) for t, p in sorted(texts.items(), key=lambda item: -item[1])])


def scored(scorers: Any, text: tuple[int, ...], *, end: bool = True) -> float:
    """The weighted bonuses of a text and, if asked for, its end, step by step."""
    total = 0.0
    for scorer, weight in scorers:
        state = scorer.initial_state(1, torch.device("cpu"))
        for before, token in itertools.pairwise([1, *text, 2] if end else [1, *text]):
            bonus, state = scorer.step(torch.tensor([before]), (), state)
            total += weight * float(bonus[0, token if bonus.shape[1] > 1 else 0])
    return total


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("penalty", [None, "average", "wu"])
def test_with_scorers_a_wide_beam_is_exhaustive(seed: int, penalty: Any) -> None:
    logits_BTV, lengths_B = emissions(2, 4, 5, seed=seed)
    scorers = [(LanguageModel(Table(5, seed=seed)), 0.7), (LengthBonus(), 0.9)]
    search = Search(beam=400, nbest=400, length_penalty=penalty)
    for row, found in enumerate(prefix_beam(logits_BTV, lengths_B, search, scorers=scorers)):
        expected = []
        for text, own in all_paths(logits_BTV[row, : lengths_B[row]]).items():
            if not {1, 2} & set(text):
                logprob = log_sum(own)
                score = search.score(torch.tensor(logprob + scored(scorers, text)).double(), len(text) + 1)
                expected.append(Hypothesis(list(text), logprob, float(score)))
        assert_same(found, sorted(expected, key=lambda hypothesis: -hypothesis.score), 1e-5)


def test_scorers_with_a_state_of_many_tensors_are_carried() -> None:
    class Fixed(Recurrent):
        def initial_state(self, memories: Any) -> Any:
            return torch.zeros(1, 4).double(), torch.zeros(1, 4).double()

        def step(self, token_B: Tensor, memories: Any, state: Any) -> Any:
            h_BH = self.cell(torch.cat([self.embedding(token_B), state[1]], -1), state[0])
            return self.output(h_BH), (), (h_BH, state[0])

    logits_BTV, lengths_B = emissions(3, 8, 6, seed=3)
    scorers = [(LanguageModel(Fixed(6, 4, seed=1).requires_grad_(False)), 0.8), (LanguageModel(Table(6, seed=1)), 0.3)]
    for found in prefix_beam(logits_BTV, lengths_B, Search(beam=20, nbest=20), scorers=scorers):
        for tokens, logprob, score in found:
            assert score - logprob == pytest.approx(scored(scorers, tuple(tokens)), abs=1e-5)


def slow_prefix_beam(logits_TV: Tensor, search: Search, scorers: Any) -> list[Hypothesis]:
    """The published algorithm over a dictionary of prefixes."""
    logprobs, minus = logits_TV.log_softmax(-1).tolist(), float("-inf")
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, minus)}
    bonus = {(): 0.0}
    for row in logprobs:
        fresh: dict[tuple[int, ...], list[list[float]]] = defaultdict(lambda: [[], []])
        for prefix, (blank, label) in beam.items():
            fresh[prefix][0] += [blank + row[0], label + row[0]]
            for token in range(3, len(row)):
                grown = (*prefix, token)
                if prefix and prefix[-1] == token:
                    fresh[prefix][1].append(label + row[token])
                    fresh[grown][1].append(blank + row[token])
                else:
                    fresh[grown][1] += [blank + row[token], label + row[token]]
        sums = {prefix: (sum_log(a), sum_log(b)) for prefix, (a, b) in fresh.items()}
        bonus |= {prefix: scored(scorers, prefix, end=False) for prefix in sums if prefix not in bonus}
        kept = sorted(sums, key=lambda prefix: -sum_log([*sums[prefix]]) - bonus[prefix])[: search.beam]
        beam = {prefix: sums[prefix] for prefix in kept}
    found = [Hypothesis(list(p), sum_log([*own]), sum_log([*own]) + scored(scorers, p)) for p, own in beam.items()]
    return sorted(found, key=lambda hypothesis: -hypothesis.score)[: search.nbest]


def sum_log(numbers: list[float]) -> float:
    return float(torch.tensor(numbers, dtype=torch.float64).logsumexp(0)) if numbers else float("-inf")


@pytest.mark.parametrize("seed", range(16))
def test_a_narrow_beam_is_the_published_algorithm(seed: int) -> None:
    logits_BTV, lengths_B = emissions(3, 9, 6, seed=seed, scale=1.0 + seed % 3)
    size = 1 + seed % 8
    search = Search(beam=size, nbest=size)
    scorers = [(LanguageModel(Table(6, seed=seed)), 0.5), (LengthBonus(), 1.5)] if seed % 2 else []
    found = prefix_beam(logits_BTV, lengths_B, search, scorers=scorers)
    for row in range(3):
        assert_same(found[row], slow_prefix_beam(logits_BTV[row, : lengths_B[row]], search, scorers), 1e-5)


def test_neighbors_padding_and_places_change_nothing() -> None:
    logits_BTV, lengths_B = emissions(6, 15, 8, seed=2)
    logits_BTV, scorers = logits_BTV.float(), [(LanguageModel(Table(8, seed=3)), 0.4)]
    search = Search(beam=7, nbest=7)
    together = prefix_beam(logits_BTV, lengths_B, search, scorers=scorers)
    for row, length in enumerate(lengths_B.tolist()):
        alone = prefix_beam(logits_BTV[row : row + 1, :length], lengths_B[row : row + 1], search, scorers=scorers)[0]
        assert alone == together[row]
    timed = greedy_ctc(logits_BTV, lengths_B)
    order = torch.tensor([3, 5, 0])
    assert greedy_ctc(logits_BTV[order], lengths_B[order]) == [timed[row] for row in order.tolist()]


def test_a_weight_of_nothing_changes_nothing() -> None:
    logits_BTV, lengths_B = emissions(3, 10, 6, seed=4)
    scorers = [(LanguageModel(Table(6, seed=1)), 0.0), (LengthBonus(), 0.0)]
    assert_same(
        sum(prefix_beam(logits_BTV, lengths_B, Search(beam=9, nbest=9), scorers=scorers), []),
        sum(prefix_beam(logits_BTV, lengths_B, Search(beam=9, nbest=9)), []),
    )


def test_a_wider_beam_finds_better_and_never_more_than_there_is() -> None:
    logits_BTV, lengths_B = emissions(8, 30, 12, seed=5, scale=1.0)
    narrow, wide = (prefix_beam(logits_BTV, lengths_B, Search(beam=size)) for size in (2, 100))
    for (few,), (many,), row in zip(narrow, wide, range(8), strict=True):
        exact = -float(ctc_loss(logits_BTV[row : row + 1], lengths_B[row : row + 1], *padded([tuple(many.tokens)])))
        assert few.logprob < many.logprob <= exact + 1e-9


def test_the_beams_text_can_beat_that_of_the_best_path() -> None:
    half = math.log(0.5)
    logits_BTV = torch.tensor([[[math.log(0.5), -50, -50, half - 0.1], [half, -50, -50, half - 0.1]]])
    assert greedy_ctc(logits_BTV, torch.tensor([2]))[0].hypothesis.tokens == []
    assert prefix_beam(logits_BTV, torch.tensor([2]), Search())[0][0].tokens == [3]


def test_a_constraint_decides_and_where_nothing_fits_nothing_is_said() -> None:
    logits_BTV = torch.full((2, 4, 7), -3.0)
    for frame, token in enumerate((4, 0, 6, 0)):
        logits_BTV[0, frame, token] = 3.0
    lengths_B = torch.tensor([4, 1])
    free, grammar = prefix_beam(logits_BTV, lengths_B, Search()), lexicon([(4, 5), (5, 5)], 7, None, empty=False)
    found = prefix_beam(logits_BTV, lengths_B, Search(beam=30), scorers=[(grammar, 1.0)])
    assert free[0][0].tokens == [4, 6] and found[0][0].tokens == [4, 5]
    assert found[1] == [Hypothesis([], float("-inf"), float("-inf"))]


@pytest.mark.parametrize("size", range(2, 14))
def test_places_without_prefix_are_in_nobodys_way(size: int) -> None:
    """Beams wider than there are texts at first: what fills them must not stand in for a real prefix."""
    search = Search(beam=size, nbest=size, suppress_tokens=(), eos=0)
    for vocab in 2, 3:
        logits_BTV, lengths_B = emissions(8, 6, vocab, seed=size)
        for row, found in enumerate(prefix_beam(logits_BTV, lengths_B, search)):
            assert len({tuple(h.tokens) for h in found}) == len(found)
            every = all_paths(logits_BTV[row, : lengths_B[row]])
            if size >= len(every):
                assert {tuple(h.tokens): h.logprob for h in found} == pytest.approx(
                    {text: log_sum(paths) for text, paths in every.items()}, abs=1e-9
                )


def test_frames_may_rule_tokens_out() -> None:
    logits_BTV = torch.zeros(1, 3, 5)
    logits_BTV[0, :, 3] = float("-inf")
    found = prefix_beam(logits_BTV, torch.tensor([3]), Search(beam=9, nbest=9))[0]
    assert [4, 4] in [h.tokens for h in found] and not any(3 in h.tokens for h in found)


def test_what_frames_cannot_give_is_refused() -> None:
    for search in Search(min_len=2), Search(no_repeat_ngram=3):
        with pytest.raises(ValueError, match="`min_len` and `no_repeat_ngram` must be 0 for frames, got"):
            prefix_beam(torch.zeros(1, 3, 5), torch.tensor([3]), search)


def test_no_frame_says_nothing() -> None:
    empty_BTV = torch.zeros(2, 0, 5)
    assert [h.tokens for (h,) in prefix_beam(empty_BTV, torch.tensor([0, 0]), Search())] == [[], []]
    assert [timed.hypothesis.tokens for timed in greedy_ctc(empty_BTV, torch.tensor([0, 0]))] == [[], []]
    assert token_spans(empty_BTV, torch.tensor([0, 0]), [[], []]) == [[], []]


def test_hashes_of_prefixes_are_different() -> None:
    level = torch.zeros(1, 1, dtype=torch.int64)
    seen = [level.flatten()]
    for _ in range(10):
        level = torch.cat([_hash(level, torch.full_like(level, token)) for token in (1, 2, 3)], 1)
        seen.append(level.flatten())
    assert len(torch.cat(seen).unique()) == sum(3**size for size in range(11))


def test_the_best_text_is_that_of_flashlight() -> None:
    """Theirs keeps a prefix with and without blank at its end apart, so it may lose some of the sum."""
    decoder = pytest.importorskip("torchaudio.models.decoder")
    pytest.importorskip("flashlight.lib.text.decoder")
    tokens, lengths_B = ["-", "|", *"abcdefgh"], torch.full((40,), 30)
    generator = torch.Generator().manual_seed(1)
    peaks_BT = torch.randint(0, len(tokens), (40, 30), generator=generator)
    logits_BTV = 2 * torch.randn(40, 30, len(tokens), generator=generator)
    logits_BTV += 8 * torch.nn.functional.one_hot(peaks_BT, len(tokens))
    logits_BTV[..., 0] += 3
    logits_BTV[..., 1] = -100  # a silence, which theirs puts at both ends besides
    theirs = decoder.ctc_decoder(
        lexicon=None,
        tokens=tokens,
        beam_size=100,
        beam_threshold=1e4,
        log_add=True,
        blank_token="-",
        sil_token="|",
        unk_word="a",
    )
    found = [their.tokens.tolist()[1:-1] for their, *_ in theirs(logits_BTV.log_softmax(-1), lengths_B)]
    mine = [best.tokens for best, *_ in prefix_beam(logits_BTV, lengths_B, Search(beam=100, suppress_tokens=(), eos=0))]
    losses = [ctc_loss(logits_BTV, lengths_B, *padded([tuple(text) for text in texts])) for texts in (mine, found)]
    assert (losses[0] <= losses[1]).all() and sum(a == b for a, b in zip(mine, found, strict=True)) >= 38
