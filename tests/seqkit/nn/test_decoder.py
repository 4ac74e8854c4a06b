"""Laws of the one decoder, over every wiring, cell and number of memories."""

import math
from typing import get_args

import pytest
import torch
from torch import nn

from seqkit.decode import Search, beam, greedy, score_targets
from seqkit.nn import initialize
from seqkit.nn.attention import ATTENTIONS, make_attention
from seqkit.nn.decoder import Decoder, Wiring, build_decoder, draw, feature_dim
from seqkit.nn.embedding import Embedding
from seqkit.nn.encoders import Encoded, RecurrentEncoder
from seqkit.nn.initial_state import make_init_hidden, summarize
from seqkit.nn.losses import sequence_loss
from seqkit.nn.memory import select
from seqkit.nn.readout import Readout
from seqkit.nn.recurrent import RecurrentStack

WIRINGS = get_args(Wiring)

V, E, H, B, T = 7, 5, 6, 3, 4
WIDTHS = ((), (4,), (4, 3))  # memories attended to: none, one, two
BOS, EOS = 1, 2


def make(
    wiring="luong_input_feeding",
    cell="lstm",
    widths=(4,),
    *,
    layers=2,
    kind="additive",
    readout="tanh",
    prefix=False,
    seed=0,
    dropout=0.0,
) -> Decoder:
    torch.manual_seed(seed)
    attentions = [make_attention(kind, width, H, 4) for width in widths]
    contexts = [attention.context_dim for attention in attentions]
    fed = 0 if wiring == "luong" else sum(contexts)
    cells = RecurrentStack(cell, E + fed, H, layers)
    head = Readout(feature_dim(E, H, contexts, wiring), 5, V, kind=readout)
    summary_dim = sum(widths) or 4
    bridge = nn.Sequential(nn.Linear(summary_dim, layers * (H + cells.cell_dim)), nn.Tanh())
    decoder = Decoder(
        Embedding(V, E),
        cells,
        attentions,
        head,
        wiring=wiring,
        init_hidden=bridge,
        dropout=dropout,
        prefix=nn.Linear(summary_dim, E) if prefix else None,
    )
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.8)
    return decoder.double().eval()


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("widths", WIDTHS[1:])
@pytest.mark.parametrize("tied", [True, False])
def test_a_decoder_is_built_from_numbers_as_by_hand(wiring, widths, tied):
    """The same weights at the same seed; parts are made in a fixed order."""
    torch.manual_seed(3)
    attentions = [make_attention("location", width, H, 4, gated=True) for width in widths]
    embedding = Embedding(V, E, scaled=tied)
    cells = RecurrentStack("gru", E + (0 if wiring == "luong" else sum(widths)), H, 2, residual=True)
    readout = Readout(feature_dim(E, H, widths, wiring), E, V, tied_embedding=embedding if tied else None)
    init_hidden = make_init_hidden("mean", sum(widths), 1, cells)
    prefix = nn.Sequential(nn.Linear(sum(widths), E), nn.Dropout(0.0))
    hand = Decoder(embedding, cells, attentions, readout, wiring=wiring, init_hidden=init_hidden, prefix=prefix)
    torch.manual_seed(3)
    built = build_decoder(
        V, E, H, widths, cell="gru", layers=2, residual=True, attention="location", attention_dim=4, gated=True,
        wiring=wiring, init_hidden="mean", prefix=True, readout_dim=E, tie_embeddings=tied,
    )  # fmt: skip
    torch.testing.assert_close(built.state_dict(), hand.state_dict(), rtol=0, atol=0)
    assert (built.readout.output.weight is built.embedding.weight) == tied and built.wiring == wiring


def test_without_attention_memories_give_the_initial_state_alone():
    decoder = build_decoder(V, E, H, [4], init_hidden="mean", readout="linear", embedding=(shared := Embedding(V, E)))
    assert not decoder.attentions and decoder.init_hidden[0].in_features == 4 and decoder.embedding is shared
    memories = decoder.double().make_memory(*streams())
    assert decoder(torch.full((B, T), BOS), memories).shape == (B, T, V)


def streams(widths=(4,), seed=1) -> list[tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for width in widths or (4,):
        values_BSD = torch.randn(B, 5, width, generator=generator, dtype=torch.float64)
        found.append((values_BSD, torch.tensor([5, 2, 4]), values_BSD[:, 0]))
    return found


def stepped(decoder: Decoder, tokens_BT: torch.Tensor, memories) -> torch.Tensor:
    state, logits = decoder.initial_state(memories), []
    for token_B in tokens_BT.unbind(1):
        logits_BV, _, state = decoder.step(token_B, memories, state)
        logits.append(logits_BV)
    return torch.stack(logits, 1)


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("prefix", [False, True])
def test_forward_is_step_over_the_columns(wiring, cell, widths, prefix):
    decoder = make(wiring, cell, widths, prefix=prefix)
    memories, tokens_BT = decoder.make_memory(*streams(widths)), torch.randint(V, (B, T))
    torch.testing.assert_close(decoder(tokens_BT, memories), stepped(decoder, tokens_BT, memories))


@pytest.mark.parametrize("kind", ["additive", "location", "multi_head"])
@pytest.mark.parametrize("widths", WIDTHS)
def test_a_beam_finds_the_same_with_one_copy_of_the_memories_a_sentence(kind, widths, monkeypatch):
    decoder = make(kind=kind if widths else "additive", widths=widths)
    memories, search = decoder.make_memory(*streams(widths)), Search(beam=4, nbest=4, max_len=6)
    found = beam(decoder, memories, search)
    monkeypatch.setattr(Decoder, "shares_memories", False)
    for own, other in zip(found, beam(decoder, memories, search), strict=True):
        assert [h.tokens for h in own] == [h.tokens for h in other]
        assert [h.score for h in own] == pytest.approx([h.score for h in other])


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("wiring", WIRINGS)
def test_forward_is_step_for_every_attention(kind, wiring):
    decoder = make(wiring, kind=kind, widths=(H,))
    memories, tokens_BT = decoder.make_memory(*streams((H,))), torch.randint(V, (B, T))
    torch.testing.assert_close(decoder(tokens_BT, memories), stepped(decoder, tokens_BT, memories))


def test_the_fused_path_is_taken_exactly_where_no_step_feeds_the_next():
    assert (
        make("luong").fusible and make("bahdanau", widths=()).fusible and make("luong_input_feeding", widths=()).fusible
    )
    assert not make("bahdanau").fusible and not make("luong_input_feeding").fusible
    assert not make("luong", kind="location").fusible


@pytest.mark.parametrize("wiring", WIRINGS)
def test_padding_of_the_memory_changes_nothing(wiring):
    decoder, tokens_BT = make(wiring, widths=(4, 3)), torch.randint(V, (B, T))
    given = streams((4, 3))
    full_BTV = decoder(tokens_BT, decoder.make_memory(*given))
    for b in range(B):
        alone = [(values[b : b + 1, : lengths[b]], lengths[b : b + 1], z[b : b + 1]) for values, lengths, z in given]
        torch.testing.assert_close(decoder(tokens_BT[b : b + 1], decoder.make_memory(*alone))[0], full_BTV[b])
    padding_BS = torch.arange(5) >= given[0][1][:, None]
    noisy = [(values.masked_fill(padding_BS[..., None], 1e3).requires_grad_(), n, z) for values, n, z in given]
    noisy_BTV = decoder(tokens_BT, decoder.make_memory(*noisy))
    torch.testing.assert_close(noisy_BTV, full_BTV)
    noisy_BTV.sum().backward()
    assert all(not values.grad[padding_BS].any() for values, _, _ in noisy)


def test_what_comes_later_in_the_target_changes_nothing_before():
    decoder = make()
    memories, tokens_BT = decoder.make_memory(*streams()), torch.randint(V, (B, T))
    other_BT = tokens_BT.clone()
    other_BT[:, 2:] = (other_BT[:, 2:] + 1) % V
    torch.testing.assert_close(decoder(other_BT, memories)[:, :2], decoder(tokens_BT, memories)[:, :2])
    assert not torch.allclose(decoder(other_BT, memories)[:, 2:], decoder(tokens_BT, memories)[:, 2:])


@pytest.mark.parametrize("wiring", ["bahdanau", "luong_input_feeding"])
def test_contexts_matter_where_they_are_wired(wiring):
    """Before the cell the first context moves the first state; fed back it moves the second state alone."""
    decoder = make(wiring, layers=1)
    ((values, lengths, z),) = streams()
    one, other = decoder.make_memory((values, lengths, z)), decoder.make_memory((values + 1, lengths, z))
    token_B = torch.tensor([BOS] * B)
    first, second = (decoder.step(token_B, m, decoder.initial_state(m))[2] for m in (one, other))
    assert torch.allclose(first.h_BLH, second.h_BLH) == (wiring != "bahdanau")
    first, second = decoder.step(token_B, one, first)[2], decoder.step(token_B, other, second)[2]
    assert not torch.allclose(first.h_BLH, second.h_BLH)


def test_scheduled_sampling_of_nothing_is_teacher_forcing_and_of_all_is_greedy():
    decoder = make()
    memories, tokens_BT = decoder.make_memory(*streams()), torch.randint(3, V, (B, 6))
    tokens_BT[:, 0] = BOS
    torch.testing.assert_close(decoder(tokens_BT, memories, sampling=1e-9), decoder(tokens_BT, memories))
    own_BT = decoder(tokens_BT, memories, sampling=1.0).argmax(-1)
    found = greedy(decoder, memories, Search(max_len=6, suppress_tokens=()))
    for row, (hypothesis,) in zip(own_BT.tolist(), found, strict=True):
        assert row[: len(hypothesis.tokens)] == hypothesis.tokens


def test_scheduled_sampling_flips_a_coin_a_token():
    decoder, fed = make(), []
    memories, tokens_BT = decoder.make_memory(*streams()), torch.full((B, 400), 3)
    step = decoder.cells.step
    decoder.cells.step = lambda x_BI, *state: (fed.append(x_BI[:, :E]), step(x_BI, *state))[1]
    torch.manual_seed(0)
    decoder(tokens_BT, memories, sampling=0.25, argmax=False)
    changed_BT = (torch.stack(fed, 1) != decoder.embedding(tokens_BT)).any(-1)
    assert 0.12 < changed_BT.double().mean() < 0.3 and not (changed_BT.all(0) | ~changed_BT.any(0)).all()


@pytest.mark.parametrize("sampling", [0.0, 1e-9])
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_unrolling_gives_the_attention_of_every_step(wiring, widths, sampling):
    """Also where the whole target runs in one kernel."""
    decoder = make(wiring, widths=widths)
    memories, tokens_BT = decoder.make_memory(*streams(widths)), torch.randint(V, (B, T))
    _, weights = decoder.forward_features(tokens_BT, memories, sampling=sampling)
    state = decoder.initial_state(memories)
    for t, token_B in enumerate(tokens_BT.unbind(1)):
        _, stepped_BS, state = decoder.step(token_B, memories, state)
        torch.testing.assert_close(tuple(weights_BTS[:, t] for weights_BTS in weights), stepped_BS)
    assert len(weights) == len(widths)


def test_a_sampled_input_takes_no_gradient_through_the_choice():
    """The choice is not differentiable; the embedding of what was chosen is."""
    decoder = make(widths=())
    memories, tokens_BT = decoder.make_memory(*streams(())), torch.full((B, 2), 3)
    features_BTF, _ = decoder.forward_features(tokens_BT, memories, sampling=1.0)
    features_BTF[:, 1].sum().backward()
    chosen = decoder.predict(features_BTF[:, 0], argmax=True)
    assert decoder.readout.output.weight.grad is None
    assert decoder.embedding.weight.grad[chosen].any()


def test_draws_follow_the_softmax():
    torch.manual_seed(0)
    logits_V = torch.randn(V)
    counts_V = torch.bincount(draw(logits_V.expand(40000, V)), minlength=V) / 40000
    assert (counts_V - logits_V.softmax(0)).abs().max() < 0.01


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_search_finds_what_forced_scoring_confirms(wiring, widths):
    decoder = make(wiring, widths=widths)
    memories = decoder.make_memory(*streams(widths))
    for b, hypotheses in enumerate(beam(decoder, memories, Search(beam=3, nbest=3, max_len=6))):
        for hypothesis in hypotheses:
            if len(hypothesis.tokens) < 6:
                targets = torch.tensor([[*hypothesis.tokens, EOS]])
                inputs = torch.tensor([[BOS, *hypothesis.tokens]])
                own, length_B = select(memories, torch.tensor([b])), torch.tensor([targets.shape[1]])
                forced = score_targets(decoder, own, inputs, targets, length_B)
                assert math.isclose(forced.total_B.item(), hypothesis.logprob, abs_tol=1e-9)


def test_without_any_memory_the_batch_must_be_said():
    decoder = Decoder(Embedding(V, E), RecurrentStack("gru", E, H), [], Readout(H, 5, V))
    assert decoder.initial_state((), batch=4).h_BLH.shape == (4, 1, H) and decoder.initial_state((), 4).c_BLH.shape == (
        4,
        1,
        0,
    )
    assert decoder(torch.randint(V, (2, 3)), ()).shape == (2, 3, V)


def test_first_loss_is_log_v_and_one_batch_is_learned_then_decoded():
    torch.manual_seed(0)
    attention = make_attention("additive", 4, 32, 16)
    decoder = Decoder(Embedding(V, 16), RecurrentStack("lstm", 20, 32), [attention], Readout(36, 16, V))
    initialize.xavier(decoder)
    values_BSD, lengths_B = torch.randn(4, 5, 4), torch.tensor([5, 5, 5, 5])
    targets_BT = torch.randint(3, V, (4, 6))
    targets_BT[:, -1] = EOS
    inputs_BT = torch.cat([torch.full((4, 1), BOS), targets_BT[:, :-1]], 1)
    optimizer, length_B = torch.optim.Adam(decoder.parameters(), 1e-2), torch.tensor([6] * 4)
    for step in range(120):
        logits_BTV = decoder(inputs_BT, decoder.make_memory((values_BSD, lengths_B, values_BSD[:, 0])))
        total, count = sequence_loss(logits_BTV, targets_BT, length_B)
        loss = total / count
        if step == 0:
            assert abs(loss.item() - math.log(V)) < 0.2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02
    found = greedy(decoder.eval(), decoder.make_memory((values_BSD, lengths_B, values_BSD[:, 0])), Search(max_len=10))
    assert [best.tokens for (best,) in found] == [row[:-1] for row in targets_BT.tolist()]


@pytest.mark.parametrize("kind", ["tanh", "maxout", "linear"])
def test_a_readout_is_its_equation(kind):
    torch.manual_seed(0)
    readout, features_BF = Readout(6, 4, V, kind=kind), torch.randn(3, 6)
    hidden = readout.hidden(features_BF)
    if kind == "tanh":
        hidden = hidden.tanh()
    if kind == "maxout":
        hidden = torch.stack([hidden[:, 2 * k : 2 * k + 2].max(1).values for k in range(4)], 1)
    torch.testing.assert_close(readout(features_BF), hidden @ readout.output.weight.T + readout.output.bias)


def test_tied_embeddings_are_one_matrix():
    embedding = Embedding(V, E)
    assert Readout(6, E, V, tied_embedding=embedding).output.weight is embedding.weight
    with pytest.raises(ValueError, match=r"`tied_embedding` must be \(7, 4\), got \(7, 5\)"):
        Readout(6, 4, V, tied_embedding=embedding)


@pytest.mark.parametrize("kind, width", [("mean", 8), ("last", 8), ("backward", 4), (None, 0)])
def test_the_initial_hidden_state_is_made_from_its_summary(kind, width):
    torch.manual_seed(0)
    encoded = RecurrentEncoder(3, 4, 2, bidirectional=True)(torch.randn(2, 5, 3), torch.tensor([5, 3]))
    cells = RecurrentStack("lstm", 5, 6, 2)
    summary_BZ, init_hidden = summarize(encoded, kind), make_init_hidden(kind, 8, 2, cells)
    assert summary_BZ.shape == (2, width)
    assert init_hidden is None if kind is None else init_hidden(summary_BZ).shape == (2, 2 * 12)
    if kind == "backward":
        torch.testing.assert_close(summary_BZ, encoded.values_BSD[:, 0, 4:])


def test_a_copied_initial_state_is_the_encoders_last_state():
    torch.manual_seed(0)
    encoded = RecurrentEncoder(3, 6, 2)(torch.randn(2, 5, 3), torch.tensor([5, 3]))
    cells = RecurrentStack("lstm", E, 6, 2)
    decoder = Decoder(
        Embedding(V, E), cells, [], Readout(6, 5, V), wiring="luong", init_hidden=make_init_hidden("copy", 6, 2, cells)
    )
    state = decoder.initial_state(
        decoder.make_memory((encoded.values_BSD, encoded.lengths_B, summarize(encoded, "copy")))
    )
    torch.testing.assert_close((state.h_BLH, state.c_BLH), (encoded.h_BLD, encoded.c_BLD))
    with pytest.raises(ValueError, match="`init_hidden` must not be copy .* got 1 layers of 6 and 2 of 6"):
        make_init_hidden("copy", 6, 1, cells)


def test_initializers_reach_the_papers_numbers():
    decoder = make(widths=(4,)).float()
    initialize.uniform(decoder)
    assert all(p.abs().max() <= 0.08 for p in decoder.parameters())
    initialize.bahdanau(decoder)
    for layer in decoder.cells.layers:
        for block in layer.weight_hh_l0.split(H):
            torch.testing.assert_close(block @ block.T, torch.eye(H), atol=1e-5, rtol=0)
    assert not decoder.attentions[0].score.weight.any() and decoder.attentions[0].key.weight.std() < 0.003
    assert 0.005 < decoder.embedding.weight.std() < 0.02 and not decoder.readout.output.bias.any()
    initialize.xavier(decoder)
    assert decoder.cells.layers[0].bias_ih_l0.split(H)[1].tolist() == [1.0] * H
    assert decoder.cells.layers[0].bias_ih_l0.sum() == H and not decoder.cells.layers[0].bias_hh_l0.any()


def test_wrong_uses_are_named():
    with pytest.raises(ValueError, match="`wiring` must be one of .*, got 'beside'"):
        make("beside")
    with pytest.raises(ValueError, match="`streams` must be one an attention, 1, got 2"):
        make().make_memory(*streams((4, 3)))
    with pytest.raises(ValueError, match="`sampling` must be from 0 to 1, got 2"):
        make()(torch.zeros(B, 1, dtype=torch.int64), make().make_memory(*streams()), sampling=2)
    with pytest.raises(ValueError, match="`kind` must be one of tanh, maxout, linear, got 'relu'"):
        Readout(6, 4, V, kind="relu")


def test_encoded_is_a_plain_value():
    assert Encoded._fields == ("values_BSD", "lengths_B", "h_BLD", "c_BLD")
