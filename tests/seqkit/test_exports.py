"""What `seqkit.nn` and `seqkit.decode` export, and that both need torch and numpy only."""

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import torch

import seqkit.decode
import seqkit.nn

ROOT = Path(__file__).parents[2]
PACKAGES = (seqkit.nn, seqkit.decode)
OTHERS = ("test_backbones.py", "test_imagenet.py")  # torchvision, efficientnet_lite_pytorch, safetensors
TORCH_ONLY = sorted(
    str(path.relative_to(ROOT))
    for folder in ("nn", "decode")
    for path in (ROOT / "tests/seqkit" / folder).glob("test_*.py")
    if path.name not in OTHERS
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_export_exists_and_none_shadows_a_submodule(package: ModuleType) -> None:
    submodules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not submodules & set(package.__all__)
    for name in submodules:
        assert getattr(package, name) is importlib.import_module(f"{package.__name__}.{name}")
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert package.__all__ == sorted(package.__all__)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_class_and_every_forward_has_its_docstring(package: ModuleType) -> None:
    for submodule in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{submodule.name}")
        for name, value in vars(module).items():
            if isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_"):
                assert value.__doc__, f"{module.__name__}.{name}"
                if issubclass(value, torch.nn.Module) and "forward" in vars(value):
                    assert value.forward.__doc__, f"{module.__name__}.{name}.forward"


@pytest.mark.parametrize(
    ("kind", "mapping"),
    [
        (seqkit.nn.AttentionKind, seqkit.nn.ATTENTIONS),
        (seqkit.nn.CellKind, seqkit.nn.CELLS),
        (seqkit.nn.FusionKind, seqkit.nn.FUSIONS),
        (seqkit.nn.Initializer, seqkit.nn.INITIALIZERS),
    ],
)
def test_every_kind_has_its_entry(kind: Any, mapping: dict[str, Any]) -> None:
    assert get_args(kind) == tuple(mapping)


def run(*more: str) -> subprocess.CompletedProcess[str]:
    """pytest over the tests of both packages, with every package hidden but torch and numpy."""
    words = ["-q", "-p", "tests.seqkit.only_torch", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, *more, *TORCH_ONLY],
        cwd=ROOT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )


def test_what_is_hidden_cannot_be_imported() -> None:
    program = "import tests.seqkit.only_torch, torch, numpy, torchvision"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert "No module named 'torchvision'" in result.stderr


def test_with_torch_and_numpy_alone_the_tests_can_be_imported() -> None:
    result = run("--collect-only")
    assert result.returncode == 0 and "test_decoder.py" in result.stdout, result.stdout


@pytest.mark.slow
def test_with_torch_and_numpy_alone_the_tests_pass() -> None:
    result = run()
    assert result.returncode == 0 and " passed" in result.stdout, result.stdout
