"""Fields that say what they are: the string written below a field of a class, for `help()`, flags and errors."""

import ast
import functools
import inspect
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def described(cls: type[T]) -> type[T]:
    """A decorator that adds the strings below the fields of a dataclass or NamedTuple to its docstring."""
    lines = [f"{name}: {text}" for name, text in field_docs(cls).items()]
    cls.__doc__ = "\n".join([inspect.cleandoc(cls.__doc__ or ""), "", *lines])
    return cls


def field_docs(cls: type) -> Mapping[str, str]:
    """The string below each field of `cls` and of the classes that it extends, by the field's name."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ not in ("builtins", "typing") and "__annotations__" in vars(base):
            docs |= _file_docs(inspect.getfile(base)).get(base.__qualname__.split(".")[-1], {})
    return docs


@functools.cache  # which reads and parses a file
def _file_docs(path: str) -> Mapping[str, Mapping[str, str]]:
    """The strings below the fields of every class of a file, by class and field."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    found: dict[str, dict[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            docs = found.setdefault(node.name, {})
            for field, below in zip(node.body, node.body[1:], strict=False):
                match field, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        docs[name] = " ".join(text.split())
    return found
