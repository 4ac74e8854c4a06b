"""Every recipe as its commands show it: fields, presets, help, and the words that newcomers type."""

import re

import pytest

from seqkit.cli import main
from seqkit.config import fields_by_name, flatten
from seqkit.errors import InputError
from seqkit.flags import SYNONYMS
from seqkit.recipe import SEARCH, Recipe, preset
from seqkit.tasks import CORPORA, TASKS, find_corpus, find_recipe

COMMANDS = ("train", "evaluate", "predict")


def shown_help(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        main(list(words))
    return capsys.readouterr().out


def flags_in(text: str) -> set[str]:
    """The flags that a help text lists, each at the beginning of its line."""
    return set(re.findall(r"^  (?:-h, )?--(\w[\w-]*)", text, re.MULTILINE))


def every_field(recipe: Recipe) -> set[str]:
    kinds = (recipe.config, recipe.evaluation, recipe.prediction)
    return {name for kind in kinds if kind for name in fields_by_name(kind)}


@pytest.mark.parametrize("task", TASKS)
def test_a_recipe_is_what_its_word_says(task: str) -> None:
    recipe = find_recipe(task)
    assert recipe.name == task and {"small", "tiny"} <= set(recipe.presets) and recipe.synthetic is not None
    assert recipe.presets["small"] == {}


@pytest.mark.parametrize("task", TASKS)
def test_every_field_says_what_it_is(task: str) -> None:
    recipe = find_recipe(task)
    for kind in (recipe.config, recipe.evaluation, recipe.prediction):
        for name, leaf in fields_by_name(kind).items() if kind else ():
            assert leaf.doc, f"`{name}` must have a string below it"


@pytest.mark.parametrize("task", TASKS)
def test_a_preset_is_a_flat_change_of_the_defaults(task: str) -> None:
    recipe = find_recipe(task)
    usual = flatten(recipe.config())
    for name, changes in recipe.presets.items():
        found = flatten(preset(recipe, name))
        assert {field for field in found if found[field] != usual[field]} <= set(changes) <= set(usual), name


@pytest.mark.parametrize("task", TASKS)
def test_options_of_one_command_are_no_part_of_a_run(task: str) -> None:
    recipe = find_recipe(task)
    stored = set(fields_by_name(recipe.config))
    for kind in (recipe.evaluation, recipe.prediction):
        assert kind is None or not stored & set(fields_by_name(kind))


@pytest.mark.parametrize("task", TASKS)
def test_help_shows_25_fields_at_most_and_help_all_every_one(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = find_recipe(task)
    fields = set(fields_by_name(recipe.config))
    common, everything = (flags_in(shown_help(capsys, task, "train", flag)) for flag in ("--help", "--help-all"))
    assert set(recipe.common) == common & fields and 1 <= len(common & fields) <= 25
    assert fields <= everything and everything - fields == common - fields
    searched = {name for name, leaf in fields_by_name(recipe.config).items() if leaf.path[0] == SEARCH}
    for command, kind in (("evaluate", recipe.evaluation), ("predict", recipe.prediction)):
        own = set(fields_by_name(kind)) if kind else set()
        assert flags_in(shown_help(capsys, task, command, "--help")) & every_field(recipe) == searched | own


def test_what_is_suggested_for_a_synonym_is_a_flag_and_no_synonym_is_accepted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = {
        (task, command): flags_in(shown_help(capsys, task, command, "--help-all" if command == "train" else "--help"))
        for task in TASKS
        for command in COMMANDS
    }
    known = set[str]().union(*flags.values())
    for word, meant in SYNONYMS.items():
        assert {flag.split()[0] for flag in meant} <= known, word
        for (task, command), own in flags.items():
            if word in own:
                assert word in ("hidden_dim", "vocab_size", "layers"), f"{task}: `{word}` means {meant} elsewhere"
                continue
            assert main([task, command, f"--{word}", "1"]) == 2
            line = capsys.readouterr().err
            assert f"`--{word}` must be a flag of seqkit {task} {command}" in line
            suggested = re.search(r"did you mean `--(\w+)", line)
            assert suggested is None or suggested[1] in own
            there = [flag for flag in meant if flag.split()[0] in own]
            assert not there or f"did you mean `--{there[0]}`?" in line


def test_a_task_that_is_none_is_named() -> None:
    with pytest.raises(InputError, match="the task must be one of translation, captioning, .*, got 'x'"):
        find_recipe("x")


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_says_what_it_reads_and_writes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(find_corpus(name).main)
    shown = shown_help(capsys, "prepare", name, "--help")
    assert shown.startswith("usage: ") and len(shown.splitlines()) > 4
