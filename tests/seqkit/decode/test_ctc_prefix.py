"""Prefix probabilities of frames against sums over all alignments, and the joint search that uses them."""

import math

import pytest
import torch

from seqkit.decode import CtcPrefixScorer, Search, beam, ctc_token_logprobs
from tests.oracles import Table, source
from tests.seqkit.decode.test_ctc import all_paths, emissions, log_sum

VOCAB, BOS, EOS = 6, 1, 2
LETTERS = (3, 4, 5)


def walk(scorer: CtcPrefixScorer, text: tuple[int, ...], rows: int) -> list[torch.Tensor]:
    """The bonuses (N, V) after BOS and after each token of the text, the same for all rows."""
    state, found = scorer.initial_state(rows, torch.device("cpu")), []
    for token in (BOS, *text):
        bonus_NV, state = scorer.step(torch.full((rows,), token), (), state)
        found.append(bonus_NV)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_bonuses_are_ratios_of_sums_over_all_paths(seed: int) -> None:
    logits_BTV, lengths_B = emissions(3, 5, VOCAB, seed=seed)
    scorer = CtcPrefixScorer(logits_BTV, lengths_B)
    paths = [
        {text: log_sum(own) for text, own in all_paths(logits_TV[:length]).items()}
        for logits_TV, length in zip(logits_BTV, lengths_B.tolist(), strict=True)
    ]

    def begins(own: dict[tuple[int, ...], float], text: tuple[int, ...]) -> float:
        return math.log(sum(math.exp(value) for whole, value in own.items() if whole[: len(text)] == text) or 1e-300)

    for text in [(), (3,), (3, 3), (4, 3), (5, 4), (3, 3, 4), (3, 4, 3)]:
        bonus_BV = walk(scorer, text, 3)[-1]
        for own, bonus_V in zip(paths, bonus_BV, strict=True):
            here = begins(own, text)
            if here < -600:
                continue  # no path begins so
            for token in LETTERS:
                ahead = begins(own, (*text, token))
                if ahead > -600:
                    assert float(bonus_V[token]) == pytest.approx(ahead - here, abs=1e-8)
                else:
                    assert float(bonus_V[token]) < -1e20
            ends = own.get(text)
            assert float(bonus_V[EOS]) == pytest.approx(ends - here, abs=1e-8) if ends else bonus_V[EOS] < -1e20


def test_a_hypothesis_gets_the_log_probability_of_its_text() -> None:
    logits_BTV, _ = emissions(1, 5, VOCAB, seed=9)
    scorer, text = CtcPrefixScorer(logits_BTV, torch.tensor([5])), (4, 4, 3)
    bonuses = walk(scorer, text, 2)
    total = sum(float(bonus_NV[1, token]) for bonus_NV, token in zip(bonuses, (*text, EOS), strict=True))
    assert total == pytest.approx(log_sum(all_paths(logits_BTV[0])[text]), abs=1e-8)


def test_an_item_without_frames_scores_nothing() -> None:
    logits_BTV, _ = emissions(2, 4, VOCAB, seed=3)
    bonuses = walk(CtcPrefixScorer(logits_BTV, torch.tensor([4, 0])), (3, 4), 4)
    assert all(not bonus_NV[2:].any() and bonus_NV[:2].any() for bonus_NV in bonuses)
    assert not walk(CtcPrefixScorer(logits_BTV[:, :0], torch.tensor([0, 0])), (3,), 2)[1].any()


def test_the_joint_search_ranks_by_both() -> None:
    """In a wide search every score is the model's log-probability and, weighted, that of the frames."""
    model, memories = Table(VOCAB, seed=5), source(2, 4, seed=5)
    logits_BTV, lengths_B = emissions(2, 4, VOCAB, seed=6)
    search = Search(beam=8, nbest=8, max_len=4, suppress_tokens=(0, 1))
    found = beam(model, memories, search, scorers=[(CtcPrefixScorer(logits_BTV, lengths_B), 0.5)])
    checked = 0
    for row, hypotheses in enumerate(found):
        paths = all_paths(logits_BTV[row, : lengths_B[row]])
        for own in hypotheses:
            if len(own.tokens) < 4 and tuple(own.tokens) in paths:
                assert own.score - own.logprob == pytest.approx(0.5 * log_sum(paths[tuple(own.tokens)]), abs=1e-5)
                checked += 1
    assert checked > 6


@pytest.mark.parametrize("seed", range(4))
def test_token_log_probabilities_are_ratios_of_sums_over_all_paths(seed: int) -> None:
    logits_BTV, lengths_B = emissions(3, 5, VOCAB, seed=seed)
    for text in [(), (3,), (3, 3), (4, 3), (5, 4), (3, 3, 4), (3, 4, 3), (3, 3, 3)]:
        found = ctc_token_logprobs(logits_BTV, lengths_B, [text, text, text[:1]])
        for row, own in enumerate([text, text, text[:1]]):
            paths = all_paths(logits_BTV[row, : lengths_B[row]])
            whole = {other: math.exp(log_sum(some)) for other, some in paths.items()}
            begins = [sum(p for other, p in whole.items() if other[:k] == own[:k]) for k in range(len(own) + 1)]
            sums = [*begins, whole.get(own, 0.0)]
            for value, before, after in zip(found[row], sums[:-1], sums[1:], strict=True):
                expected = math.log(after / before) if after else -math.inf
                assert value == pytest.approx(expected, abs=1e-9)


def test_token_log_probabilities_are_the_prefix_scorers_bonuses() -> None:
    logits_BTV, lengths_B = emissions(2, 30, VOCAB, seed=4)
    text = (3, 4, 4, 5, 3)
    bonuses = walk(CtcPrefixScorer(logits_BTV.double(), lengths_B), text, 2)
    for row, own in enumerate(ctc_token_logprobs(logits_BTV, lengths_B, [text, text])):
        expected = [float(bonus_NV[row, token]) for bonus_NV, token in zip(bonuses, (*text, EOS), strict=True)]
        assert own == pytest.approx(expected, rel=1e-6)


def test_no_text_has_no_token_log_probabilities() -> None:
    logits_BTV, lengths_B = emissions(2, 4, VOCAB, seed=3)
    assert ctc_token_logprobs(logits_BTV[:0], lengths_B[:0], []) == []
    [[end]] = ctc_token_logprobs(logits_BTV[:1, :0], torch.tensor([0]), [()])
    assert end == 0.0
