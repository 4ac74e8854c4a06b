"""Prefix probabilities of frames against sums over all alignments, and the joint search that uses them."""

import math

import pytest
import torch

from seqkit.decode import CtcPrefixScorer, Search, beam
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
