"""Laws of the whole project: what may import what, how little an import costs, and how long files may be."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("seqkit", "recipes", "data_prep")
MODULES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if path.parent not in (ROOT / "seqkit" / "recipes", ROOT / "seqkit" / "data_prep")
)
HEAVY = (
    "cv2", "av", "torchaudio", "torchvision", "matplotlib", "sacrebleu", "jiwer", "sentencepiece", "tensorboard",
    "tqdm", "safetensors", "jsonargparse", "yaml", "soundfile", "onnx", "gradio", "PIL",
)  # fmt: skip
FLOORS = {  # every part of the library with the parts it may stand on
    "seqkit": (  # `load`
        "seqkit.recipe", "seqkit.config", "seqkit.errors", "seqkit.find_run", "seqkit.flags", "seqkit.tasks",
    ),
    "seqkit.errors": (),
    "seqkit.described": (),
    "seqkit.ranges": ("seqkit.errors",),
    "seqkit.data": ("seqkit.errors",),
    "seqkit.nn": ("seqkit.errors",),
    "seqkit.decode": ("seqkit.errors", "seqkit.nn.memory", "seqkit.share"),
    "seqkit.score": ("seqkit", "seqkit.errors", "seqkit.data", "seqkit.decode"),
    "seqkit.train": (
        "seqkit", "seqkit.errors", "seqkit.ranges", "seqkit.data", "seqkit.nn", "seqkit.decode", "seqkit.score",
        "seqkit.share",
    ),
    "seqkit.draw": ("seqkit.errors",),
    "seqkit.draw_time": ("seqkit.draw",),
    "seqkit.config": ("seqkit.errors", "seqkit.ranges"),
    "seqkit.flags": ("seqkit", "seqkit.errors", "seqkit.config", "seqkit.data.text"),
    "seqkit.field_flags": ("seqkit.errors", "seqkit.config", "seqkit.flags"),
    "seqkit.tasks": ("seqkit.errors", "seqkit.recipe"),
    "seqkit.export": (
        "seqkit", "seqkit.errors", "seqkit.config", "seqkit.data", "seqkit.nn", "seqkit.decode", "seqkit.find_run",
        "seqkit.recipe", "seqkit.tasks",
    ),
    "seqkit.find_run": ("seqkit", "seqkit.errors", "seqkit.train.checkpoint"),
    "seqkit.share": ("seqkit", "seqkit.errors"),
    "seqkit.find_data": ("seqkit.errors", "seqkit.data"),
    "seqkit.hub": (
        "seqkit", "seqkit.errors", "seqkit.config", "seqkit.data", "seqkit.find_run", "seqkit.recipe", "seqkit.tasks",
        "seqkit.train.checkpoint",
    ),
    "seqkit.start": ("seqkit.errors", "seqkit.config", "seqkit.data", "seqkit.find_run", "seqkit.train"),
    "seqkit.held_out": ("seqkit.errors", "seqkit.data", "seqkit.score", "seqkit.share", "seqkit.train"),
    "seqkit.unscored": ("seqkit.errors", "seqkit.data", "seqkit.score"),
    "seqkit.recipe": (
        "seqkit.held_out", "seqkit.unscored", "seqkit.errors", "seqkit.config", "seqkit.data", "seqkit.find_run",
        "seqkit.score", "seqkit.share", "seqkit.start", "seqkit.train",
    ),
    "seqkit.same_data": ("seqkit.errors", "seqkit.config", "seqkit.train"),
    "seqkit.compare": ("seqkit",),
    "seqkit.average": ("seqkit",),
    "seqkit.commands": ("seqkit",),
    "seqkit.predict": ("seqkit",),
    "seqkit.cli": ("seqkit",),
    "seqkit.__main__": ("seqkit.cli",),
    "seqkit.data_prep": ("seqkit",),
    "seqkit.recipes": ("seqkit", "seqkit.data_prep"),
}  # fmt: skip
ALL_BELOW = (
    "seqkit.average", "seqkit.compare", "seqkit.commands", "seqkit.predict", "seqkit.cli", "seqkit.data_prep",
    "seqkit.recipes",
)  # fmt: skip
ABOVE = ("seqkit.recipes", "seqkit.data_prep")


def name_of(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return name if name.startswith("seqkit") else f"seqkit.{name}"


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports from the project, inside functions too; `from a import b` as both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: imports must be absolute"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in NAMES else str(node.module) for name in inner]
        yield from (name for name in names if name.split(".")[0] == "seqkit")


NAMES = {name_of(path) for path in MODULES} | {name_of(path.parent / "__init__.py") for path in MODULES}


def floor(name: str) -> str:
    return max((part for part in FLOORS if within(name, part)), key=len)


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def allowed(name: str, imported: str) -> bool:
    """Its own floor, and what that may stand on; `seqkit` alone is the version to the library, all of it above."""
    mine = floor(name)
    if any(within(imported, part) and not within(name, part) for part in ABOVE):
        return mine == "seqkit.recipes" and within(imported, "seqkit.data_prep")
    if within(imported, mine) and mine != "seqkit" or imported == "seqkit.described":
        return True
    return any(
        imported == part if part == "seqkit" and mine not in ALL_BELOW else within(imported, part)
        for part in FLOORS[mine]
    )


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
        ("seqkit.data_prep.wmt", "seqkit.recipes.x"),
        ("seqkit.data.text", "seqkit"),
        ("seqkit", "seqkit.recipes.translation"),
        ("seqkit.cli", "seqkit.recipes.translation"),
        ("seqkit.recipe", "seqkit.recipes.translation"),
        ("seqkit.tasks", "seqkit.data_prep.translation"),
    ]
    assert not any(allowed(name, imported) for name, imported in forbidden)
    assert allowed("seqkit.decode.search", "seqkit.nn.memory")
    assert allowed("seqkit.recipes.x", "seqkit.data_prep.synthetic")


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*/data.py")), ids=name_of)
def test_a_data_file_imports_no_model_and_no_train_loop(path: Path) -> None:
    barred = ("seqkit.train.loop", "seqkit.nn")
    found = [name for name in imports(path) if any(within(name, part) for part in barred)]
    assert found + [name for name in imports(path) if name.endswith(("model", "encoders", ".recipe"))] == []


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
        names = [text.split(">")[0].split("=")[0].split("[")[0] for text in requirements]
        return {imported.get(name, name.replace("-", "_")) for name in names}

    known = names_in(project["dependencies"])
    optional = set[str]().union(*map(names_in, project["optional-dependencies"].values()))
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"seqkit"}:
                assert name in known | (optional if node not in tree.body else set()), f"{path} imports {name}"


TESTS = sorted((ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    limit = {"recipes": 400, "tests": 500}.get(path.relative_to(ROOT).parts[0], 300)
    assert len(text.splitlines()) <= limit
    for node in ast.walk(ast.parse(text)) if path in MODULES else ():
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"`{node.name}` must be at most 60 lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not tree.body


@pytest.mark.parametrize("path", [p for p in MODULES if "nn" in p.parts or "model" in p.stem], ids=name_of)
def test_every_forward_has_its_docstring(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == "forward":
            assert ast.get_docstring(node), f"{path.name}, line {node.lineno}"


def test_a_task_has_the_same_file_names_as_every_other() -> None:
    tasks = ["translation", "captioning", "vqa", "grounding", "language_model"]
    for task in tasks:
        assert {"__main__.py", "recipe.py", "model.py", "data.py", "README.md", "RESULTS.md"} <= {
            path.name for path in (ROOT / "recipes" / task).iterdir()
        }
    lipreading = {path.name for path in (ROOT / "recipes" / "lipreading").iterdir()}
    assert {"__main__.py", "lipnet.py", "wlas.py", "data.py", "README.md", "RESULTS.md"} <= lipreading


def test_continuous_integration_runs_the_readmes_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert '.venv/bin/pip install -e ".[dev]"' in readme and '-e ".[dev]"' in script
    assert ".venv/bin/pytest" in readme and "/bin/pytest" in script.splitlines()[-1]
