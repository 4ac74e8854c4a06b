"""The fused recurrences and cross entropy give the numbers of the plain modules, which are the law."""

import ctypes
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqkit.nn import kernels
from seqkit.nn.attention import AdditiveAttention
from seqkit.nn.decoder import build_decoder
from seqkit.nn.encoders import RecurrentEncoder
from seqkit.nn.kernels import usable, usable_in_search
from seqkit.nn.kernels.lstm import LSTMSteps
from seqkit.nn.losses import cross_entropy
from seqkit.nn.memory import Memory

Work = Callable[[], Sequence[Tensor]]


@pytest.fixture(autouse=True)
def with_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not kernels.available():
        pytest.skip("needs a C++ compiler")
    yield


def outcome(work: Work, wanted: Sequence[Tensor], *, dtype: torch.dtype) -> list[Tensor]:
    """What `work` gives, and its gradients by `wanted`, under random upstream gradients."""
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        found = [value.float() for value in work()]
    generator = torch.Generator().manual_seed(2)
    total = sum((value * torch.randn(value.shape, generator=generator)).sum() for value in found)
    assert isinstance(total, Tensor)
    return [*(value.detach() for value in found), *torch.autograd.grad(total, wanted)]


def compare(
    work: Work, wanted: Sequence[Tensor], monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype = torch.float32
) -> None:
    """The fused path beside the plain one in float32: equal to rounding of the products' type."""
    monkeypatch.setenv("SEQKIT_KERNELS", "0")
    assert not usable(torch.zeros(1))
    plain = outcome(work, wanted, dtype=torch.float32)
    monkeypatch.delenv("SEQKIT_KERNELS")
    assert usable(torch.zeros(1))
    tolerance, slack = (2e-5, 1e-3) if dtype == torch.float32 else (4e-2, 0.3)  # slack: sums that cancel
    for one, other in zip(outcome(work, wanted, dtype=dtype), plain, strict=True):
        assert (one - other).norm() <= tolerance * (other.norm() + slack)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [(9, 1, 4, 7, 9), (9,) * 5])
def test_an_encoder_is_that_of_packed_sequences(
    lengths: tuple[int, ...], bidirectional: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = RecurrentEncoder(7, 16, 2, bidirectional=bidirectional)
    x_BTI, lengths_B = torch.randn(5, 9, 7, requires_grad=True), torch.tensor(lengths)

    def work() -> list[Tensor]:
        encoded = encoder(x_BTI, lengths_B)
        return [encoded.values_BSD, encoded.h_BLD, encoded.c_BLD]

    compare(work, [x_BTI, *encoder.parameters()], monkeypatch, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wiring", ["bahdanau", "luong_input_feeding"])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("memory_dims", [(12,), (12, 8)])
def test_a_decoder_is_its_own_loop(wiring, gated, memory_dims, dtype, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    decoder = build_decoder(
        30, 10, 16, memory_dims, attention="additive", attention_dim=14, gated=gated, wiring=wiring,
        init_hidden="mean", prefix=True, readout_dim=12,
    )  # fmt: skip
    values = [torch.randn(4, 6 + i, width, requires_grad=True) for i, width in enumerate(memory_dims)]
    lengths = [torch.tensor([6 + i, 0 if i else 2, 1, 4]) for i in range(len(memory_dims))]
    tokens_BT = torch.randint(4, 30, (4, 8))

    def work() -> list[Tensor]:
        streams = [(x_BSD, lengths_B, x_BSD.mean(1)) for x_BSD, lengths_B in zip(values, lengths, strict=True)]
        features_BTF, weights = decoder.forward_features(tokens_BT, decoder.make_memory(*streams))
        return [decoder.readout(features_BTF), *weights]

    compare(work, [*values, *decoder.parameters()], monkeypatch, dtype)


HOLES = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)


@pytest.mark.parametrize("trained", [False, True])
def test_attention_is_over_any_mask(trained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions that count need not come first; of a memory without any, weights and context are zero."""
    decoder = build_decoder(30, 10, 16, (12,), attention="additive", attention_dim=14, readout_dim=8)
    memory = decoder.make_memory((torch.randn(3, 5, 12), torch.full((3,), 5), torch.zeros(3, 12)))
    memories, tokens_BT = (memory[0]._replace(mask_BS=HOLES),), torch.randint(4, 30, (3, 4))

    def work() -> list[Tensor]:
        features_BTF, weights = decoder.forward_features(tokens_BT, memories)
        return [features_BTF, *weights]

    if trained:
        compare(work, list(decoder.cells.parameters()), monkeypatch)
    else:
        with torch.no_grad():
            fused = work()
            monkeypatch.setenv("SEQKIT_KERNELS", "0")
            torch.testing.assert_close(fused, work())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_in_a_search_is_that_of_the_plain_module(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several queries a row of the memory."""
    attention = AdditiveAttention(12, 16, 14).to(dtype)
    values_BSD, query_BTQ = torch.randn(3, 5, 12, dtype=dtype), torch.randn(3, 4, 16, dtype=dtype)
    memory = Memory(values_BSD, HOLES, attention.keys(values_BSD).detach(), torch.zeros(3, 0))
    with torch.no_grad():
        assert usable_in_search(query_BTQ) and not usable_in_search(query_BTQ.double())
        fused = attention(query_BTQ, memory, torch.zeros(3, 5))
        monkeypatch.setenv("SEQKIT_KERNELS", "0")
        plain = attention(query_BTQ, memory, torch.zeros(3, 5))
    slack = 2e-2 if dtype == torch.bfloat16 else 1e-6
    torch.testing.assert_close(fused, plain, atol=slack, rtol=slack)


@pytest.mark.parametrize("wiring", ["bahdanau", "luong_input_feeding"])
def test_dropout_acts_on_what_leaves_the_cell(wiring, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    decoder = build_decoder(
        30, 10, 64, (12,), attention="additive", attention_dim=14, wiring=wiring, readout_dim=8, dropout=0.5
    )
    memory = decoder.make_memory((torch.randn(8, 5, 12), torch.full((8,), 5), torch.zeros(8, 12)))
    features_BTF, _ = decoder.forward_features(torch.randint(4, 30, (8, 6)), memory)
    share = (features_BTF[..., :64] == 0).float().mean().item()
    assert share == pytest.approx(0.5, abs=0.05) and (features_BTF[..., 64:76] != 0).all()


@pytest.mark.parametrize("wiring", ["bahdanau", "luong_input_feeding"])
def test_the_gradient_goes_through_the_mask_that_was_drawn(wiring) -> None:  # type: ignore[no-untyped-def]
    """The derivative along a direction is the difference of two losses under the same masks."""
    torch.manual_seed(5)
    decoder = build_decoder(
        30, 10, 16, (12,), attention="additive", attention_dim=14, wiring=wiring, readout_dim=8, dropout=0.5
    )
    values_BSD, tokens_BT = torch.randn(4, 5, 12), torch.randint(4, 30, (4, 6))
    weight = decoder.cells.layers[0].get_parameter("weight_hh_l0")
    direction = torch.randn_like(weight)

    def loss(far: float) -> Tensor:
        torch.manual_seed(3)
        with torch.no_grad():
            weight.add_(far * direction)
        memory = decoder.make_memory((values_BSD, torch.full((4,), 5), torch.zeros(4, 12)))
        total = decoder(tokens_BT, memory).square().sum()
        with torch.no_grad():
            weight.sub_(far * direction)
        return total

    (gradient,) = torch.autograd.grad(loss(0.0), [weight])
    numeric = (loss(1e-2) - loss(-1e-2)).item() / 2e-2
    assert (gradient * direction).sum().item() == pytest.approx(numeric, rel=2e-2)


def test_a_cell_counts_past_256_in_bfloat16() -> None:
    """Every step adds one to a cell whose gates are open; a cell in bfloat16 stays at 256."""
    gates_TBG = torch.tensor([40.0, 40.0, 40.0, 40.0]).expand(400, 1, 4).to(torch.bfloat16)
    _, _, c_BH = LSTMSteps.apply(gates_TBG, torch.zeros(4, 1), None, False)
    assert c_BH.item() == pytest.approx(400, rel=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    logits_NV, targets_N = torch.randn(9, 33, requires_grad=True), torch.randint(0, 33, (9,))
    compare(lambda: [cross_entropy(30 * logits_NV, targets_N, smoothing=smoothing)], [logits_NV], monkeypatch)


def test_numbers_that_are_none_stay_none() -> None:
    logits_NV = torch.tensor([[0.0, float("nan"), 1.0]], requires_grad=True)
    assert cross_entropy(logits_NV, torch.tensor([0])).isnan()
    gates_TBG = torch.full((2, 1, 4), float("nan"))
    assert LSTMSteps.apply(gates_TBG, torch.zeros(4, 1), None, False)[0].isnan().all()


def test_what_is_differentiated_twice_gives_the_same_twice() -> None:
    encoder, x_BTI = RecurrentEncoder(3, 4), torch.randn(2, 5, 3)
    total = encoder(x_BTI, torch.tensor([5, 3])).values_BSD.sum()
    first = torch.autograd.grad(total, encoder.parameters(), retain_graph=True)
    again = torch.autograd.grad(total, encoder.parameters())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_only_training_on_a_cpu_is_served() -> None:
    assert usable(torch.zeros(1)) and not usable(torch.zeros(1, dtype=torch.float64))
    with torch.no_grad():
        assert not usable(torch.zeros(1))
    with torch.autocast("cpu", torch.float16):
        assert not usable(torch.zeros(1))


@pytest.mark.parametrize("compiler", ["/no/such/compiler", "false"])
def test_without_a_compiler_that_works_there_are_no_kernels(
    compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernels._functions.cache_clear()
    try:
        assert not kernels.available() and not usable(torch.zeros(1))
    finally:
        kernels._functions.cache_clear()


def test_what_is_built_is_kept_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert isinstance(kernels._built(), ctypes.CDLL)
    (path,) = (tmp_path / "seqkit" / "kernels").iterdir()
    build, calls = subprocess.run, []

    def run(words: list[str], **options: object) -> object:
        calls.append(words)
        return build(words, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", run)
    assert kernels._built() and [words[1:] for words in calls] == [["--version"]] and path.exists()
