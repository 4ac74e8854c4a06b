"""Laws that greedy and beam search both obey: batches, lengths, forbidden tokens, given states."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seqkit.decode import Coverage, HotWords, LanguageModel, LengthBonus, Sampling, Search, beam, greedy, sample
from seqkit.decode import search as core
from seqkit.nn.decoder import build_decoder
from seqkit.nn.memory import repeat, select
from tests.oracles import Recurrent, Table, assert_same, one, source


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"beam": 0}, "`beam` must be at least 1, got 0"),
        ({"beam": 2, "nbest": 3}, "`nbest` must be from 1 to `beam` = 2, got 3"),
        ({"nbest": 0}, "`nbest` must be from 1 to `beam` = 5, got 0"),
        ({"max_len": 0}, "`max_len` must be at least 1, got 0"),
        ({"max_len": torch.tensor([4, 0])}, "`max_len` must be at least 1, got 0"),
        ({"length_penalty": "google"}, "`length_penalty` must be average, wu or None, got 'google'"),
        ({"alpha": -1.0}, "`alpha` must be at least 0, got -1.0"),
        ({"suppress_tokens": (0, 2)}, r"`suppress_tokens` must not hold `eos` = 2, got \(0, 2\)"),
    ],
)
def test_bad_options_are_named(option: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Search(**option)


@pytest.mark.parametrize("search", [greedy, beam])
def test_max_len_is_one_a_sentence(search: Any) -> None:
    with pytest.raises(ValueError, match=r"`max_len` must be one number or one a sentence, \(3,\), got \(2,\)"):
        search(Table(6, seed=0), source(3, 4, seed=0), Search(max_len=torch.tensor([4, 5])))


@pytest.mark.parametrize("vocab", [2, 5, 64, 129, 640, 700, 1500])
@pytest.mark.parametrize("count", [1, 2, 6, 11])
def test_top_is_the_head_of_a_sort(vocab: int, count: int) -> None:
    generator = torch.Generator().manual_seed(vocab + count)
    rank_NV = torch.randn(40, vocab, generator=generator)
    rank_NV[torch.rand(rank_NV.shape, generator=generator) < 0.2] = -torch.inf
    values_NC, columns_NC = core.top(rank_NV, count)
    assert torch.equal(values_NC, rank_NV.gather(1, columns_NC))
    assert (columns_NC.diff(dim=1) > 0).all()
    assert torch.equal(values_NC.sort(-1, descending=True).values, rank_NV.sort(-1, descending=True).values[:, :count])


@pytest.mark.parametrize("vocab", [2, 5, 64, 129, 640, 700, 1500])
@pytest.mark.parametrize("count", [1, 2, 6, 11])
@pytest.mark.parametrize("levels", [1, 2, 30])
def test_of_equal_columns_top_takes_the_lowest(vocab: int, count: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(vocab + count)
    rank_NV = torch.randint(levels, (40, vocab), generator=generator).float()
    rank_NV[torch.rand(rank_NV.shape, generator=generator) < 0.2] = -torch.inf
    first_NC = rank_NV.sort(dim=-1, descending=True, stable=True).indices[:, :count]
    assert torch.equal(core.top(rank_NV, count)[1], first_NC.sort(-1).values)


@pytest.mark.parametrize("tied", [[5, 7], [5, 7, 9], [5, 70, 150, 290], list(range(2, 300)), [2, 5, 9], [9, 5, 299]])
def test_equal_candidates_go_to_the_lowest_token(tied: list[int]) -> None:
    """EOS is token 2; however many are equal, a beam of one is greedy search."""
    model, search = Table(300, seed=0), Search(beam=1, max_len=3)
    model.logits_RV[:] = 0.0
    model.logits_RV[:, tied] = 1.0
    expected = [] if 2 in tied else [5, 5, 5]
    for found in greedy(model, source(3, 4, seed=0), search), beam(model, source(3, 4, seed=0), search):
        assert [h[0].tokens for h in found] == [expected] * 3


@pytest.mark.parametrize("search", [greedy, beam])
@pytest.mark.parametrize("seed", range(3))
def test_a_sentence_decodes_as_alone_and_in_any_order(search: Any, seed: int) -> None:
    options = Search(beam=3, nbest=2, max_len=torch.arange(3, 15), length_penalty="average", no_repeat_ngram=3)
    scorers = [(Coverage(), 0.2)]
    order_B = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    for model in Table(9, seed=seed), Recurrent(9, 4, seed=seed):
        memories = source(12, 4, seed=seed)
        together = search(model, memories, options, scorers=scorers)
        permuted = replace(options, max_len=options.max_len[order_B])
        turned = search(model, select(memories, order_B), permuted, scorers=scorers)
        for place, found in zip(order_B, turned, strict=True):
            assert_same(found, together[place], 1e-9)
        for row, found in enumerate(together):
            alone = replace(options, max_len=int(options.max_len[row]))
            assert_same(search(model, one(memories, row), alone, scorers=scorers)[0], found, 1e-9)


@pytest.mark.parametrize("search", [greedy, beam])
def test_in_single_precision_neighbors_do_not_change_the_tokens(search: Any) -> None:
    model, memories = Recurrent(50, 8, seed=1, dtype=torch.float32), source(16, 8, seed=1, dtype=torch.float32)
    together = search(model, memories, Search(beam=4, nbest=4, max_len=20))
    for row, found in enumerate(together):
        alone = search(model, one(memories, row), Search(beam=4, nbest=4, max_len=20))[0]
        assert_same(found, alone, 1e-4)


@pytest.mark.parametrize("search", [greedy, beam])
def test_finished_sentences_leave_and_nothing_changes(search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, memories = Table(9, seed=2), source(16, 4, seed=2)
    options = Search(beam=3, nbest=3, max_len=12, length_penalty="wu", no_repeat_ngram=2)
    scorers = [(Coverage(), 0.2), (LanguageModel(Table(9, seed=4)), 0.3)]
    found, seen = search(model, memories, options, scorers=scorers), model.rows_seen
    monkeypatch.setattr(core, "LEAVE_SHARE", 1.0)
    model.rows_seen = []
    assert search(model, memories, options, scorers=scorers) == found
    assert len(set(model.rows_seen[1:])) == 1  # in the first step all hypotheses of a sentence are one
    assert len(set(seen)) > 3 and seen[1:] == sorted(seen[1:], reverse=True)
    assert len(seen) == len(model.rows_seen)


class Reads(TorchDispatchMode):
    """Counts what an accelerator would have to be waited for: values, and shapes that depend on values."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        masked = func is torch.ops.aten.index.Tensor and any(x is not None and x.dtype == torch.bool for x in args[1])
        waits = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "equal")
        self.count += masked or func.overloadpacket.__name__ in waits
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("search", [greedy, beam])
def test_an_accelerator_is_waited_for_every_eighth_step(search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "on_host", lambda x: False)
    monkeypatch.setattr(torch.Tensor, "tolist", None)  # reads too, and is for the end of a sentence alone
    decoder = build_decoder(200, 6, 8, (5,), attention="additive", attention_dim=4, readout_dim=6).eval()
    language = build_decoder(200, 6, 8, readout="linear").eval()
    hot = HotWords(["ab", "c"], ["", "", "", *(f" {chr(97 + n % 26)}" for n in range(197))])
    memories = decoder.make_memory((torch.randn(4, 6, 5), torch.tensor([6, 2, 5, 1]), torch.zeros(4, 5)))
    options = Search(beam=3, max_len=70, min_len=64, no_repeat_ngram=2, length_penalty="average")
    scorers = [(Coverage(), 0.1), (LengthBonus(), 0.1), (LanguageModel(language), 0.1), (hot, 1.0)]
    with Reads() as reads, suppress(TypeError):  # at the first sentence that ends
        search(decoder, memories, options, scorers=scorers)
    assert 64 // core.CHECK_EVERY <= reads.count <= 64 // core.CHECK_EVERY + 4  # and what is read of the options


class Poisoned(Table):
    """Logits of 1e3 times noise once EOS went in."""

    def step(self, token_B: torch.Tensor, memories: Any, state: Any) -> Any:
        logits_BV, weights, state = super().step(token_B, memories, state)
        return torch.where((token_B == 2)[:, None], logits_BV * -1e3, logits_BV), weights, state


@pytest.mark.parametrize("search", [greedy, beam])
def test_what_comes_after_eos_changes_nothing(search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "LEAVE_SHARE", 1.0)
    options = Search(beam=3, nbest=3, max_len=12)
    memories = source(8, 4, seed=7)
    assert search(Poisoned(9, seed=7), memories, options) == search(Table(9, seed=7), memories, options)


@pytest.mark.parametrize("search", [greedy, beam])
def test_a_sentence_is_cut_exactly_where_its_length_is_the_maximum(search: Any) -> None:
    model, memories = Table(9, seed=11), source(20, 4, seed=11)
    max_len_B = torch.arange(20) % 5 + 1
    found = search(model, memories, Search(beam=3, nbest=3, max_len=max_len_B))
    long = search(model, memories, Search(beam=3, nbest=3, max_len=60, no_repeat_ngram=1))
    cut = [len(h.tokens) == n for hypotheses, n in zip(found, max_len_B.tolist(), strict=True) for h in hypotheses]
    assert any(cut) and not all(cut)
    assert all(len(h.tokens) <= n for row, n in zip(found, max_len_B.tolist(), strict=True) for h in row)
    assert not any(len(h.tokens) == 60 for row in long for h in row)


@pytest.mark.parametrize("search", [greedy, beam])
def test_forbidden_short_and_repeated_outputs_never_come(search: Any) -> None:
    options = Search(beam=4, nbest=4, max_len=25, min_len=6, no_repeat_ngram=2, suppress_tokens=(0, 1, 3))
    for hypotheses in search(Table(7, seed=5), source(12, 4, seed=5), options):
        for tokens, _, _ in hypotheses:
            pairs = list(zip(tokens, tokens[1:], strict=False))
            assert len(tokens) >= 6 and not {0, 1, 2, 3} & set(tokens) and len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("search", [greedy, beam])
def test_a_state_may_be_given(search: Any) -> None:
    model, memories, options = Recurrent(9, 4, seed=4), source(5, 4, seed=4), Search(beam=2, max_len=9)
    assert search(model, memories, options, state=model.initial_state(memories)) == search(model, memories, options)
    primed = model.step(torch.full((5,), 4), memories, model.initial_state(memories))[2]
    found = search(model, memories, options, state=primed)
    assert found != search(model, memories, options)
    assert [len(row) for row in found] == [1] * 5


@pytest.mark.parametrize("search", [greedy, beam])
def test_without_memory_the_batch_is_that_of_the_state(search: Any) -> None:
    model, options = Table(9, seed=4), Search(beam=2, max_len=9)
    assert search(model, (), options, state=repeat(model.initial_state(()), 3)) == search(model, (), options) * 3


def test_half_precision_logits_are_summed_in_single_precision() -> None:
    class Half(Table):
        def step(self, token_B: torch.Tensor, memories: Any, state: Any) -> Any:
            logits_BV, weights, state = super().step(token_B, memories, state)
            return logits_BV.bfloat16(), weights, state

    class Rounded(Half):
        def step(self, token_B: torch.Tensor, memories: Any, state: Any) -> Any:
            logits_BV, weights, state = super().step(token_B, memories, state)
            return logits_BV.float(), weights, state

    memories, options = source(6, 4, seed=9), Search(beam=3, nbest=3, max_len=10)
    assert beam(Half(9, seed=9), memories, options) == beam(Rounded(9, seed=9), memories, options)


@pytest.mark.parametrize("search", [greedy, beam, partial(sample, sampling=Sampling())])
def test_options_that_contradict_each_other_leave_nothing_to_say(search: Any) -> None:
    options = Search(beam=2, max_len=torch.tensor([9, 4]), min_len=8, no_repeat_ngram=1)
    found = search(Table(8, seed=1), source(2, 4, seed=1), options)
    assert found[0] == [([], -torch.inf, -torch.inf)]
    assert len(found[1][0].tokens) == 4
