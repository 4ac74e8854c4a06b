"""What only POSIX has is asked for where it is used, and only where there is something else to do without it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for folder in ("seqkit", "recipes", "data_prep") for path in (ROOT / folder).rglob("*.py"))
POSIX_MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
POSIX_NAMES = {
    "os": "fork forkpty getuid geteuid getgid getegid getpgid getpgrp setsid setuid killpg wait nice uname statvfs "
    "mkfifo chown sched_getaffinity sched_setaffinity register_at_fork posix_fadvise pread pwrite sysconf O_DIRECTORY",
    "signal": "SIGKILL SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGCONT SIGSTOP SIGTSTP alarm setitimer pause",
    "mmap": "MADV_WILLNEED MADV_RANDOM MADV_SEQUENTIAL MADV_DONTNEED PROT_READ MAP_SHARED MAP_PRIVATE",
}


def unguarded(tree: ast.AST) -> Iterator[str]:
    """Imports of POSIX modules outside functions, and POSIX names in functions that ask for them nowhere by hasattr."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    asked = {
        id(node)
        for function in functions
        for text in [ast.unparse(function)]
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and "hasattr" in text and f"'{node.attr}')" in text
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in inside:
            names = [str(node.module)] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"line {node.lineno}: {name}" for name in names if name.split(".")[0] in POSIX_MODULES)
        elif isinstance(node, ast.Attribute) and id(node) not in asked:
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr == "madvise" or node.attr in POSIX_NAMES.get(owner, "").split():
                yield f"line {node.lineno}: {node.attr}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_needs_posix(path: Path) -> None:
    assert list(unguarded(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_what_needs_posix_is_found() -> None:
    found = """
import fcntl, os
def f(pages):
    from resource import getrusage
    os.fork()
    pages.madvise(3)
    if hasattr(os, 'nice'):
        os.nice(3)
os.getuid()
"""
    names = [line.split()[-1] for line in unguarded(ast.parse(found))]
    assert sorted(names) == ["fcntl", "fork", "getuid", "madvise"]


def test_the_library_imports_without_posix() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in MODULES
        if path.name not in ("__main__.py", "demo.py", "__init__.py")
    ]
    ours = [name if name.startswith("seqkit") else f"seqkit.{name}" for name in names]
    program = (
        "import importlib, sys, tempfile, multiprocessing, numpy, torch, tqdm, yaml, sacrebleu\n"
        f"sys.modules.update(dict.fromkeys({POSIX_MODULES!r}))\n"
        f"for name in {ours!r}: importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
