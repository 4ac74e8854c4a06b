"""Every number of a config has a range beside its default, and what is outside is refused in one line."""

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from seqkit.errors import InputError
from seqkit.ranges import Range, check_ranges, ranges
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


@pytest.mark.parametrize("cls", [TrainingConfig])
def test_every_number_of_a_config_has_a_range_and_is_held_to_it(cls: type[Any]) -> None:
    for name, limits in ranges(cls).items():
        assert limits, f"`{name}` must have a range"
        default = getattr(cls(), name)
        for number in outside(limits):
            value = (default[0], number) if isinstance(default, tuple) else number
            with pytest.raises(InputError, match=rf"`{name}` must be .*{re.escape(str(limits))}, got "):
                dataclasses.replace(cls(), **{name: value})
