"""Frozen dataclasses to flags, to YAML and back: one flat namespace of fields, whatever their nesting.

A config may hold other configs (`search: Search`); every innermost field keeps its own name, is one flag (`--beam`)
and one key of `config.yaml` (`beam: 5`), so a name may occur once only. A string below a field is its documentation:
unit and source. Values are read by jsonargparse, for which `1e-3` is a number and a list is a tuple where a tuple is
asked for.
"""

import dataclasses
import difflib
import functools
import os
import reprlib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from seqkit.described import field_docs
from seqkit.errors import InputError

ConfigT = TypeVar("ConfigT")

HEADER = ("recipe", "data", "data_sha256", "seqkit")  # keys of a config file that say where a run came from, no fields


class Leaf(NamedTuple):
    """One innermost field: the attributes that lead to it, its type, and the string written below it."""

    path: tuple[str, ...]
    type: Any
    doc: str


def fields_by_name(cls: type[Any]) -> Mapping[str, Leaf]:
    """Every innermost field of dataclass `cls` by name, in the order of definition; TypeError where a name is twice."""
    return _fields(cls)  # type: ignore[arg-type]


@functools.cache
def _fields(cls: type[Any]) -> Mapping[str, Leaf]:
    found: dict[str, Leaf] = {}
    hints, docs = get_type_hints(cls), field_docs(cls)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        nested = fields_by_name(kind) if dataclasses.is_dataclass(kind) and isinstance(kind, type) else {}
        own = nested or {field.name: Leaf((), kind, docs.get(field.name, ""))}
        for name, leaf in own.items():
            path = (field.name, *leaf.path)
            if name in found or name in HEADER:
                taken = ".".join(found[name].path) if name in found else "the header of config.yaml"
                raise TypeError(f"`{name}` must name one field of {cls.__name__}, got {'.'.join(path)} and {taken}")
            found[name] = leaf._replace(path=path)
    return found


def flatten(config: Any) -> dict[str, Any]:
    """The value of every innermost field by name."""
    values = {}
    for name, leaf in fields_by_name(type(config)).items():
        values[name] = config
        for attribute in leaf.path:
            values[name] = getattr(values[name], attribute)
    return values


def replace(config: ConfigT, values: Mapping[str, Any]) -> ConfigT:
    """`config` with fields set by flat name, text or YAML values turned into the fields' types.

    Raises InputError for a name that is no field (with the nearest that is) and for a value of another type.
    """
    known = fields_by_name(type(config))
    for name in values:
        if name not in known:
            raise InputError(f"`{name}` must be a field of the config{nearest(name, known)}")
    own = flatten(config)
    typed = {
        known[name].path: value if _same(value, own[name]) else typed_value(name, known[name].type, value)
        for name, value in values.items()
    }
    try:
        changed: ConfigT = _set(config, typed)
        return changed
    except ValueError as error:
        raise InputError(str(error)) from error


def _same(value: Any, own: Any) -> bool:
    """Whether a plain value is the one that a field has already, and so of its type."""
    return type(value) is type(own) and isinstance(value, bool | int | float | str) and value == own


def typed_value(name: str, kind: Any, value: Any) -> Any:
    """`value`, or the text that stands for it, as an instance of `kind`; raises InputError where it is none."""
    from jsonargparse import ArgumentError

    if value == "null" and type(None) in get_args(kind):
        return None
    if value is None and type(None) not in get_args(kind):
        raise InputError(f"`{name}` must be {notation(kind)}, got null")
    if type(value) is kind and kind in (bool, int, float, str) or type(value) is str and value in _choices(kind):
        return value
    given = value
    if isinstance(value, str) and (element := element_type(kind)):
        value = value.strip(" []").replace(",", " ").split()  # spaces and commas alike
        if element is not str:
            value = f"[{', '.join(value)}]"
    try:
        return _parser(kind).parse_object({"value": value}).value
    except (ArgumentError, ArithmeticError, RecursionError, ValueError):
        raise InputError(f"`{name}` must be {notation(kind)}, got {reprlib.repr(given)}") from None


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def element_type(kind: Any) -> Any:
    """The type of the values of a field that holds several, or null; None for a field that holds one."""
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    lists = [kind for kind in kinds if kind is not type(None)]
    return get_args(lists[0])[0] if len(lists) == 1 and get_origin(lists[0]) in (tuple, list) else None


@functools.cache
def _parser(kind: Any) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=kind)
    return parser


def notation(kind: Any) -> str:
    """A type as help and errors write it: `int`, `lstm|gru`, `float|null`, `[int, ...]`."""
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return "|".join(map(str, arguments))
    if get_origin(kind) in (Union, types.UnionType):
        return "|".join(map(notation, arguments))
    if get_origin(kind) in (tuple, list):
        return f"[{', '.join(map(notation, arguments))}]"
    names = {bool: "true|false", str: "text", type(None): "null", Ellipsis: "...", Path: "path"}
    return names.get(kind) or str(getattr(kind, "__name__", kind))


def yaml_text(value: Any) -> str:
    """A field's value in one line of YAML: `0.1`, `true`, `null`, `[0.9, 0.98]`."""
    import yaml

    text: str = yaml.safe_dump([_plain(value)], default_flow_style=True, allow_unicode=True, width=1 << 20)
    return text.strip()[1:-1]


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` where one of `known` is close to `name`, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def save_config(config: Any, path: Path, **header: str) -> None:
    """Write every field to the YAML file `path`, whole or not at all, with `recipe` and `data` of `header` on top."""
    lines, section, values = [f"{name}: {yaml_text(value)}" for name, value in header.items()], None, flatten(config)
    for name, leaf in fields_by_name(type(config)).items():
        if leaf.path[:-1] != section:
            section = leaf.path[:-1]
            lines += ["", f"# {' '.join(section) or 'model'}"]
        lines.append(f"{name}: {yaml_text(values[name])}")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_values(path: Path) -> dict[str, Any]:
    """The mapping of a file of YAML, or of JSON, which is YAML too; InputError where it is no mapping of names."""
    import yaml

    content = path.read_bytes()
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(content)  # the first is ten times as fast
        root = loader.get_single_node()
        values = (loader.construct_document(root) if root else None) or {}
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise InputError(f"{path}: must be YAML: {' '.join(str(error).split())[:300]}") from error
    lines: dict[str, int] = {}  # of two equal names YAML would take the last
    for name, _ in root.value if isinstance(root, yaml.MappingNode) else ():
        line = name.start_mark.line + 1
        if str(name.value) in lines:
            raise InputError(f"{path}, line {line}: `{name.value}` must be there once, line {lines[name.value]} has it")
        lines[str(name.value)] = line
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InputError(f"{path}: must map names of fields to values, as `beam: 5`")
    return values


def load_config(cls: type[ConfigT], path: Path) -> ConfigT:
    """The config saved at `path`, fields it does not name at their defaults; InputError names file and bad key."""
    return update(cls(), path, read_values(path))


def update(config: ConfigT, path: Path, values: Mapping[str, Any]) -> ConfigT:
    """`config` with the `values` read from file `path`, which every error names; header keys are passed over."""
    try:
        return replace(config, {name: value for name, value in values.items() if name not in HEADER})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _set(config: Any, values: Mapping[tuple[str, ...], Any]) -> Any:
    """`config` with values set by path; dataclasses on the way are rebuilt once each."""
    changes: dict[str, Any] = {}
    for first in dict.fromkeys(path[0] for path in values):
        inner = {path[1:]: value for path, value in values.items() if path[0] == first}
        changes[first] = inner[()] if () in inner else _set(getattr(config, first), inner)
    return dataclasses.replace(config, **changes)


def _plain(value: Any) -> Any:
    """Paths as text and tuples as lists, at any depth: what YAML has no word for."""
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value
