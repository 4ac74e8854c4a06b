"""Laws of recurrent stacks and encoders."""

import pytest
import torch

from seqkit.nn.embedding import Embedding
from seqkit.nn.encoders import RecurrentEncoder, TextEncoder, VariationalDropout, join_pairs
from seqkit.nn.recurrent import CELLS, RecurrentStack

KINDS = tuple(CELLS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_by_steps_is_the_stack_at_once(kind, residual):
    torch.manual_seed(0)
    stack = RecurrentStack(kind, 5, 4, 3, residual=residual).double()
    x_BTI = torch.randn(2, 6, 5, dtype=torch.float64)
    h_BLH, c_BLH = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, stack.cell_dim, dtype=torch.float64)
    want_BTH, *want = stack(x_BTI, h_BLH, c_BLH)
    columns = []
    for x_BI in x_BTI.unbind(1):
        top_BH, h_BLH, c_BLH = stack.step(x_BI, h_BLH, c_BLH)
        columns.append(top_BH)
    torch.testing.assert_close(torch.stack(columns, 1), want_BTH)
    torch.testing.assert_close([h_BLH, c_BLH], want)


def test_an_lstm_step_is_the_published_equations():
    torch.manual_seed(0)
    stack = RecurrentStack("lstm", 3, 2).double()
    layer = stack.layers[0]
    x_BI, h_BH, c_BH = (torch.randn(1, n, dtype=torch.float64) for n in (3, 2, 2))
    gates_B4H = x_BI @ layer.weight_ih_l0.T + h_BH @ layer.weight_hh_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0
    i, f, g, o = gates_B4H.chunk(4, 1)
    c = f.sigmoid() * c_BH + i.sigmoid() * g.tanh()
    _, h_BLH, c_BLH = stack.step(x_BI, h_BH[:, None], c_BH[:, None])
    torch.testing.assert_close((h_BLH[:, 0], c_BLH[:, 0]), (o.sigmoid() * c.tanh(), c))


def test_an_unknown_cell_is_named():
    with pytest.raises(ValueError, match="`kind` must be one of lstm, gru, rnn, got 'sru'"):
        RecurrentStack("sru", 2, 2)


SHAPES = [
    {},
    {"bidirectional": True},
    {"reverse": True},
    {"num_layers": 3, "residual": True, "bidirectional": True},
    {"num_layers": 3, "pyramid": 2},
    {"num_layers": 2, "pyramid": 1, "bidirectional": True, "reverse": True},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_padding_changes_nothing(kind, shape):
    torch.manual_seed(0)
    encoder = RecurrentEncoder(4, 4, kind=kind, **shape).double()
    x_BTI, lengths_B = torch.randn(3, 7, 4, dtype=torch.float64), torch.tensor([7, 1, 4])
    noisy_BTI = x_BTI.clone()
    for b, n in enumerate(lengths_B.tolist()):
        noisy_BTI[b, n:] = 1e3
    noisy_BTI.requires_grad_()
    full, noisy = encoder(x_BTI, lengths_B), encoder(noisy_BTI, lengths_B)
    for b, n in enumerate(lengths_B.tolist()):
        alone = encoder(x_BTI[b : b + 1, :n], lengths_B[b : b + 1])
        steps = int(alone.lengths_B)
        assert int(full.lengths_B[b]) == steps == alone.values_BSD.shape[1]
        torch.testing.assert_close(full.values_BSD[b, :steps], alone.values_BSD[0])
        torch.testing.assert_close(noisy.values_BSD[b, :steps], alone.values_BSD[0])
        torch.testing.assert_close((full.h_BLD[b], full.c_BLD[b]), (alone.h_BLD[0], alone.c_BLD[0]))
    sum(values_SD[:n].sum() for values_SD, n in zip(noisy.values_BSD, full.lengths_B.tolist(), strict=True)).backward()
    assert all(not gradient[n:].any() for gradient, n in zip(noisy_BTI.grad, lengths_B.tolist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_two_directions_are_torchs_own(kind):
    torch.manual_seed(0)
    encoder = RecurrentEncoder(4, 3, kind=kind, bidirectional=True).double()
    x_BTI = torch.randn(2, 5, 4, dtype=torch.float64)
    encoded = encoder(x_BTI, torch.tensor([5, 5]))
    torch.testing.assert_close(encoded.values_BSD, encoder.layers[0](x_BTI)[0])
    torch.testing.assert_close(encoded.h_BLD[:, 0, 3:], encoded.values_BSD[:, 0, 3:])  # read the first position last
    torch.testing.assert_close(encoded.h_BLD[:, 0, :3], encoded.values_BSD[:, -1, :3])


def test_reading_in_reverse_is_reading_the_reversed_source():
    torch.manual_seed(0)
    forward = RecurrentEncoder(4, 3)
    backward = RecurrentEncoder(4, 3, reverse=True)
    backward.load_state_dict(forward.state_dict())
    x_BTI, lengths_B = torch.randn(1, 5, 4), torch.tensor([5])
    turned, got = forward(x_BTI.flip(1), lengths_B), backward(x_BTI, lengths_B)
    torch.testing.assert_close((got.values_BSD, got.h_BLD), (turned.values_BSD.flip(1), turned.h_BLD))


def test_pairs_keep_every_real_frame_and_count_up():
    x_BTI = torch.arange(10.0).view(2, 5, 1)
    pairs_BSI, lengths_B = join_pairs(x_BTI, torch.tensor([5, 2]))
    assert pairs_BSI.tolist() == [[[0, 1], [2, 3], [4, 0]], [[5, 6], [0, 0], [0, 0]]] and lengths_B.tolist() == [3, 1]


def test_residual_is_the_sum_of_input_and_output():
    torch.manual_seed(0)
    encoder = RecurrentEncoder(4, 4, residual=True)
    x_BTI = torch.randn(1, 3, 4)
    torch.testing.assert_close(encoder(x_BTI, torch.tensor([3])).values_BSD, x_BTI + encoder.layers[0](x_BTI)[0])


def test_variational_dropout_keeps_one_mask_a_sequence():
    torch.manual_seed(0)
    dropped_BTD = VariationalDropout(0.5)(torch.ones(50, 6, 40))
    assert (dropped_BTD == dropped_BTD[:, :1]).all() and set(dropped_BTD.unique().tolist()) == {0.0, 2.0}
    assert abs(dropped_BTD.mean() - 1) < 0.1
    assert torch.equal(VariationalDropout(0.5).eval()(torch.ones(2, 3, 4)), torch.ones(2, 3, 4))


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_acts_between_layers_only(variational):
    torch.manual_seed(0)
    x_BTI, lengths_B = torch.randn(2, 5, 4), torch.tensor([5, 5])
    one = RecurrentEncoder(4, 4, 1, dropout=0.5, variational=variational).train()
    torch.testing.assert_close(one(x_BTI, lengths_B).values_BSD, one(x_BTI, lengths_B).values_BSD)
    two = RecurrentEncoder(4, 4, 2, dropout=0.5, variational=variational).train()
    assert not torch.equal(two(x_BTI, lengths_B).values_BSD, two(x_BTI, lengths_B).values_BSD)


def test_text_goes_in_as_ids():
    embedding = Embedding(9, 4)
    encoder = TextEncoder(embedding, RecurrentEncoder(4, 3), dropout=0.5).eval()
    tokens_BT, lengths_B = torch.randint(9, (2, 5)), torch.tensor([5, 3])
    want = encoder.encoder(embedding(tokens_BT), lengths_B)
    torch.testing.assert_close(encoder(tokens_BT, lengths_B), want)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="`pyramid` must be from 0 to num_layers - 1 = 0, got 1"):
        RecurrentEncoder(4, 3, 1, pyramid=1)
    with pytest.raises(ValueError, match=r"`lengths_B` must be >= 1, got \[2, 0\]"):
        RecurrentEncoder(4, 3)(torch.zeros(2, 2, 4), torch.tensor([2, 0]))
