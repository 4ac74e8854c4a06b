"""Flags for the fields of a config, and the values that were given with them."""

import argparse
import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from seqkit.config import element_type, fields_by_name, flatten, notation, replace, yaml_text
from seqkit.flags import Parser


def given_fields(args: argparse.Namespace, config: type[Any]) -> dict[str, Any]:
    """The fields of `config` that were given as flags."""
    known = fields_by_name(config)
    given = {name: value for name, value in vars(args).items() if name in known}
    return {name: " ".join(value) if isinstance(value, list) else value for name, value in given.items()}


def given_options(args: argparse.Namespace, kind: type[Any] | None) -> Any:
    """The options of one command alone, None where it has none."""
    return replace(kind(), given_fields(args, kind)) if kind else None


def add_device(parser: Parser) -> None:
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="cuda: an Nvidia or AMD GPU; mps: Apple's; auto: cuda when there is one, else cpu [auto]",
    )


def add_options(parser: Parser, kind: type[Any] | None) -> None:
    if kind:
        add_fields(parser, kind)


def add_fields(
    parser: Parser, config: type[Any], *, only: str | None = None, shown: Sequence[str] | None = None
) -> None:
    """A flag for every field, or those of section `only`, by section, without default: absent is not given.

    Help leaves out those that are not among `shown`.
    """
    defaults, known = flatten(config()), fields_by_name(config)
    positional = any(not action.option_strings for action in parser._actions)  # which a list of words would swallow
    wanted = [(leaf.path[:-1], name, leaf) for name, leaf in known.items() if only in (None, leaf.path[0])]
    for section, fields in itertools.groupby(wanted, key=lambda field: field[0]):
        group = parser.add_argument_group(" ".join(section) or "options")
        for _, name, leaf in fields:
            value = yaml_text(defaults[name])
            text = f"{leaf.doc} {value if value[0] == '[' else f'[{value}]'}".replace("%", "%%")
            hidden = shown is not None and name not in shown
            several = element_type(leaf.type) if not positional else None
            one = notation(several or leaf.type)
            group.add_argument(
                f"--{name}",
                metavar=(one, one if len(one) < 20 else "…") if several else one,
                default=argparse.SUPPRESS,
                nargs="+" if several else None,
                help=argparse.SUPPRESS if hidden else text,
            )


def describe_presets(presets: Mapping[str, Mapping[str, Any]]) -> str:
    """Every preset with the fields that it changes."""
    texts = []
    for name, changes in presets.items():
        changed = ", ".join(f"{key} {yaml_text(value)}" for key, value in changes.items())
        text = f"{name:<12}{changed or 'the defaults'}"
        texts += textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent=" " * 14)
    return "\n".join(["presets, and what they change:", *texts])
