"""Ranges of the numbers in a config, written beside their defaults and checked in one place.

A field that holds a number, or several, has its range in its type; `check_ranges` reads it there:

    beam: Annotated[int, Range(min=1)] = 5
    dropout: Annotated[float, Range(min=0, below=1)] = 0.2
    strides: Annotated[tuple[int, ...] | None, Range(min=1)] = None     each of them; None is always allowed
"""

import dataclasses
import functools
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from seqkit.errors import InputError


class Range(NamedTuple):
    """Range of a number, which must be finite: `min` and `max` are inside it, `above` and `below` outside."""

    min: float | None = None
    above: float | None = None
    max: float | None = None
    below: float | None = None

    def __contains__(self, value: object) -> bool:
        return (
            isinstance(value, int | float)
            and abs(value) <= sys.float_info.max
            and (self.min is None or value >= self.min)
            and (self.above is None or value > self.above)
            and (self.max is None or value <= self.max)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """As help and errors say it: `at least 1`, `above 0 and below 1`, `from 0 to 1`; `finite` without limits."""
        if self.min is not None and self.max is not None:
            return f"from {self.min:.15g} to {self.max:.15g}"
        words = ("at least", self.min), ("above", self.above), ("at most", self.max), ("below", self.below)
        return " and ".join(f"{word} {limit:.15g}" for word, limit in words if limit is not None) or "finite"


def ranges(cls: type[Any]) -> Mapping[str, Range | None]:
    """Every number of dataclass `cls` by name, those of its sections too, with its range; None where it has none."""
    return _ranges(cls)  # type: ignore[arg-type]


@functools.cache
def _ranges(cls: type[Any]) -> Mapping[str, Range | None]:
    found: dict[str, Range | None] = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        for part in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(part) and isinstance(part, type):
                found |= ranges(part)
        if _holds_number(hint):
            given = hint.__metadata__ if get_origin(hint) is Annotated else ()
            found[name] = next((part for part in given if isinstance(part, Range)), None)
    return found


def check_ranges(config: Any) -> None:
    """Raise InputError for the first number of a config, or of its sections, that is outside its range."""
    own = ranges(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            check_ranges(value)
        elif (limits := own.get(field.name)) and not all(number in limits for number in _numbers(value)):
            finite = (
                ""
                if all(abs(number) <= sys.float_info.max for number in _numbers(value)) or str(limits) == "finite"
                else "finite and "
            )
            raise InputError(f"`{field.name}` must be {finite}{limits}, got {value}")


def _holds_number(hint: Any) -> bool:
    """Whether a field of this type may hold an int or a float."""
    return hint in (int, float) or any(_holds_number(part) for part in get_args(hint) if part is not hint)


def _numbers(value: Any) -> Iterator[float]:
    """The numbers in a field's value, which may be one, several or none."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
