"""Compact bilinear pooling: a count sketch of the outer product of two or more vectors, without forming it.

A count sketch adds each component of a vector, with a random sign, to one of d buckets (Charikar et al. 2002). The
sketch of an outer product, with bucket h1 + h2 mod d and sign s1 s2, is the circular convolution of the sketches (Pham
and Pagh 2013), that is, the product of their spectra: Fukui et al. 2016, arXiv:1606.01847, section 3.1, algorithm 1.
The expected inner product of two pooled vectors is the product of the inputs' inner products.

Only the inputs are kept for the backward pass; both passes go through the positions in blocks of bounded memory.

D input width, d output width, F frequencies (d // 2 + 1); "..." are any leading dimensions, one element of them is a
position; a hash (2, D) is buckets over signs. Memory is in bytes.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

Block = tuple[slice, ...]

CACHED = 2**24  # bytes that a CPU thread works on at once, whatever the ceiling: more would not fit its caches


class CountSketch(nn.Module):
    """Count sketch, (..., input_dim) to (..., output_dim): y[bucket[j]] += sign[j] x[j].

    Buckets and signs are drawn on the CPU by a generator of their own, the same ones for a `seed` everywhere. They are
    buffers, and a checkpoint's replace them. 16-bit inputs are summed in float32.
    """

    hash_2D: Tensor

    def __init__(self, input_dim: int, output_dim: int, *, seed: int) -> None:
        super().__init__()
        if min(input_dim, output_dim) < 1:
            raise ValueError(f"`input_dim` and `output_dim` must be at least 1, got {input_dim} and {output_dim}")
        self.input_dim, self.output_dim = input_dim, output_dim
        generator, home = torch.Generator("cpu").manual_seed(seed), torch.get_default_device()
        bucket_D = torch.randint(output_dim, (input_dim,), generator=generator, device="cpu")
        sign_D = torch.randint(2, (input_dim,), generator=generator, device="cpu") * 2 - 1
        self.register_buffer("hash_2D", torch.stack([bucket_D, sign_D]).to(home))
        self.register_buffer("size", torch.tensor(output_dim, device=home))

    def forward(self, x: Tensor) -> Tensor:
        """(..., input_dim) to its sketch (..., output_dim); raises ValueError for another width."""
        _check("x", x, self.input_dim)
        return _sketch(x.to(_working(x.dtype)), self.hash_2D, self.output_dim).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.input_dim}, {self.output_dim}"

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        size = state_dict.get(f"{prefix}size")
        if size is not None and int(size) != self.output_dim:
            rest[-1].append(f"`output_dim` must be the checkpoint's {int(size)}, got {self.output_dim}")
        else:
            super()._load_from_state_dict(state_dict, prefix, *rest)


class CompactBilinear(nn.Module):
    """Compact bilinear pooling of two or more inputs (..., D_i) to (..., output_dim); `input_dims` are the D_i.

    Leading dimensions broadcast. A question (B, 1, Q) beside a grid (B, S, D) is sketched and transformed once, not S
    times, its gradient too: do not expand it. Works in float32 (float64 where an input is), also under autocast; the
    result has the inputs' promoted type. Any `output_dim` works, but one with large prime factors is slow. Memory
    beyond inputs, output and their gradients stays below `ceiling` bytes, however many positions there are (but for
    float32 gradients of 16-bit inputs that broadcast). Derivatives of every order exist.
    """

    def __init__(
        self, input_dims: Sequence[int], output_dim: int = 16000, *, seed: int = 0, ceiling: int = 2**28
    ) -> None:
        super().__init__()
        if len(input_dims) < 2:
            raise ValueError(f"`input_dims` must be two or more widths, got {tuple(input_dims)}")
        least = _bytes_a_position(input_dims, output_dim, torch.float64)
        if ceiling < least:
            raise ValueError(f"`ceiling` must be at least {least} bytes, one position of these widths, got {ceiling}")
        self.input_dims, self.output_dim, self.ceiling = tuple(input_dims), output_dim, ceiling
        self.sketches = nn.ModuleList(  # no two seeds have a sketch in common
            CountSketch(width, output_dim, seed=len(input_dims) * seed + i) for i, width in enumerate(input_dims)
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        """Tensors (..., D1), (..., D2), … whose leading dimensions broadcast, to (..., output_dim).

        Raises ValueError for another number of inputs, other widths, and leading dimensions that do not broadcast.
        """
        if len(inputs) != len(self.input_dims):
            raise ValueError(f"`inputs` must be {len(self.input_dims)} tensors, got {len(inputs)}")
        for i, (x, width) in enumerate(zip(inputs, self.input_dims, strict=True)):
            _check(f"inputs[{i}]", x, width)
        _leading(inputs)
        pooled: Tensor = _pool(list(inputs), [s.hash_2D for s in self.sketches], self.output_dim, self.ceiling)
        return pooled


def signed_sqrt(x: Tensor) -> Tensor:
    """Signed square root, sign(x) sqrt(|x|). The derivative at 0, which is infinite, is taken as 0."""
    return _SignedSqrt.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class _SignedSqrt(torch.autograd.Function):
    """sign(x) sqrt(|x|) that keeps its result for the backward pass and not its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """x of any shape to the same shape."""
        root: Tensor = x.abs().sqrt_().copysign_(x)
        ctx.save_for_backward(root)  # and not x, which can be freed
        return root

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        root: Tensor = ctx.saved_tensors[0]
        return grads[0] / (2 * root.abs().masked_fill(root == 0, math.inf))


def l2_normalize(x: Tensor, dim: int = -1) -> Tensor:
    """L2 normalization along `dim`; where the norm is 0, zeros and a gradient of 0."""
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True, dtype=_working(x.dtype))
    real = norm >= torch.finfo(norm.dtype).tiny  # the inverse of a smaller one may overflow
    return (x * (real / norm.where(real, 1.0))).to(x.dtype)  # type: ignore[no-any-return]


def _like_pooled(xs: list[Tensor], hashes: list[Tensor], output_dim: int, ceiling: int) -> Tensor:
    return xs[0].new_empty(*_leading(xs), output_dim, dtype=reduce(torch.promote_types, [x.dtype for x in xs]))


@torch.library.custom_op("seqkit::compact_bilinear", mutates_args=())
def _pool(xs: list[Tensor], hashes: list[Tensor], output_dim: int, ceiling: int) -> Tensor:
    """Forward. An operator, not a Function, is one opaque node to torch.compile and to export."""
    out = _like_pooled(xs, hashes, output_dim, ceiling)
    for block, _, spectra, _ in _walk(xs, hashes, out, ceiling, [True] * len(xs)):
        out[block] = torch.fft.irfft(reduce(torch.mul, spectra), n=output_dim)
    return out


@torch.library.custom_op("seqkit::compact_bilinear_backward", mutates_args=())
def _pullback(grad: Tensor, xs: list[Tensor], hashes: list[Tensor], wanted: list[bool], ceiling: int) -> list[Tensor]:
    """The gradients of the inputs `wanted`, and an empty tensor for each other one."""
    n, dtype, flows = grad.shape[-1], _working(grad.dtype), dict[int, Tensor]()
    grads = [
        torch.zeros_like(x, dtype=x.dtype if x.shape[:-1] == grad.shape[:-1] else dtype) if want else x.new_empty(0)
        for x, want in zip(xs, wanted, strict=True)
    ]
    needed = [any(wanted[:i] + wanted[i + 1 :]) for i in range(len(xs))]
    for block, parts, spectra, last in _walk(xs, hashes, grad, ceiling, needed):
        grad_F = torch.fft.rfft(grad[block].to(dtype)).conj_physical_()
        for i in (i for i, want in enumerate(wanted) if want):
            here, others = grads[i][parts[i]], spectra[:i] + spectra[i + 1 :]
            flow_F = reduce(torch.mul, others, grad_F).sum_to_size(*here.shape[:-1], grad_F.shape[-1])
            flow_F = flows[i] = flows[i].add_(flow_F) if i in flows else flow_F
            if last[i]:  # the inverse transform of a conjugate is the same numbers in reverse order
                reverse_D = (n - hashes[i][0]) % n
                here += torch.fft.irfft(flows.pop(i), n=n).index_select(-1, reverse_D).mul_(hashes[i][1])
        del grad_F, flow_F, others  # before the next block is begun
    return [g.to(x.dtype) for g, x in zip(grads, xs, strict=True)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *grad, xs, hashes, ctx.setting, ctx.ceiling = inputs
    ctx.save_for_backward(*grad, *xs, *hashes)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    n, wanted = len(ctx.saved_tensors) // 2, list(ctx.needs_input_grad[0])
    grads = _pullback(grad, list(ctx.saved_tensors[:n]), list(ctx.saved_tensors[n:]), wanted, ctx.ceiling)
    return [g if want else None for g, want in zip(grads, wanted, strict=True)], [None] * n, None, None


def _differentiate_twice(ctx: Any, flows: list[Tensor | None]) -> tuple[Any, ...]:
    """Gradients are linear in `grad` and in each other input, so theirs are the same two operators once more, with
    the direction `flows[i]` in the place of input i.
    """
    n, (grad, *rest) = len(flows), ctx.saved_tensors
    grads = [torch.zeros_like(x) for x in (grad, *rest[:n])]
    for i in (i for i, flow in enumerate(flows) if flow is not None and ctx.setting[i]):
        turned, others = [*rest[:i], flows[i], *rest[i + 1 : n]], [j != i for j in range(n)]
        found = [
            _pool(turned, rest[n:], grad.shape[-1], ctx.ceiling),
            *_pullback(grad, turned, rest[n:], others, ctx.ceiling),
        ]
        grads = [old + new if new.shape == old.shape else old for old, new in zip(grads, found, strict=True)]
    return grads[0], grads[1:], [None] * n, None, None


_pool.register_fake(_like_pooled)
_pool.register_autograd(_differentiate, setup_context=_save)
_pullback.register_autograd(_differentiate_twice, setup_context=_save)
_pullback.register_fake(
    lambda grad, xs, hashes, wanted, ceiling: [
        torch.empty_like(x) if want else x.new_empty(0) for x, want in zip(xs, wanted, strict=True)
    ]
)


def _walk(
    xs: list[Tensor], hashes: list[Tensor], whole: Tensor, ceiling: int, needed: list[bool]
) -> Iterator[tuple[Block, list[Block], list[Tensor], list[bool]]]:
    """Blocks of positions of `whole` (..., d); of every input its part, its spectrum if `needed`, and whether the next
    block needs another part. Neighboring blocks that share a part share its spectrum, made once.
    """
    budget = min(ceiling, CACHED * torch.get_num_threads()) if whole.device.type == "cpu" else ceiling
    each = _bytes_a_position([x.shape[-1] for x in xs], whole.shape[-1], dtype := _working(whole.dtype))
    spectra, stale = [whole] * len(xs), [True] * len(xs)
    blocks = list(_blocks(whole.shape[:-1], max(1, budget // each)))
    for block, following in itertools.pairwise([*blocks, ()]):
        parts = [_part(x, block) for x in xs]
        for i in (i for i in range(len(xs)) if needed[i] and stale[i]):
            spectra[i] = torch.fft.rfft(_sketch(xs[i][parts[i]].to(dtype), hashes[i], whole.shape[-1]))
        stale = [not following or _part(x, following) != part for x, part in zip(xs, parts, strict=True)]
        yield block, parts, spectra, stale


def _blocks(lead: Sequence[int], limit: int) -> Iterator[Block]:
    """Blocks of at most `limit` positions that cover the dimensions `lead` in order, the last dimensions whole."""
    if 0 in lead:
        return
    lead = (1, *lead)
    axis, inner = len(lead) - 1, 1
    while axis and inner * lead[axis] <= limit:
        axis, inner = axis - 1, inner * lead[axis]
    step = math.ceil(lead[axis] / math.ceil(lead[axis] * inner / limit))  # equal pieces, no small last one
    for outer in itertools.product(*map(range, lead[:axis])):
        for start in range(0, lead[axis], step):
            own = slice(start, start + step)
            yield (*(slice(i, i + 1) for i in outer), own, *(slice(0, size) for size in lead[axis + 1 :]))[1:]


def _part(x: Tensor, block: Block) -> Block:
    """Where of `x` the block lies: a dimension that broadcasts stays whole."""
    own = block[len(block) + 1 - x.dim() :]
    return tuple(cut if size > 1 else slice(0, 1) for cut, size in zip(own, x.shape[:-1], strict=True))


def _sketch(x: Tensor, hash_2D: Tensor, output_dim: int) -> Tensor:
    empty = x.new_zeros(*x.shape[:-1], output_dim)
    return empty.scatter_add_(-1, hash_2D[0].expand_as(x), x * hash_2D[1].to(x.dtype))


def _leading(xs: Sequence[Tensor]) -> torch.Size:
    try:
        return torch.broadcast_shapes(*(x.shape[:-1] for x in xs))  # type: ignore[no-any-return, no-untyped-call]
    except RuntimeError:
        shapes = ", ".join(str(tuple(x.shape)) for x in xs)
        raise ValueError(f"`inputs` must have leading dimensions that broadcast, got {shapes}") from None


def _bytes_a_position(widths: Sequence[int], output_dim: int, dtype: torch.dtype) -> int:
    """The most that backward holds: all spectra, four more of their size, two more in a GPU's transform, and rows."""
    return dtype.itemsize * ((len(widths) + 6) * (output_dim + 2) + 3 * sum(widths))


def _working(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _check(name: str, x: Tensor, width: int) -> None:
    if not x.dim() or x.shape[-1] != width or not x.is_floating_point():
        raise ValueError(f"`{name}` must be floats of shape (..., {width}), got {x.dtype} of {tuple(x.shape)}")
