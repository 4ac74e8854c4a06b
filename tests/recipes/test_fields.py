"""The fields of all recipes, which are flags and keys of config.yaml: none comes, goes or is renamed unseen.

`fields.json` lists them. A change of it says in its commit why, as it breaks what people have written down.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from seqkit.cli import main
from seqkit.config import fields_by_name, flatten, yaml_text
from seqkit.ranges import Range, ranges
from seqkit.recipe import preset
from seqkit.tasks import TASKS, find_recipe

LISTED: dict[str, dict[str, list[str]]] = json.loads((Path(__file__).parent / "fields.json").read_text())


def fields_of(task: str) -> dict[str, list[str]]:
    """Names by the commands that take them: those of the config, of `evaluate` and of `predict`."""
    recipe = find_recipe(task)
    kinds = {"config": recipe.config, "evaluation": recipe.evaluation, "prediction": recipe.prediction}
    return {name: sorted(fields_by_name(kind)) for name, kind in kinds.items() if kind}


def test_every_recipe_has_the_fields_that_are_listed() -> None:
    assert {task: fields_of(task) for task in TASKS} == LISTED


def test_a_field_of_one_name_is_of_one_type_in_all_recipes() -> None:
    may_differ = {  # choices that a recipe does not all have
        "units", "attention", "fusion", "normalize", "lm", "cell", "targets",
    }  # fmt: skip
    types: dict[str, Any] = {}
    for task in TASKS:
        for name, leaf in fields_by_name(find_recipe(task).config).items():
            assert name in may_differ or types.setdefault(name, leaf.type) == leaf.type, f"{task}: `{name}`"


@pytest.mark.parametrize("task", TASKS)
def test_each_preset_is_a_change_of_small(task: str) -> None:
    recipe = find_recipe(task)
    small = flatten(preset(recipe, "small"))
    for name, changes in recipe.presets.items():
        own = flatten(preset(recipe, name))
        print(f"{task} --preset {name}: {len(changes)} of {len(small)} fields")
        for field in changes:
            assert field in small, f"{task} {name}: `{field}` must be a field"
            print(f"  {field}: {yaml_text(small[field])} -> {yaml_text(own[field])}")
            assert own[field] != small[field], f"{task} {name}: `{field}` must differ from small's {small[field]}"


def outside(limits: Range) -> float:
    """A number that is not in the range."""
    if limits.min is not None:
        return limits.min - 1
    return limits.above if limits.above is not None else float("nan")


@pytest.mark.parametrize("task", TASKS)
def test_a_number_out_of_range_is_one_line_before_anything_is_read(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = find_recipe(task).config, tmp_path / "run"
    usual = flatten(config())
    for name, limits in ranges(config).items():
        assert limits
        words = [f"{outside(limits):.17g}"] * (len(usual[name] or "1") if isinstance(usual[name], tuple) else 1)
        command = [task, "train", "--data", str(tmp_path / "nowhere"), "--out", str(out), f"--{name}", *words]
        assert main(command) == 2
        line = capsys.readouterr().err
        assert line.startswith(f"error: `{name}` must be ") and line.count("\n") == 1, line
    assert not out.exists()
