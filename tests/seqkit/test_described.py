"""Fields say what they are in `help()`, in a dataclass, in one that extends it, and in a NamedTuple."""

import ast
import pydoc
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from seqkit.described import described, field_docs

ROOT = Path(__file__).parents[2]


@described
@dataclass(frozen=True)
class Base:
    """A base."""

    width: int = 1
    """numbers
    a row"""
    plain: int = 2


@described
@dataclass(frozen=True)
class Derived(Base):
    """Another."""

    depth: int = 3
    """layers"""


@described
class Pair(NamedTuple):
    """A pair."""

    first: int
    """the first"""


def test_help_shows_what_stands_below_a_field() -> None:
    assert field_docs(Derived) == {"width": "numbers a row", "depth": "layers"}
    text = pydoc.plain(pydoc.render_doc(Derived))
    assert "width: numbers a row" in text and "depth: layers" in text
    assert Pair.__doc__ == "A pair.\n\nfirst: the first" and Pair(1) == (1,)


FILES = [path for folder in ("seqkit", "recipes") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_class_with_such_strings_shows_them(path: Path) -> None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            pairs = zip(node.body, node.body[1:], strict=False)
            strings = [b for a, b in pairs if isinstance(a, ast.AnnAssign) and isinstance(b, ast.Expr)]
            assert not strings or "described" in map(ast.unparse, node.decorator_list), node.name
