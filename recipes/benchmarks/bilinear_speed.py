"""Time and working memory of compact bilinear pooling, forward and backward, beside two other things.

    python recipes/benchmarks/bilinear_speed.py [--batch 32] [--cells 196] [--width 2048] [--out_dim 16000]
                                                [--threads N] [--device cpu] [--json]

The first is what public implementations do: each input times a dense sketch matrix at every position, the question
tiled over the positions, transform, product, inverse transform. The second is a floor: the bytes of inputs, output and
their gradients, each read or written once at the rate at which this machine copies. Each method runs once, in a process
of its own, after a small warm-up; on a busy machine only the ratios mean something.

Working memory is the peak of the resident set (on a GPU, of allocated memory) beyond what was there before forward,
less the output and the gradients of the inputs. The dense matrices are there before and not counted against them.

B questions, S cells, W input width, D output width.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqkit.flags import Parser, parse, pick_device, run_cli
from seqkit.nn.bilinear import CompactBilinear, CountSketch

MIB = 2**20


class Sizes(NamedTuple):
    batch: int
    cells: int
    width: int
    out_dim: int
    threads: int
    device: torch.device


class Memory:
    """`peak`: the most bytes held between `with` and its end, beyond those held before."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.peak = device, 0

    def __enter__(self) -> "Memory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.before = torch.cuda.memory_allocated(self.device)
        else:
            import resource  # POSIX alone

            self.before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        return self

    def __exit__(self, *error: object) -> None:
        """The resident set's peak is that of the whole process: what runs here must hold more than all before it."""
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device)
        else:
            import resource

            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.peak = peak - self.before


def make_dense(pool: CompactBilinear) -> Callable[[Tensor, Tensor], Tensor]:
    """The same pooling through dense matrices."""
    matrices = []
    for sketch in pool.sketches:
        assert isinstance(sketch, CountSketch)
        bucket_W, sign_W = sketch.hash_2D
        matrix_WD = torch.zeros(sketch.input_dim, pool.output_dim, device=sign_W.device)
        matrices.append(matrix_WD.scatter_(1, bucket_W[:, None], sign_W[:, None].float()))

    def dense(question_B1W: Tensor, grid_BSW: Tensor) -> Tensor:
        tiled_BSW = question_B1W.expand(-1, grid_BSW.shape[1], -1)
        spectra = [torch.fft.rfft(x @ matrix) for x, matrix in zip((tiled_BSW, grid_BSW), matrices, strict=True)]
        pooled_BSD: Tensor = torch.fft.irfft(spectra[0] * spectra[1], n=pool.output_dim)
        return pooled_BSD

    return dense


def measure(method: str, sizes: Sizes) -> dict[str, float]:
    """One pass of `compact` or `dense`: seconds (of the wall, and of the processor for both) and working bytes."""
    torch.set_num_threads(sizes.threads)
    torch.manual_seed(0)
    pool = CompactBilinear((sizes.width, sizes.width), sizes.out_dim).to(sizes.device)
    run = pool if method == "compact" else make_dense(pool)
    question = torch.randn(sizes.batch, 1, sizes.width, device=sizes.device).requires_grad_()
    grid = torch.randn(sizes.batch, sizes.cells, sizes.width, device=sizes.device).requires_grad_()
    flow = torch.randn(sizes.batch, sizes.cells, sizes.out_dim, device=sizes.device)
    warm = run(question[:1], grid[:1, :2])
    warm.backward(flow[:1, :2])
    torch.testing.assert_close(warm, pool(question[:1], grid[:1, :2]), rtol=1e-3, atol=1e-2)
    question.grad = grid.grad = None
    with Memory(sizes.device) as memory:
        clocks = [now(sizes.device)]
        out = run(question, grid)
        clocks.append(now(sizes.device))
        out.backward(flow)
        clocks.append(now(sizes.device))
    own = out.nbytes + question.nbytes + grid.nbytes
    (start, start_cpu), (middle, _), (end, end_cpu) = clocks
    return {
        "forward_seconds": middle - start,
        "backward_seconds": end - middle,
        "seconds": end - start,
        "cpu_seconds": end_cpu - start_cpu,
        "working_bytes": max(memory.peak - own, 0),
    }


def now(device: torch.device) -> tuple[float, float]:
    """The clocks of the wall and of this process's processors."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter(), time.process_time()


def floor(sizes: Sizes) -> dict[str, float]:
    """The bytes that must move and the seconds that takes; the copy rate is the best of five."""
    torch.set_num_threads(sizes.threads)
    source, target, rate = torch.ones(64 * MIB, device=sizes.device), torch.ones(64 * MIB, device=sizes.device), 0.0
    for _ in range(5):
        began, _ = now(sizes.device)
        target.copy_(source)
        rate = max(rate, 2 * source.nbytes / (now(sizes.device)[0] - began))
    inputs = sizes.batch * (1 + sizes.cells) * sizes.width
    moved = 2 * 4 * (inputs + sizes.batch * sizes.cells * sizes.out_dim)
    return {"bytes": moved, "bytes_a_second": rate, "seconds": moved / rate}


def compare(sizes: Sizes) -> dict[str, object]:
    def apart(task: Callable[..., dict[str, float]], *args: object) -> dict[str, float]:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            return process.submit(task, *args).result()

    ours, least = apart(measure, "compact", sizes), apart(floor, sizes)
    dense = apart(measure, "dense", sizes)
    return {
        "sizes": {**sizes._asdict(), "device": str(sizes.device)},
        "compact": ours,
        "dense": dense,
        "floor": least,
        "times_faster": dense["seconds"] / ours["seconds"],
        "times_less_processor": dense["cpu_seconds"] / max(ours["cpu_seconds"], 1e-9),
        "times_less_memory": dense["working_bytes"] / max(ours["working_bytes"], 1),
        "times_the_floor": ours["seconds"] / least["seconds"],
    }


def main(argv: Sequence[str]) -> None:
    parser = Parser("bilinear_speed", "Compact bilinear pooling beside dense sketch matrices and the bytes that move.")
    parser.add_argument("--batch", type=int, default=32, help="questions (default: 32)")
    parser.add_argument("--cells", type=int, default=196, help="positions a question (default: 196)")
    parser.add_argument("--width", type=int, default=2048, help="numbers of either input (default: 2048)")
    parser.add_argument("--out_dim", type=int, default=16000, help="numbers of the output (default: 16000)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to run (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print one object")
    given = parse(parser, list(argv))
    found = compare(
        Sizes(given.batch, given.cells, given.width, given.out_dim, given.threads, pick_device(given.device))
    )
    print(json.dumps(found) if given.json else report(found))


def report(found: dict[str, Any]) -> str:
    lines = [
        f"{name:8} forward {row['forward_seconds']:.2f} s, backward {row['backward_seconds']:.2f} s, processor "
        f"{row['cpu_seconds']:.2f} s, working memory {row['working_bytes'] / MIB:,.0f} MiB"
        for name, row in ((name, found[name]) for name in ("compact", "dense"))
    ]
    least = found["floor"]
    lines.append(
        f"floor    {least['bytes'] / MIB:,.0f} MiB at {least['bytes_a_second'] / 2**30:.1f} GiB/s, "
        f"{least['seconds']:.2f} s"
    )
    lines.append(
        f"compact is {found['times_faster']:.1f} times faster than dense ({found['times_less_processor']:.1f} "
        f"times by processor time), needs {found['times_less_memory']:.1f} times less working memory, and "
        f"{found['times_the_floor']:.1f} times the floor's time"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_cli(main))
