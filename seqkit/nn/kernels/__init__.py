"""Kernels for a CPU: an LSTM's and additive attention's steps, cross entropy, dropout; built from `steps.cpp`.

Where there is no compiler, or SEQKIT_KERNELS=0 is set, `available` is false, and the plain modules do the work. What is
built is kept below $XDG_CACHE_HOME or ~/.cache, by the source, the compiler and the processor.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SOURCE = Path(__file__).parent / "steps.cpp"
# the links are made without -ffast-math and -fopenmp: the first would change how the whole process rounds, the second
# would bring a second pool of threads beside that of torch, which already has the names
COMPILE = ("-std=c++17", "-O3", "-march=native", "-ffast-math", "-fno-finite-math-only", "-fopenmp", "-fPIC", "-c")
TYPES = (torch.float32, torch.bfloat16)
ARGUMENTS = {  # i: int, l: int64, f: float, p: pointer
    "lstm_forward": "iippppl" + "pppl" + "p",
    "lstm_backward": "iipppp" + "pl" + "pppp",
    "attention_forward": "iiiii" + "pppp" + "pl" + "pp" + "l" + "p",
    "attention_backward": "iiiipppp" + "pl" + "p" + "pl" + "p" + "pl" + "pppp",
    "cross_entropy": "iippfpp",
    "dropout": "liifpp",
}
C_TYPES: dict[str, Any] = {"i": ctypes.c_int, "l": ctypes.c_int64, "f": ctypes.c_float, "p": ctypes.c_void_p}

Function = Callable[..., None]


def available() -> bool:
    """Whether the kernels can be used: a compiler was there, and nobody has switched them off."""
    return os.environ.get("SEQKIT_KERNELS") != "0" and _functions() is not None


def usable(x: Tensor) -> bool:
    """Whether the kernels serve the training of `x`: on a CPU, in float32 or bfloat16, with kernels at hand."""
    return torch.is_grad_enabled() and product_dtype(x) in TYPES and _fits(x)


def usable_in_search(x: Tensor) -> bool:
    """The same without gradients, and without autocast."""
    return not torch.is_grad_enabled() and product_dtype(x) == x.dtype and _fits(x)


def _fits(x: Tensor) -> bool:
    fits = x.device.type == "cpu" and x.dtype in TYPES
    return fits and not torch.compiler.is_compiling() and available()


def call(name: str, dtype: torch.dtype, *arguments: Tensor | float | None) -> None:
    """Run kernel `name` for products of `dtype`; a tensor is passed as the address of its first element."""
    functions = _functions()
    assert functions is not None
    functions[name, dtype](*(a.data_ptr() if isinstance(a, Tensor) else a for a in arguments))


@functools.cache
def _functions() -> dict[tuple[str, torch.dtype], Function] | None:
    library = _built()
    if library is None:
        return None
    found: dict[tuple[str, torch.dtype], Function] = {}
    for name, kinds in ARGUMENTS.items():
        table = (ctypes.c_void_p * len(TYPES)).in_dll(library, f"{name}_of")
        made = ctypes.CFUNCTYPE(None, *(C_TYPES[kind] for kind in kinds))
        found |= {(name, dtype): made(address) for dtype, address in zip(TYPES, table, strict=True)}
    return found


def _built() -> ctypes.CDLL | None:
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        return None
    try:
        version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
        facts = [SOURCE.read_bytes(), version, _processor().encode(), " ".join(COMPILE).encode()]
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqkit" / "kernels"
        path = folder / f"steps-{hashlib.sha256(b'/'.join(facts)).hexdigest()[:16]}.so"
        if not path.exists():
            _build(compiler, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError):  # no such option, a full disk, a library that does not load
        return None


def _build(compiler: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        middle, library = Path(folder) / "steps.o", Path(folder) / "steps.so"
        for words in ([*COMPILE, str(SOURCE), "-o", str(middle)], ["-shared", str(middle), "-o", str(library)]):
            subprocess.run([compiler, *words], capture_output=True, check=True)
        library.replace(path)


def _processor() -> str:
    """What -march=native may depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def product_dtype(x: Tensor) -> torch.dtype:
    """The type of matrix products of `x` here: that of autocast where it is on."""
    device: Any = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
