"""Compact bilinear pooling against the explicit outer product; laws of its memory, gradients and checkpoints."""

import copy
import io
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from seqkit.nn import bilinear
from seqkit.nn.bilinear import CompactBilinear, CountSketch, l2_normalize, signed_sqrt

GOLDEN = [[7845, 12139, 10124, 7368, 11263, 2313], [1, 1, 1, -1, -1, 1]]  # seed 1, six inputs to 16000
SHAPES = [  # leading dimensions of two inputs
    ((), ()),
    ((3,), (3,)),
    ((3, 1), (3, 4)),
    ((3, 4), (3, 1)),
    ((4,), (3, 4)),
    ((), (5,)),
    ((1, 1), (2, 3)),
    ((2, 1, 3), (1, 4, 1)),
    ((2, 1, 1), (2, 3, 4)),
    ((3, 1), (1, 4)),
]


def make(widths: Sequence[int], output_dim: int, *, positions: int = 10**6, seed: int = 0) -> CompactBilinear:
    """Pooling that works on `positions` float64 positions at once."""
    each = bilinear._bytes_a_position(widths, output_dim, torch.float64)
    return CompactBilinear(widths, output_dim, seed=seed, ceiling=positions * each)


def draw(leads: Sequence[Sequence[int]], widths: Sequence[int], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(*lead, width, generator=generator, dtype=dtype).requires_grad_()
        for lead, width in zip(leads, widths, strict=True)
    ]


def outer_sketch(pool: CompactBilinear, *xs: Tensor) -> Tensor:
    """Every product of one number of each input, into bucket h1 + h2 + ... mod d with sign s1 s2 ..., one by one."""
    columns: dict[int, Tensor] = {}
    hashes = [sketch.hash_2D.tolist() for sketch in pool.sketches]
    for picked in itertools.product(*(range(x.shape[-1]) for x in xs)):
        bucket = sum(h[0][j] for h, j in zip(hashes, picked, strict=True)) % pool.output_dim
        term = torch.tensor(1.0, dtype=torch.float64)
        for x, h, j in zip(xs, hashes, picked, strict=True):
            term = term * x[..., j] * h[1][j]
        columns[bucket] = columns.get(bucket, 0) + term
    nothing = torch.zeros_like(term)
    return torch.stack([columns.get(bucket, nothing) for bucket in range(pool.output_dim)], -1)


def working_memory(run: Callable[[], object]) -> int:
    """The most bytes that `run` held at once beyond what it began with."""
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        run()
    events = [(e.start_ns(), e.nbytes()) for e in profile.kineto_results.events() if e.name() == "[memory]"]
    return max(itertools.accumulate(size for _, size in sorted(events)))


@pytest.mark.parametrize("output_dim", [1, 2, 7, 16, 45])
@pytest.mark.parametrize("widths", [(5, 3), (1, 4), (2, 3, 4)])
def test_pooling_is_the_sketch_of_the_outer_product(widths: tuple[int, ...], output_dim: int) -> None:
    pool, xs = make(widths, output_dim), draw([(2,)] * len(widths), widths)
    torch.testing.assert_close(pool(*xs), outer_sketch(pool, *xs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("positions", [1, 2, 3, 5, 10**6])
@pytest.mark.parametrize("leads", SHAPES)
def test_blocks_and_broadcasting_change_nothing(leads: Sequence[Sequence[int]], positions: int) -> None:
    pool, xs = make((5, 3), 11, positions=positions), draw(leads, (5, 3))
    got, want = pool(*xs), outer_sketch(pool, *xs)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    flow = torch.randn(want.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for mine, reference in zip(torch.autograd.grad(got, xs, flow), torch.autograd.grad(want, xs, flow), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("positions", [1, 2, 10**6])
def test_gradients_of_first_and_second_order(positions: int) -> None:
    pool, xs = make((3, 2, 2), 5, positions=positions), draw([(2, 1), (2, 3), (3,)], (3, 2, 2))
    assert gradcheck(pool, xs, fast_mode=True) and gradgradcheck(pool, xs, fast_mode=True)


def test_second_derivatives_where_an_input_needs_none() -> None:
    pool, (x, y) = make((3, 2), 5), draw([(2,), (2,)], (3, 2))
    assert gradgradcheck(lambda x: pool(x, y.detach()) ** 2, (x,))


@pytest.mark.parametrize("frozen", [0, 1])
def test_an_input_without_gradient_gets_none_and_changes_no_other(frozen: int) -> None:
    pool, xs = make((5, 3), 11, positions=2), draw([(2, 1), (2, 3)], (5, 3))
    pool(*xs).square().sum().backward()
    loose = [x.detach().requires_grad_(i != frozen) for i, x in enumerate(xs)]
    pool(*loose).square().sum().backward()
    assert loose[frozen].grad is None
    torch.testing.assert_close(loose[1 - frozen].grad, xs[1 - frozen].grad)


@pytest.mark.parametrize("positions", [1, 3, 10**6])
@pytest.mark.parametrize(
    "wanted,rffts,irffts",
    [  # of the batch, of the cells
        ((True, True), (1, 2), (1, 1)),
        ((True, False), (0, 2), (1, 0)),
        ((False, True), (1, 1), (0, 1)),
    ],
)
def test_what_positions_share_is_transformed_once(
    monkeypatch: pytest.MonkeyPatch,
    positions: int,
    wanted: tuple[bool, bool],
    rffts: tuple[int, int],
    irffts: tuple[int, int],
) -> None:
    """And what a gradient does not need is not transformed."""
    batch, cells, done = 4, 6, {"rfft": 0, "irfft": 0}
    for name, original in [(name, getattr(torch.fft, name)) for name in done]:

        def counted(x: Tensor, *, _name: str = name, _original: Callable[..., Tensor] = original, n: int = 0) -> Tensor:
            done[_name] += x.shape[:-1].numel()
            return _original(x, n=n) if n else _original(x)

        monkeypatch.setattr(torch.fft, name, counted)
    xs = [
        x.detach().requires_grad_(want)
        for x, want in zip(draw([(batch, 1), (batch, cells)], (5, 3)), wanted, strict=True)
    ]
    out = make((5, 3), 8, positions=positions)(*xs)
    assert done == {"rfft": batch + batch * cells, "irfft": batch * cells}
    done.update(rfft=0, irfft=0)
    out.sum().backward()
    assert done == {
        name: batch * (shared + own * cells) for name, (shared, own) in (("rfft", rffts), ("irfft", irffts))
    }


@pytest.mark.parametrize("widths,output_dim", [((32, 16), 1001), ((16, 16, 16), 500), ((900, 700), 64)])
@pytest.mark.parametrize("shared", [False, True])
def test_working_memory_stays_below_the_ceiling(widths: tuple[int, ...], output_dim: int, shared: bool) -> None:
    cells, pool = 60, make(widths, output_dim, positions=4)
    for batch in (1, 6):
        leads = [(batch, 1 if shared and i == 0 else cells) for i in range(len(widths))]
        xs = draw(leads, widths, torch.float32)
        results: list[Tensor] = []
        forward = working_memory(lambda xs=xs, results=results: results.append(pool(*xs)))
        flow = torch.ones_like(results[0])
        backward = working_memory(lambda flow=flow, results=results: results[0].backward(flow))
        assert forward - 4 * results[0].numel() <= pool.ceiling
        bound = pool.ceiling * (len(widths) + 4) / (len(widths) + 6)  # the rest is for a GPU's transform
        assert backward - 4 * sum(x.numel() for x in xs) <= bound
        assert backward > pool.ceiling / 4  # a ceiling is there to be used


def test_backward_keeps_the_inputs_alone() -> None:
    pool, xs, kept = make((5, 3), 11), draw([(2, 1), (2, 40)], (5, 3)), []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        pool(*xs)
    assert sorted(kept) == [6, 10, 10, 240]  # two hashes of 2 x 3 and 2 x 5, inputs of 10 and 240 numbers


def test_a_cpu_works_on_what_its_caches_hold() -> None:
    xs = draw([(3000,), (3000,)], (4, 4), torch.float32)
    memory = working_memory(lambda: CompactBilinear((4, 4), 1000, ceiling=2**40)(*xs))
    assert memory - 4 * 3000 * 1000 <= bilinear.CACHED


def test_inner_products_are_unbiased() -> None:
    x, y, u, v = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    pooled = [CompactBilinear((6, 6), 12, seed=seed)(torch.stack([x, u]), torch.stack([y, v])) for seed in range(500)]
    estimates = torch.stack([z.prod(0).sum() for z in pooled])
    assert abs(estimates.mean() - (x @ u) * (y @ v)) < 4 * estimates.std() / 500**0.5


def test_a_sketch_is_a_signed_sum_by_bucket() -> None:
    sketch, (x,) = CountSketch(50, 7, seed=3), draw([(2, 3)], (50,))
    dense = torch.zeros(50, 7, dtype=torch.float64)
    dense[torch.arange(50), sketch.hash_2D[0]] = sketch.hash_2D[1].double()
    torch.testing.assert_close(sketch(x), x @ dense)
    assert set(sketch.hash_2D[1].tolist()) == {-1, 1} and set(sketch.hash_2D[0].tolist()) == set(range(7))
    assert gradcheck(sketch, x, fast_mode=True)


def test_hashes_are_the_seeds_alone_and_the_same_everywhere() -> None:
    before = torch.random.get_rng_state()
    hash_2D = CountSketch(6, 16000, seed=1).hash_2D
    torch.manual_seed(99)
    assert torch.equal(hash_2D, CountSketch(6, 16000, seed=1).hash_2D)
    assert hash_2D.tolist() == GOLDEN
    torch.random.set_rng_state(before)
    CompactBilinear((6, 6), 16)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_two_sketches_are_the_same() -> None:
    pools = [CompactBilinear((40, 40), 1000, seed=seed) for seed in range(3)]
    drawn = {tuple(sketch.hash_2D.flatten().tolist()) for pool in pools for sketch in pool.sketches}
    assert len(drawn) == 6


def test_a_checkpoint_brings_its_hashes(tmp_path: Path) -> None:
    pool, other, xs = make((5, 3), 11), make((5, 3), 11, seed=7), draw([(2,), (2,)], (5, 3))
    assert not torch.equal(pool(*xs), other(*xs))
    torch.save(pool.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(pool(*xs), other(*xs))
    whole = io.BytesIO()
    torch.save(pool, whole)
    whole.seek(0)
    for twin in (copy.deepcopy(pool), torch.load(whole, weights_only=False), pool.double(), pool.half()):
        assert torch.equal(twin(*xs), other(*xs))


@pytest.mark.parametrize("strict", [True, False])
def test_a_checkpoint_of_another_size_is_refused(strict: bool) -> None:
    with pytest.raises(RuntimeError, match="`output_dim` must be the checkpoint's 11, got 16"):
        make((5, 3), 16).load_state_dict(make((5, 3), 11).state_dict(), strict=strict)


def test_a_module_begun_without_storage_is_filled_by_a_checkpoint() -> None:
    pool, xs = make((5, 3), 11), draw([(2,), (2,)], (5, 3))
    with torch.device("meta"):
        empty = make((5, 3), 11, seed=7)
    assert all(buffer.is_meta for buffer in empty.buffers())
    empty.to_empty(device="cpu").load_state_dict(pool.state_dict())
    assert torch.equal(pool(*xs), empty(*xs))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_and_16_bit_inputs_work_in_float32(dtype: torch.dtype) -> None:
    pool, xs = make((50, 30), 40, positions=3), draw([(2, 1), (2, 9)], (50, 30), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(pool(*xs), make((50, 30), 40, positions=3)(*xs))
    low = [x.detach().to(dtype).requires_grad_() for x in xs]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = pool(*low)
        sketch = pool.sketches[0](low[0])
    full = [x.detach().float().requires_grad_() for x in low]
    want = pool(*full)
    assert out.dtype == sketch.dtype == dtype and pool(low[0], xs[1]).dtype == torch.float32
    torch.testing.assert_close(out, want.to(dtype), rtol=0, atol=0)
    torch.testing.assert_close(sketch, pool.sketches[0](full[0]).to(dtype), rtol=0, atol=0)
    out.backward(torch.ones_like(out))
    want.backward(torch.ones_like(want))
    for x, reference in zip(low, full, strict=True):
        assert x.grad.dtype == dtype
        torch.testing.assert_close(x.grad, reference.grad.to(dtype), rtol=0, atol=0)


def test_16_bit_gradients_are_summed_in_float32() -> None:
    """Also where an input comes back after others, so that its sum is interrupted."""
    pool, xs = make((5, 3), 11, positions=1), draw([(4,), (60, 4)], (5, 3), torch.bfloat16)
    full = [x.detach().float().requires_grad_() for x in xs]
    pool(*xs).sum().backward()
    pool(*full).sum().backward()
    assert torch.equal(xs[0].grad, full[0].grad.bfloat16())


def test_a_16_bit_sketch_is_summed_in_float32() -> None:
    sketch, (x,) = CountSketch(500, 4, seed=0), draw([(2,)], (500,), torch.bfloat16)
    assert torch.equal(sketch(x), sketch(x.float()).bfloat16())


def test_the_working_type_is_float64_where_an_input_is() -> None:
    pool, (x, y) = make((5, 3), 11), draw([(2,), (2,)], (5, 3))
    out = pool(x.float(), y)
    torch.testing.assert_close(out, outer_sketch(pool, x.float().double(), y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("leads", [((0, 1), (0, 5)), ((2, 1), (2, 0)), ((0,), (0,))])
def test_no_positions_at_all(leads: Sequence[Sequence[int]]) -> None:
    xs = draw(leads, (5, 3))
    out = make((5, 3), 11)(*xs)
    assert out.shape == (*torch.broadcast_shapes(*leads), 11)
    out.sum().backward()
    assert all(torch.equal(x.grad, torch.zeros_like(x)) for x in xs)


def test_layout_of_the_inputs_does_not_matter() -> None:
    pool, (x, y) = make((5, 3), 11, positions=2), draw([(4, 1), (4, 6)], (5, 3))
    turned = y.detach().permute(2, 0, 1).contiguous().permute(1, 2, 0).requires_grad_()
    tiled = x.detach().expand(4, 6, 5).requires_grad_()
    pool(x, y).sum().backward()  # the gradient of a sum has no storage of its own either
    pool(tiled, turned).sum().backward()
    torch.testing.assert_close(turned.grad, y.grad)
    torch.testing.assert_close(tiled.grad.sum(1, keepdim=True), x.grad)


def test_the_operators_keep_what_torch_asks_of_them() -> None:
    pool, xs = make((5, 3), 11), draw([(2, 1), (2, 4)], (5, 3), torch.float32)
    hashes, checks = [sketch.hash_2D for sketch in pool.sketches], ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.seqkit.compact_bilinear.default, (xs, hashes, 11, 2**20), test_utils=checks)
    grad, wanted = torch.randn(2, 4, 11), [True, False]
    torch.library.opcheck(
        torch.ops.seqkit.compact_bilinear_backward.default, (grad, xs, hashes, wanted, 2**20), test_utils=checks
    )


@pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")  # on Python 3.13.0 alone
def test_compiles_without_a_break() -> None:
    pool, xs = make((5, 3), 11), draw([(2, 1), (2, 4)], (5, 3))
    compiled = torch.compile(lambda x, y: pool(x, y).square(), fullgraph=True, backend="aot_eager")
    grads = [torch.autograd.grad(run(*xs).sum(), xs) for run in (compiled, lambda x, y: pool(x, y).square())]
    for mine, reference in zip(*grads, strict=True):
        torch.testing.assert_close(mine, reference)


@pytest.mark.parametrize(
    "inputs,message",
    [
        (((2, 5), (2, 4)), r"`inputs\[1\]` must be floats of shape \(\.\.\., 3\), got torch.float32 of \(2, 4\)"),
        (((), (2, 3)), r"`inputs\[0\]` must be floats of shape \(\.\.\., 5\), got torch.float32 of \(\)"),
        (((2, 5),), "`inputs` must be 2 tensors, got 1"),
        (((2, 5), (3, 3)), r"`inputs` must have leading dimensions that broadcast, got \(2, 5\), \(3, 3\)"),
    ],
)
def test_wrong_inputs(inputs: Sequence[Sequence[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompactBilinear((5, 3), 11)(*(torch.zeros(shape) for shape in inputs))


def test_wrong_types_and_sizes() -> None:
    with pytest.raises(ValueError, match=r"`x` must be floats of shape \(\.\.\., 5\), got torch.int64 of \(2, 5\)"):
        CountSketch(5, 11, seed=0)(torch.zeros(2, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match="`input_dim` and `output_dim` must be at least 1, got 5 and 0"):
        CountSketch(5, 0, seed=0)
    with pytest.raises(ValueError, match=r"`input_dims` must be two or more widths, got \(5,\)"):
        CompactBilinear((5,), 11)
    least = bilinear._bytes_a_position((5, 3), 11, torch.float64)
    with pytest.raises(ValueError, match=f"`ceiling` must be at least {least} bytes, one position .*, got {least - 1}"):
        CompactBilinear((5, 3), 11, ceiling=least - 1)
    assert "5, 11" in repr(CompactBilinear((5, 3), 11, ceiling=least))


def test_signed_sqrt() -> None:
    x = torch.tensor([4.0, -9.0, 0.25, -1e-30], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(signed_sqrt(x), torch.tensor([2.0, -3.0, 0.5, -1e-15], dtype=torch.float64))
    away = x[:3].detach().requires_grad_()
    assert gradcheck(signed_sqrt, away) and gradgradcheck(signed_sqrt, away)
    assert signed_sqrt(x.bfloat16()).dtype == torch.bfloat16


def test_signed_sqrt_at_zero_has_derivatives_of_zero() -> None:
    x = torch.tensor([0.0, -0.0, 1e-45, 4.0], requires_grad=True)
    (slope,) = torch.autograd.grad(signed_sqrt(x).sum(), x, create_graph=True)
    assert slope.isfinite().all() and slope[:2].tolist() == [0, 0] and slope[3] == 0.25
    (bend,) = torch.autograd.grad(slope.sum(), x)
    assert bend[:2].tolist() == [0, 0]
    assert signed_sqrt(x)[:2].tolist() == [0, 0]


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_l2_normalize(dim: int) -> None:
    (x,) = draw([(3,)], (4,))
    assert gradcheck(lambda x: l2_normalize(x, dim), x)
    torch.testing.assert_close(l2_normalize(x, dim), torch.nn.functional.normalize(x, dim=dim))


def test_l2_normalize_leaves_zeros_with_a_gradient_of_zero() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1e-42, 0.0]], requires_grad=True)
    out = l2_normalize(x)
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all()
    assert out[0].tolist() == [0, 0] and x.grad[0].tolist() == [0, 0]
    torch.testing.assert_close(out[1], torch.tensor([0.6, 0.8]))
    assert l2_normalize(torch.tensor([[1e-42], [2.0]])).tolist() == [[0], [1]]  # a norm whose inverse overflows


def test_l2_normalize_in_half_precision_does_not_overflow() -> None:
    out = l2_normalize(torch.full((1, 16000), 1000.0, dtype=torch.float16))
    assert out.dtype == torch.float16 and out[0, 0] == torch.tensor(16000**-0.5).half()
