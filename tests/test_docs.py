"""Every code block of the README and of the guides runs as it is written, or says in a comment why not.

A page's blocks run in their order, in a folder that begins empty but for the files of `docs/examples`. Of a block that
does not run, and of the blocks in the recipes' READMEs, every flag must be one that the command has.
"""

import contextlib
import importlib
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import seqkit
from seqkit import cli
from seqkit.cli import main
from seqkit.data.manifest import parse_line
from seqkit.data.manifest_keys import example_line
from seqkit.tasks import TASKS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECIPES = sorted((ROOT / "recipes").rglob("README.md"))
OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "recipes").rglob("*.md"))]
FENCED = re.compile(r"(?:^<!-- not run: (?P<why>[^\n]+) -->\n)?^```(?P<kind>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.M)
COMMANDS = ("train", "evaluate", "predict", "compare")
EVERYWHERE = ("--help", "--help-all", "--shard", "--parts")  # answered before a command is


class Block(NamedTuple):
    kind: str
    code: str
    why: str | None  # it does not run
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(m["kind"], m["code"], m["why"], text.count("\n", 0, m.start("code"))) for m in FENCED.finditer(text)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, where `seqkit` and `python` are those under test."""
    programs, work = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    for name, words in (("seqkit", '-m seqkit "$@"'), ("python", '"$@"')):
        (programs / name).write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}\n")
        (programs / name).chmod(0o755)
    for example in (ROOT / "docs" / "examples").iterdir():
        if example.is_file():
            (work / example.name).write_bytes(example.read_bytes())
    paths = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name, value in paths.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(work)
    return work


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_code_of_a_page_runs(page: Path, shell: Path) -> None:
    torch.manual_seed(0)
    for kind, code, why, line in blocks(page):
        place = f"{name_of(page)}, line {line}"
        assert kind in ("", "sh", "python", "json"), f"{place}: no block of {kind} is known here"
        if kind == "json":
            for number, item in enumerate(code.splitlines(), line):
                parse_line(item, shell, f"{name_of(page)}, line {number}")
        if kind == "sh":
            assert unknown_flags(code) == [], place
        if kind == "python":
            code = compile("\n" * line + code, name_of(page), "exec")
        if why or kind in ("", "json"):
            continue
        if kind == "python":
            exec(code, {"__name__": "__main__"})
        else:
            result = subprocess.run(["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True)
            assert result.returncode == 0, f"{place}\n{result.stdout}{result.stderr}"
    if page.name == "new_recipe.md":
        report = json.loads((shell / "RUN/evaluate/test/report.json").read_text())
        assert report["metrics"]["bleu"]["value"] > 80


@pytest.mark.parametrize("page", RECIPES, ids=name_of)
def test_the_commands_of_a_recipes_readme_exist(page: Path) -> None:
    found = blocks(page)
    assert [block for block in found if block.kind == "sh"], "a recipe's README has a command to copy"
    assert [(line, flag) for kind, code, _, line in found if kind == "sh" for flag in unknown_flags(code)] == []


def test_unknown_flags_and_commands_are_found() -> None:
    assert unknown_flags("seqkit translation train --data D --out R --no_such_flag 1 --beam 3") == ["--no_such_flag"]
    assert unknown_flags("torchrun --nproc-per-node 2 -m seqkit vqa train --nproc 1") == ["--nproc"]
    assert unknown_flags("python recipes/lipreading lipnet predict --run R --ensemble A") == ["--ensemble"]
    assert unknown_flags("seqkit prepare grid --raw D --what 2  # --not-a-flag\nseqkit fly") == ["--what", "fly"]
    assert unknown_flags("seqkit translation train --preset vast --out R --data D") == ["--preset vast"]
    assert unknown_flags("seqkit score --metric wer a.txt \\\n  b.txt --jsn") == ["--jsn"]


def test_a_comment_before_a_block_says_why_it_does_not_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n\n<!-- not run: no GPU -->\n```sh\nb\n```\n\n```python\nc = 1\n```\n")
    assert blocks(page) == [Block("sh", "b\n", "no GPU", 4), Block("python", "c = 1\n", None, 8)]


def unknown_flags(code: str) -> list[str]:
    """What no command of ours knows: flags, and words where a task, command or preset is expected."""
    return [fault for words in commands(code) for fault in faults(words)]


def commands(code: str) -> Iterator[list[str]]:
    """The arguments of every call of `seqkit`, as `seqkit TASK …` takes them, also of `python recipes/TASK …`."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|(?!\|)|;", line.split(" # ")[0].split("  #")[0]):
            words = shlex.split(part)
            if "-m" in words and "seqkit" in words:
                yield words[words.index("seqkit") + 1 :]
            elif words and Path(words[0]).name == "seqkit":
                yield words[1:]
            elif len(words) > 1 and words[1].startswith(("recipes/", "data_prep")):
                task = words[1].rstrip("/").partition("/")[2]
                first = {"demo.py": ["demo"], "lipreading": [], "": ["prepare"]}.get(task, [task])
                yield from [] if task.startswith("benchmarks") else [[*first, *words[2:]]]


def faults(words: list[str]) -> Iterator[str]:
    if not words:
        return
    if words[0] not in (*TASKS, *cli.COMMANDS, "--help"):
        yield words[0]
        return
    called = 2 if words[0] in TASKS or words[0] == "prepare" else 1
    if words[0] in TASKS and words[1:2] != ["--help"] and words[1] not in COMMANDS:
        yield words[1]
        return
    known = flags(tuple(words[:called])) if "--" not in "".join(words[:called]) else set()
    for place, word in enumerate(words):
        flag = word.partition("=")[0].replace("-", "_").replace("__", "--", 1)
        if word.startswith("--") and flag not in known and word not in EVERYWHERE:
            yield word
        if word == "--preset" and words[place + 1] not in presets(words[0]):
            yield f"--preset {words[place + 1]}"


@cache
def flags(command: tuple[str, ...]) -> set[str]:
    """The flags in a command's help; `compare` takes those of `train` too."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([*command, "--help-all" if command[-1] == "train" else "--help"])
    own = {f.replace("-", "_").replace("__", "--", 1) for f in re.findall(r"--[a-z][\w-]*", shown.getvalue())}
    assert own, f"{command} has no help"
    return own | (flags((command[0], "train")) if command[-1] == "compare" else set())


@cache
def presets(task: str) -> set[str]:
    return set(importlib.import_module(f"seqkit.recipes.{TASKS[task].module}").RECIPE.presets)


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", text)
    local = [link for pair in links for link in pair if link and "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_readme_is_short_and_its_pictures_small() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160
    pictures = [*(ROOT / "docs").rglob("*.png"), *(ROOT / "docs").rglob("*.svg")]
    assert pictures and max(picture.stat().st_size for picture in pictures) <= 150_000


def test_a_recipe_takes_at_most_120_lines() -> None:
    assert len((ROOT / "docs/examples/rows_to_text.py").read_text(encoding="utf-8").splitlines()) <= 120


def test_the_table_of_keys_is_made_from_the_code_and_every_recipe_has_its_example() -> None:
    make = runpy.run_path(str(ROOT / "docs/make_key_table.py"))
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert make["made"](page) == page, "run docs/make_key_table.py"
    assert set(make["recipes"]()) == set(TASKS)
    for name, reads in make["recipes"]().items():
        assert f"\n{example_line(reads)}\n" in page, name
        assert {"id", *reads.needed} <= set(reads.example) <= set(reads.every()), name


def test_every_odd_file_has_the_test_that_is_named() -> None:
    """Of each row the tests; `::name` is in the file that was named before."""
    files = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`(test_\w+\.py)?::(test_\w+)`", (ROOT / "docs/odd_files.md").read_text(encoding="utf-8"))
    file, missing = "", []
    for other, name in named:
        file = other or file
        if f"def {name}(" not in files.get(file, ""):
            missing.append(f"{file}::{name}")
    assert len(named) > 80 and not missing


def test_files_about_the_project_agree() -> None:
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["authors"]) == (seqkit.__version__, [{"name": "the seqkit authors"}])
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert newest and newest[1] == seqkit.__version__
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]


def test_continuous_integration_covers_the_supported_versions_of_python() -> None:
    import yaml

    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["run"]
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"] and lowest == ">=3.11"
    run = job["steps"][-1]
    assert run["run"] == "bash .ci/run" and "PYTHON" in run["env"]
    assert "${PYTHON:-}" in (ROOT / ".ci/run").read_text(encoding="utf-8")
