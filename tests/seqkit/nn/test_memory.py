"""Laws of masks, memories and states."""

import pytest
import torch

from seqkit.nn.masks import mask_from_lengths, masked_mean, masked_softmax, reverse
from seqkit.nn.memory import State, map_rows, repeat, rows, select


def test_mask_is_true_exactly_before_the_length():
    mask_BT = mask_from_lengths(torch.tensor([0, 2, 3]), 3)
    assert mask_BT.tolist() == [[False] * 3, [True, True, False], [True] * 3]


def test_a_length_beyond_the_tensor_is_refused():
    with pytest.raises(ValueError, match=r"`lengths_B` must be <= max_len 3, got \[4\]"):
        mask_from_lengths(torch.tensor([4]), 3)


def test_softmax_gives_padding_nothing_and_an_empty_row_zeros():
    scores = torch.tensor([[1.0, 2.0, 1e4], [1.0, 2.0, 3.0]])
    weights = masked_softmax(scores, torch.tensor([[True, True, False], [False, False, False]]))
    torch.testing.assert_close(weights[0], torch.tensor([*torch.softmax(scores[0, :2], 0).tolist(), 0.0]))
    assert weights[1].tolist() == [0.0, 0.0, 0.0]


def test_softmax_refuses_a_mask_of_another_length():
    with pytest.raises(ValueError, match=r"`mask` must have the last dimension of `scores` \(1, 3\), got \(1, 2\)"):
        masked_softmax(torch.zeros(1, 3), torch.ones(1, 2, dtype=torch.bool))


def test_reverse_turns_the_real_part_and_undoes_itself():
    values_BTD = torch.randn(3, 5, 2)
    lengths_B = torch.tensor([5, 1, 3])
    turned_BTD = reverse(values_BTD, lengths_B)
    for b, n in enumerate(lengths_B.tolist()):
        assert torch.equal(turned_BTD[b, :n], values_BTD[b, :n].flip(0))
        assert torch.equal(turned_BTD[b, n:], values_BTD[b, n:])
    assert torch.equal(reverse(turned_BTD, lengths_B), values_BTD)


def test_masked_mean_reads_the_real_part_alone():
    values_BTD = torch.randn(2, 4, 3)
    noisy_BTD = values_BTD.clone()
    noisy_BTD[1, 2:] = torch.nan
    want_BD = torch.stack([values_BTD[0].mean(0), values_BTD[1, :2].mean(0)])
    torch.testing.assert_close(masked_mean(noisy_BTD, torch.tensor([4, 2])), want_BD)


def tree() -> tuple:
    return ((torch.arange(3), (torch.arange(6).view(3, 2),)), State(torch.rand(3, 1, 2), torch.rand(3, 1, 0), (), ()))


def test_select_and_repeat_reach_every_tensor_and_keep_the_nesting():
    picked = select(tree(), torch.tensor([2, 2, 0, 1]))
    assert picked[0][0].tolist() == [2, 2, 0, 1] and picked[0][1][0].tolist() == [[4, 5], [4, 5], [0, 1], [2, 3]]
    assert isinstance(picked[1], State) and picked[1].c_BLH.shape == (4, 1, 0)
    assert repeat(tree(), 2)[0][0].tolist() == [0, 0, 1, 1, 2, 2]


def test_rows_is_the_batch_and_an_empty_tree_has_none():
    assert rows(tree()) == 3 and rows(((), (torch.zeros(5),))) == 5 and rows(torch.zeros(4)) == 4
    with pytest.raises(ValueError, match="`tree` must hold a tensor"):
        rows(map_rows(lambda t: t, ()))
