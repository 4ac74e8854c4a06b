"""Precision `auto` is settled by what the device has instructions for."""

import pytest
import torch

from seqkit.train.precision import best_precision

CPU, ASKED = torch.device("cpu"), ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


@pytest.mark.parametrize(("avx", "amx", "chosen"), [(0, 0, "float32"), (1, 0, "bf16"), (0, 1, "bf16")])
def test_a_cpu_is_asked_for_its_instructions(avx: int, amx: int, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, there in zip(ASKED, (avx, amx), strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda there=there: bool(there), raising=False)
    assert best_precision(CPU) == chosen


def test_a_torch_that_cannot_tell_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ASKED:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert best_precision(CPU) == "float32" == best_precision(torch.device("mps"))


def test_a_gpu_is_asked_without_emulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert best_precision(torch.device("cuda")) == "float32"
