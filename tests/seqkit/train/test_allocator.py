"""Memory that the C library keeps."""

import platform
import subprocess
import sys

import pytest

from seqkit.train.allocator import keep_memory

FAULTS = """
import resource, torch
from seqkit.train.allocator import keep_memory
{call}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for number in range(40):
    if number == 20:  # imports, and finding a place for the block, are behind
        before = faults()
    torch.ones(1 << 24)
print(faults() - before)
"""


def page_faults(call: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS.format(call=call)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_block_that_is_freed_and_asked_for_again_costs_no_page_faults() -> None:
    assert 2 * page_faults("keep_memory()") < page_faults("")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_memory()
