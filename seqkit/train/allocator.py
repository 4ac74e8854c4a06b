"""How the C library keeps memory while a model runs on a CPU.

A training step frees and asks again for the same large blocks. By default glibc hands each of them back to the kernel,
which clears the pages anew; kept instead, a step of the translation recipe takes about a tenth less time. All threads
share one heap. The price is that the process never grows smaller than it once was.
"""

import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX, ARENA_MAX = -1, -2, -4, -8  # the parameters' numbers in malloc.h


def keep_memory() -> bool:
    """Let glibc keep what is freed, in this process and for good; False, and nothing done, under another C library."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26, MMAP_MAX: 0, ARENA_MAX: 1}
    return all([mallopt(name, value) for name, value in settings.items()])
