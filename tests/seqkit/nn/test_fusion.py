"""Fusions: the laws that all share, and each one's equation written out."""

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from seqkit.nn.bilinear import CompactBilinear, l2_normalize, signed_sqrt
from seqkit.nn.fusion import (
    MFB,
    MLB,
    MUTAN,
    BilinearFusion,
    CompactBilinearFusion,
    ConcatFusion,
    FusionKind,
    ProductFusion,
    SumFusion,
    make_fusion,
)

D1, D2 = 6, 5
ROWS = {  # every row by name: kind, width, layers
    "sum": ("sum", 12, 0),
    "sum+fc": ("sum", 12, 1),
    "sum+fc+fc": ("sum", 12, 2),
    "product": ("product", 12, 0),
    "product+fc+fc": ("product", 12, 2),
    "concat": ("concat", D1 + D2, 0),
    "concat+fc": ("concat", 12, 1),
    "concat+fc+fc": ("concat", 12, 2),
    "bilinear": ("bilinear", 12, 0),
    "compact": ("compact", 12, 0),
    "mlb": ("mlb", 12, 0),
    "mutan": ("mutan", 12, 0),
    "mfb": ("mfb", 12, 0),
}
every_row = pytest.mark.parametrize("row", ROWS)


def make(row: str, *, dropout: float = 0.0, seed: int = 0) -> nn.Module:
    torch.manual_seed(0)
    kind, dim, layers = ROWS[row]
    return make_fusion(kind, D1, D2, dim, layers=layers, dropout=dropout, seed=seed).double()


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def test_every_kind_has_its_row() -> None:
    assert {kind for kind, _, _ in ROWS.values()} == set(get_args(FusionKind))


@every_row
def test_width_is_what_it_says_and_what_was_asked(row: str) -> None:
    fusion = make(row)
    assert fusion.dim == ROWS[row][1]
    assert fusion(draw(D1), draw(D2)).shape == (fusion.dim,)
    assert fusion(draw(3, 4, D1), draw(3, 4, D2)).shape == (3, 4, fusion.dim)
    assert fusion(draw(0, 4, D1), draw(0, 1, D2)).shape == (0, 4, fusion.dim)


@every_row
@pytest.mark.parametrize("turned", [False, True])
def test_broadcasting_is_expanding(row: str, turned: bool) -> None:
    """Results and every gradient."""
    fusion, leads = make(row), [(3, 4), (3, 1)]
    first, second = (
        draw(*lead, width).requires_grad_()
        for lead, width in zip(leads[::-1] if turned else leads, (D1, D2), strict=True)
    )
    wanted = (first, second, *fusion.parameters())
    small = fusion(first, second)
    big = fusion(first.expand(3, 4, D1), second.expand(3, 4, D2))
    torch.testing.assert_close(small, big)
    flow = draw(*small.shape)
    for mine, reference in zip(
        torch.autograd.grad(small, wanted, flow), torch.autograd.grad(big, wanted, flow), strict=True
    ):
        torch.testing.assert_close(mine, reference)


@every_row
def test_a_shared_question_is_mapped_once(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, linear = [], nn.functional.linear

    def counted(x: Tensor, *args: Tensor) -> Tensor:
        if x.shape[-1] == D2:
            rows.append(x.shape[:-1].numel())
        return linear(x, *args)

    monkeypatch.setattr(nn.functional, "linear", counted)
    make(row)(draw(3, 4, D1), draw(3, 1, D2))
    assert rows == [] or rows == [3]


@every_row
def test_positions_do_not_see_each_other(row: str) -> None:
    fusion, first, second = make(row), draw(3, D1), draw(3, D2)
    together = fusion(first, second)
    alone = torch.stack([fusion(one, other) for one, other in zip(first, second, strict=True)])
    torch.testing.assert_close(together, alone)


@every_row
def test_dropout_is_for_training_alone(row: str) -> None:
    fusion, first, second = make(row, dropout=0.5), draw(50, D1), draw(50, D2)
    torch.testing.assert_close(fusion.eval()(first, second), make(row)(first, second))
    dropped, kept = fusion.train()(first, second) == 0, fusion.eval()(first, second) == 0
    if row != "mfb" and ROWS[row][2] < 2:  # these have dropout before their last sum too
        assert 0.4 < dropped[~kept].double().mean() < 0.6
    assert not torch.equal(fusion.train()(first, second), fusion(first, second))


@every_row
@pytest.mark.parametrize("place,width", [("first", D1), ("second", D2)])
def test_wrong_widths_raise(row: str, place: str, width: int) -> None:
    inputs = {"first": draw(2, D1), "second": draw(2, D2)} | {place: draw(2, 1)}
    with pytest.raises((ValueError, RuntimeError), match="must be|shapes cannot be multiplied"):
        make(row)(**inputs)


@pytest.mark.parametrize("fusion", [SumFusion(4, 4, 4), ProductFusion(4, 4, 4), ConcatFusion(4, 4, 8)])
def test_a_width_that_would_broadcast_is_refused(fusion: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"`second` must be \(\.\.\., 4\), got \(2, 1\)"):
        fusion(torch.zeros(2, 4), torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"`first` must be \(\.\.\., 4\), got \(2, 1\)"):
        fusion(torch.zeros(2, 1), torch.zeros(2, 4))


def test_plain_rows_have_no_parameters() -> None:
    x, y = draw(3, 4), draw(3, 4) + 1
    for fusion, want in (
        (SumFusion(4, 4, 4), x + y),
        (ProductFusion(4, 4, 4), x * y),
        (ConcatFusion(4, 4, 8), torch.cat([x, y], -1)),
    ):
        assert not list(fusion.parameters())
        assert torch.equal(fusion(x, y), want)


def test_sum_and_product_of_mapped_inputs() -> None:
    x, y = draw(3, D1), draw(3, D2)
    for row, meet in (("sum", torch.add), ("product", torch.mul)):
        fusion = make(row)
        torch.testing.assert_close(fusion(x, y), meet(fusion.first(x), fusion.second(y)))


@pytest.mark.parametrize(
    "kind,meet", [("sum", torch.add), ("product", torch.mul), ("concat", lambda x, y: torch.cat([x, y], -1))]
)
def test_layers_are_linear_and_relu(kind: FusionKind, meet: object) -> None:
    """Inputs of one width meet as they are; every layer is `dim` wide, and rectified."""
    torch.manual_seed(0)
    fusion, x, y = make_fusion(kind, 4, 4, 7, layers=3).double(), draw(5, 4), draw(5, 4) + 1
    weights, fused = dict(fusion.named_parameters()), meet(x, y)
    matrices = [p for p in weights.values() if p.dim() == 2]
    biases = [p for p in weights.values() if p.dim() == 1]
    assert [tuple(w.shape) for w in matrices] == [(7, 8 if kind == "concat" else 4), (7, 7), (7, 7)]
    for matrix, bias in zip(matrices, biases, strict=True):
        fused = torch.relu(fused @ matrix.T + bias)
    torch.testing.assert_close(fusion(x, y), fused)


@pytest.mark.parametrize("kind", ["sum", "product", "concat"])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_every_layer_has_its_dropout(kind: FusionKind, layers: int) -> None:
    parts = list(make_fusion(kind, 4, 4, 4 if kind != "concat" else 8, layers=layers, dropout=0.3).layers)
    assert [part.p for part in parts if isinstance(part, nn.Dropout)] == [0.3] * max(layers, 1)
    assert sum(isinstance(part, nn.ReLU) for part in parts) == layers


def unit_root(x: Tensor) -> Tensor:
    return l2_normalize(signed_sqrt(x))


def test_full_bilinear_is_the_outer_product_of_the_maps() -> None:
    fusion, x, y = BilinearFusion(D1, D2, first_map=3, second_map=4).double(), draw(2, D1), draw(2, D2)
    one, other = fusion.first(x), fusion.second(y)
    outer = torch.stack([one[:, i] * other[:, j] for i in range(3) for j in range(4)], -1)
    assert fusion.dim == 12
    torch.testing.assert_close(fusion(x, y), unit_root(outer))


def test_bilinear_by_default_is_the_papers() -> None:
    assert BilinearFusion(D1, D2).dim == 16384
    for dim, maps in ((16384, (128, 128)), (16000, (125, 128)), (8, (2, 4))):
        fusion = make_fusion("bilinear", D1, D2, dim)
        assert (fusion.first.out_features, fusion.second.out_features) == maps


def test_compact_is_compact_bilinear_pooling() -> None:
    x, y = draw(2, D1), draw(2, D2)
    for seed in (0, 3):
        pool = CompactBilinear((D1, D2), 12, seed=seed)
        torch.testing.assert_close(make("compact", seed=seed)(x, y), unit_root(pool(x, y)))
    assert CompactBilinearFusion(D1, D2).dim == 16000


def test_mlb_is_the_product_of_tanhs() -> None:
    fusion, x, y = MLB(D1, D2, 7).double(), draw(2, D1), draw(2, D2)
    torch.testing.assert_close(fusion(x, y), fusion.first(x).tanh() * fusion.second(y).tanh())


def test_mutan_is_a_sum_over_the_rank() -> None:
    fusion, x, y = MUTAN(D1, D2, 7, map_dim=4, rank=3).double(), draw(2, D1), draw(2, D2)
    (u, _, m), (v, _, n) = fusion.first, fusion.second
    q, w = u(x).tanh(), v(y).tanh()
    slices = zip(m.weight.split(7), n.weight.split(7), strict=True)
    assert m.bias is None and n.bias is None and m.weight.shape == (21, 4)
    torch.testing.assert_close(fusion(x, y), sum((q @ M.T) * (w @ N.T) for M, N in slices))


def test_mfb_sums_neighbors_of_the_product() -> None:
    fusion, x, y = MFB(D1, D2, 7, rank=3).double(), draw(2, D1), draw(2, D2)
    product = fusion.first(x) * fusion.second(y)
    pooled = torch.stack([product[:, 3 * i : 3 * i + 3].sum(-1) for i in range(7)], -1)
    torch.testing.assert_close(fusion(x, y), unit_root(pooled))


def test_mfb_drops_before_it_sums() -> None:
    """Without that a number would be dropped whole; so 2 ** -rank of them are."""
    torch.manual_seed(0)
    fusion = MFB(D1, D2, 40, rank=2, dropout=0.5)
    dropped = fusion(torch.randn(100, D1), torch.randn(100, D2)) == 0
    assert 0.2 < dropped.double().mean() < 0.3


@pytest.mark.parametrize(
    "args,message",
    [
        (
            ("outer", 4, 4, 4),
            "`kind` must be one of sum, product, concat, bilinear, compact, mlb, mutan, mfb, got 'outer'",
        ),
        (("concat", 4, 5, 12), r"`dim` must be 4 \+ 5 = 9 for a concatenation without layers, got 12"),
        (("bilinear", 4, 4, 16001), "`dim` must be a product of two factors within a ratio of 2, .*, got 16001"),
    ],
)
def test_what_cannot_be_made(args: tuple[str, int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_fusion(*args)


def test_layers_belong_to_three_kinds() -> None:
    with pytest.raises(ValueError, match="`layers` must be 0 for compact, got 2"):
        make_fusion("compact", 4, 4, 16, layers=2)
