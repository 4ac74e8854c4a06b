"""Dataclasses to flat fields, YAML and back."""

import os
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path
from typing import Literal
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import config
from seqkit.errors import InputError


@dataclass(frozen=True)
class Search:
    beam: int = 5
    """hypotheses kept"""
    kind: Literal["average", "wu"] | None = "wu"  # the order of `LengthPenalty`: typing keeps one of equal ones
    """penalty"""

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise ValueError(f"`beam` must be at least 1, got {self.beam}")


@dataclass(frozen=True)
class TrainingConfig:
    rate: float = 1e-3
    """step size,
    before the schedule"""
    betas: tuple[float, float] = (0.9, 0.999)
    """decay"""


@dataclass(frozen=True)
class Config:
    hidden: int = 512
    """units"""
    dropout: float | None = None
    tied: bool = False
    """shared"""
    name: str = "a"
    """text"""
    table: Path | None = None
    """file of vectors"""
    others: tuple[Path, ...] = ()
    """runs"""
    strides: tuple[int, ...] | None = None
    """of convolutions"""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    search: Search = field(default_factory=Search)


NAMES = ["hidden", "dropout", "tied", "name", "table", "others", "strides", "rate", "betas", "beam", "kind"]
number = st.floats(allow_nan=False, allow_infinity=False)
plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


def test_fields_are_flat_in_order_with_their_path_and_their_documentation() -> None:
    found = config.fields_by_name(Config)
    assert list(found) == NAMES
    assert found["betas"] == config.Leaf(("training", "betas"), tuple[float, float], "decay")
    assert found["rate"].doc == "step size, before the schedule" and found["dropout"].doc == ""
    assert config.flatten(Config(training=TrainingConfig(rate=3.0)))["rate"] == 3.0


def test_documentation_of_an_extended_dataclass_is_kept() -> None:
    @dataclass(frozen=True)
    class Wide(Search):
        width: int = 1
        """more"""

    assert [leaf.doc for leaf in config.fields_by_name(Wide).values()] == ["hypotheses kept", "penalty", "more"]


def test_a_name_in_two_places_is_refused_at_definition() -> None:
    @dataclass(frozen=True)
    class Twice:
        beam: int = 1
        search: Search = field(default_factory=Search)

    @dataclass(frozen=True)
    class Reserved:
        data: str = ""

    with pytest.raises(TypeError, match="`beam` must name one field of Twice, got search.beam and beam"):
        config.fields_by_name(Twice)
    with pytest.raises(TypeError, match="`data` must name one field of Reserved, got data and the header"):
        config.fields_by_name(Reserved)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("hidden", "7", 7),
        ("rate", "1e-3", 0.001),
        ("rate", "3", 3.0),
        ("dropout", "null", None),
        ("dropout", ".5", 0.5),
        ("tied", "true", True),
        ("tied", "false", False),
        ("betas", "[0.8, 1e-1]", (0.8, 0.1)),
        ("name", "1e-3", "1e-3"),
        ("betas", "0.8,0.9", (0.8, 0.9)),
        ("betas", "0.8 0.9", (0.8, 0.9)),
        ("betas", " [.8 , .9 ] ", (0.8, 0.9)),
        ("kind", "null", None),
        ("kind", None, None),
        ("kind", "average", "average"),
        ("table", "null", None),
        ("name", "null", "null"),  # which is a text like any other
        ("strides", "null", None),
        ("strides", "1 2,3", (1, 2, 3)),
        ("strides", "2", (2,)),
        ("strides", "[]", ()),
        ("others", "", ()),
        ("others", "a b/c", (Path("a"), Path("b/c"))),
        ("table", "a/b.vec", Path("a/b.vec")),
        ("name", "true", "true"),
        ("name", "", ""),
        ("betas", [0.5, 0.25], (0.5, 0.25)),
        ("rate", 2, 2.0),
        ("others", "a,b/c", (Path("a"), Path("b/c"))),
        ("others", "a", (Path("a"),)),
    ],
)
def test_text_becomes_the_fields_type(name: str, text: object, value: object) -> None:
    found = config.flatten(config.replace(Config(), {name: text}))
    assert found == config.flatten(Config()) | {name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hidden", "x", "`hidden` must be int, got 'x'"),
        ("hidden", "7.5", "`hidden` must be int, got '7.5'"),
        ("tied", "3", "`tied` must be true|false, got '3'"),
        ("kind", "wux", r"`kind` must be average\|wu\|null, got 'wux'"),
        ("kind", "none", r"`kind` must be average\|wu\|null, got 'none'"),
        ("strides", "1 x", r"`strides` must be \[int, ...\]\|null, got '1 x'"),
        ("hidden", "null", "`hidden` must be int, got 'null'"),
        ("dropout", "x", "`dropout` must be float|null, got 'x'"),
        ("rate", "nan", "`rate` must be float, got 'nan'"),
        ("betas", "1", r"`betas` must be \[float, float\], got '1'"),
        ("name", 5, "`name` must be text, got 5"),
        ("hiden", "1", "`hiden` must be a field of the config; did you mean `hidden`?"),
        ("beam", "0", "at least 1, got 0"),
        ("zzzzzz", "1", "`zzzzzz` must be a field of the config$"),
    ],
)
def test_values_that_do_not_fit(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config.replace(Config(), {name: value})


def test_several_fields_of_one_section_are_set_together() -> None:
    found = config.replace(Config(), {"beam": 2, "hidden": 3, "kind": None})
    assert found == Config(hidden=3, search=Search(2, None))


@settings(max_examples=40, deadline=None)
@given(
    hidden=st.integers(),
    dropout=st.none() | number,
    tied=st.booleans(),
    name=plain,
    rate=number,
    betas=st.tuples(number, number),
    beam=st.integers(1, 99),
    strides=st.none() | st.lists(st.integers(), max_size=3).map(tuple),
)
def test_a_saved_config_is_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    hidden: int,
    dropout: float | None,
    tied: bool,
    name: str,
    rate: float,
    betas: tuple[float, float],
    beam: int,
    strides: tuple[int, ...] | None,
) -> None:
    path = tmp_path_factory.mktemp("run") / "config.yaml"
    saved = Config(
        hidden,
        dropout,
        tied,
        name,
        None,
        (Path("a b"), Path("c,d")),
        strides,
        TrainingConfig(rate, betas),
        Search(beam, None),
    )
    with mock.patch("os.fsync"):
        config.save_config(saved, path, recipe="r", data="/some: where # é")
    assert config.load_config(Config, path) == saved
    assert config.read_values(path)["data"] == "/some: where # é"
    assert [file.name for file in path.parent.iterdir()] == ["config.yaml"]


def test_the_file_is_one_field_a_line_under_its_section(tmp_path: Path) -> None:
    config.save_config(Config(table=Path("x.vec"), others=(Path("a"),)), tmp_path / "c.yaml", recipe="r")
    assert (tmp_path / "c.yaml").read_text() == (
        "recipe: r\n\n# model\nhidden: 512\ndropout: null\ntied: false\nname: a\ntable: x.vec\nothers: [a]\n"
        "strides: null\n"
        "\n# training\nrate: 0.001\nbetas: [0.9, 0.999]\n\n# search\nbeam: 5\nkind: wu\n"
    )


def test_a_save_that_fails_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.yaml"
    config.save_config(Config(), path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with path.open() as reader:
        config.save_config(Config(), path)
        assert reader.read() == path.read_text() and path.stat().st_ino != os.fstat(reader.fileno()).st_ino
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        config.save_config(changed(Config(), hidden=1), path)
    assert config.load_config(Config, path) == Config() and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden: 4", "c.yaml: `hiden` must be a field of the config; did you mean `hidden`?"),
        ("hidden: [", "c.yaml: must be YAML: .*line [12]"),
        ("hidden: 4\n\nhidden: 5", "c.yaml, line 3: `hidden` must be there once, line 1 has it"),
        ("- 1", "c.yaml: must map names of fields to values"),
        ("3: 4", "c.yaml: must map names"),
        ("beam: no", "c.yaml: `beam` must be int, got False"),
    ],
)
def test_mistakes_in_a_file_name_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        config.load_config(Config, tmp_path / "c.yaml")


def test_what_a_file_leaves_out_stays(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("rate: 1e-3\nbeam: 2\n")
    assert config.load_config(Config, tmp_path / "c.yaml") == Config(search=Search(2))
    (tmp_path / "c.yaml").write_text("")
    assert config.load_config(Config, tmp_path / "c.yaml") == Config()
