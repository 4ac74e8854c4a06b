"""Laws of the whole project: what may import what, and how little an import costs."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
PACKAGES = ("seqkit", "recipes", "data_prep")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
HEAVY = (
    "cv2",
    "av",
    "torchaudio",
    "torchvision",
    "matplotlib",
    "sacrebleu",
    "jiwer",
    "sentencepiece",
    "tensorboard",
    "tqdm",
    "safetensors",
    "jsonargparse",
    "yaml",
    "soundfile",
    "onnx",
    "gradio",
    "PIL",
)
FLOORS = {  # every part of the library with the parts it may stand on
    "seqkit": (),
    "seqkit.errors": (),
    "seqkit.data": ("seqkit.errors",),
    "seqkit.nn": ("seqkit.errors",),
    "seqkit.decode": ("seqkit.errors", "seqkit.nn.memory"),
    "seqkit.score": ("seqkit", "seqkit.errors", "seqkit.data", "seqkit.decode"),
    "seqkit.train": ("seqkit", "seqkit.errors", "seqkit.data", "seqkit.nn", "seqkit.decode", "seqkit.score"),
    "seqkit.draw": ("seqkit.errors",),
    "seqkit.draw_time": ("seqkit.draw",),
    "seqkit.config": ("seqkit.errors",),
    "seqkit.flags": ("seqkit", "seqkit.errors", "seqkit.config"),
    "seqkit.compare": ("seqkit.errors", "seqkit.config", "seqkit.flags", "seqkit.data", "seqkit.score"),
    "seqkit.cli": ("seqkit",),
    "data_prep": ("seqkit",),
    "recipes": ("seqkit", "data_prep"),
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports from the project, inside functions too; `from a import b` as both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: imports must be absolute"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else str(node.module) for name in inner]
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def floor(name: str) -> str:
    return max((part for part in FLOORS if within(name, part)), key=len)


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def allowed(name: str, imported: str) -> bool:
    """Its own floor, and what that may stand on; `seqkit` alone is the version to the library, all of it above."""
    mine = floor(name)
    above = mine in ("seqkit.cli", "data_prep", "recipes")
    stands_on = (part for part in FLOORS[mine] if part != "seqkit" or above or imported == part)
    return within(imported, mine) and mine != "seqkit" or any(within(imported, part) for part in stands_on)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_imports_upward(path: Path) -> None:
    assert [name for name in imports(path) if not allowed(name_of(path), name)] == []


def test_the_law_of_floors_forbids_what_it_should() -> None:
    forbidden = [
        ("seqkit.nn.decoder", "seqkit.data.vocab"),
        ("seqkit.nn.decoder", "seqkit.decode.search"),
        ("seqkit.decode.search", "seqkit.nn.decoder"),
        ("seqkit.data.batch", "seqkit.train.loop"),
        ("seqkit.train.loop", "seqkit.cli"),
        ("seqkit.errors", "seqkit.data"),
        ("data_prep.wmt", "recipes.x"),
        ("seqkit.data.text", "seqkit"),
        ("seqkit", "seqkit.errors"),
        ("seqkit.cli", "recipes.translation"),
    ]
    assert not any(allowed(name, imported) for name, imported in forbidden)
    assert allowed("seqkit.decode.search", "seqkit.nn.memory") and allowed("recipes.x", "data_prep.synthetic")


@pytest.mark.parametrize("package", ["nn", "decode", "train"])
def test_importing_the_core_loads_torch_and_numpy_only(package: str) -> None:
    modules = [name_of(path) for path in sorted((ROOT / "seqkit" / package).glob("*.py"))]
    program = (
        "import sys, torch, numpy; before = set(sys.modules); "
        f"import {', '.join(modules)}; print(*set(sys.modules) - before)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {name.split(".")[0] for name in result.stdout.split()} & set(HEAVY) == set()


def test_only_draw_imports_matplotlib() -> None:
    users = [
        path
        for path in MODULES
        if "import matplotlib" in (text := path.read_text(encoding="utf-8")) or "from matplotlib" in text
    ]
    assert [name_of(path) for path in users] in ([], ["seqkit.draw", "seqkit.draw_time"])


def test_what_is_imported_at_the_top_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    imported = {"PyYAML": "yaml", "Pillow": "PIL", "opencv-python": "cv2"}

    def names_in(requirements: list[str]) -> set[str]:
        names = [text.split(">")[0].split("[")[0] for text in requirements]
        return {imported.get(name, name.replace("-", "_")) for name in names}

    known = names_in(project["dependencies"])
    optional = set[str]().union(*map(names_in, project["optional-dependencies"].values()))
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - set(PACKAGES):
                assert name in known | (optional if node not in tree.body else set()), f"{path} imports {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem != "__init__"], ids=name_of)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= (350 if path.parent.name == "recipes" else 250)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"`{node.name}` must be at most 50 lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not tree.body


README = (ROOT / "README.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [block for name, block in blocks if name == language]


def test_the_code_in_the_readme_runs() -> None:
    torch.manual_seed(0)
    for code in fenced("python"):
        exec(compile(code, "README.md", "exec"), {})


def test_the_tree_in_the_readme_names_every_module_and_no_other() -> None:
    tree = next(block for block in fenced("") if "seqkit/" in block)
    named = re.findall(r"^ +(\S+\.py) ", tree, re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in MODULES if path.stem != "__init__")


def test_continuous_integration_runs_the_readmes_commands() -> None:
    install, test = fenced("sh")[1].split("#")[0].strip().split(" && ")[1:]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert install == '.venv/bin/pip install -e ".[dev]"' and '-e ".[dev]"' in script
    assert test == ".venv/bin/pytest" and "/bin/pytest" in script.splitlines()[-1]
