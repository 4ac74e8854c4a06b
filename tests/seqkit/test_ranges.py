"""Every number of a config has a range beside its default, and what is outside is refused in one line."""

import dataclasses
import importlib
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from seqkit.config import flatten
from seqkit.errors import InputError
from seqkit.ranges import Range, check_ranges, ranges
from seqkit.tasks import TASKS
from seqkit.train.training_config import TrainingConfig


@dataclass(frozen=True)
class Section:
    rate: Annotated[float, Range(above=0, below=1)] = 0.5
    name: str = "a"
    kind: Literal[1, 2] = 1
    flag: bool = True


@dataclass(frozen=True)
class Config:
    section: Section = field(default_factory=Section)
    other: Section | None = None
    strides: Annotated[tuple[int, ...] | None, Range(min=1)] = None
    share: Annotated[float, Range(min=0, max=1)] = 1
    shift: Annotated[int, Range()] = 0
    free: int = 0


def set_field(config: Any, name: str, value: Any) -> Any:
    """The config with one field set to what it must refuse; sections that check themselves raise here."""
    for own in dataclasses.fields(config):
        inner = getattr(config, own.name)
        if own.name == name:
            return dataclasses.replace(config, **{name: value})
        if dataclasses.is_dataclass(inner) and name in ranges(type(inner)):
            return dataclasses.replace(config, **{own.name: set_field(inner, name, value)})
    raise AssertionError(name)


def outside(limits: Range) -> list[float]:
    """Numbers that are just not in the range."""
    wrong = [math.nan, math.inf, -math.inf]
    wrong += [limit - 1 for limit in (limits.min,) if limit is not None]
    wrong += [limit + 1 for limit in (limits.max,) if limit is not None]
    return wrong + [limit for limit in (limits.above, limits.below) if limit is not None]


def test_ranges_are_found_where_they_are_written() -> None:
    want = {"rate": (None, 0, None, 1), "strides": (1,), "share": (0, None, 1), "shift": (), "free": None}
    assert ranges(Config) == {name: given and Range(*given) if given != () else Range() for name, given in want.items()}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"section": Section(rate=0.0)}, "`rate` must be above 0 and below 1, got 0.0"),
        ({"other": Section(rate=1.0)}, "`rate` must be above 0 and below 1, got 1.0"),
        ({"strides": (2, 0)}, r"`strides` must be at least 1, got \(2, 0\)"),
        ({"share": 1.5}, "`share` must be from 0 to 1, got 1.5"),
        ({"share": math.inf}, "`share` must be finite and from 0 to 1, got inf"),
        ({"shift": math.nan}, "`shift` must be finite, got nan"),
    ],
)
def test_a_number_outside_its_range_is_one_line(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=f"^{text}$"):
        check_ranges(Config(**values))


def test_limits_belong_to_a_range_as_it_says() -> None:
    check_ranges(Config(share=0, strides=(1, 9), free=-5, shift=-9))
    check_ranges(Config(share=1, other=Section()))
    assert 0 not in Range(above=0) and 0 in Range(min=0) and 1 not in Range(below=1) and 1 in Range(max=1)


def configs() -> dict[str, type[Any]]:
    """All classes of fields that become flags."""
    found: dict[str, type[Any]] = {"training": TrainingConfig}
    for task, entry in TASKS.items():
        recipe = importlib.import_module(f"seqkit.recipes.{entry.module}").RECIPE
        for kind in ("config", "evaluation", "prediction"):
            if getattr(recipe, kind):
                found[f"{task} {kind}"] = getattr(recipe, kind)
    return found


@pytest.mark.parametrize("cls", configs().values(), ids=configs())
def test_every_number_of_every_recipe_has_a_range_and_is_held_to_it(cls: type[Any]) -> None:
    defaults = flatten(cls())
    for name, limits in ranges(cls).items():
        assert limits, f"`{name}` must have a range"
        for number in outside(limits):
            value = [number, *defaults[name][1:]] if isinstance(defaults[name], tuple) else number
            with pytest.raises(InputError, match=rf"`{name}`.* must be "):
                check_ranges(set_field(cls(), name, value))
