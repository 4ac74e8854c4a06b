"""Results as other scorers read them: back through our own reader, and through the COCO and VQA tools' rules."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data.text import normalize_whitespace
from seqkit.errors import InputError
from seqkit.score import write_results
from seqkit.score.file_formats import ALTERNATIVES
from seqkit.score.read_texts import read_corpus
from seqkit.score.result_files import WRITERS

TEXT = st.text(alphabet=" ab(){}/;é日\n\t\"'\\.", max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=5), form=st.sampled_from(sorted(WRITERS)))
def test_what_is_written_is_read_back(folder: Path, texts: list[str], form: str) -> None:
    ids = [str(1000 + number) for number in range(len(texts))]
    path = folder / f"out.{'trn' if form == 'trn' else 'json'}"
    if form == "trn" and any(ALTERNATIVES.search(text.replace("\n", " ")) or text.startswith(";;") for text in texts):
        with pytest.raises(InputError, match="a text must not look like alternatives or a comment in a .trn file, got"):
            write_results(path, ids, texts, form)
        return
    write_results(path, ids, texts, form)
    found = read_corpus([path], [path])
    assert found.ids == ids
    assert [normalize_whitespace(text) for text in found.systems[0]] == [normalize_whitespace(text) for text in texts]


def test_the_forms_are_those_of_the_published_tools(folder: Path) -> None:
    ids, texts = ["COCO_val2014_000000391895", "000000000042"], ["a dog", 'a "cat"']
    write_results(folder / "captions.json", ids, texts, "coco")
    assert json.loads((folder / "captions.json").read_text()) == [
        {"image_id": 391895, "caption": "a dog"},
        {"image_id": 42, "caption": 'a "cat"'},
    ]
    write_results(folder / "answers.json", ["7", "8"], texts, "vqa")
    assert json.loads((folder / "answers.json").read_text())[0] == {"question_id": 7, "answer": "a dog"}
    write_results(folder / "h.TRN", ["spk1-001", "spk1_002"], ["good (um) day", ""])
    assert (folder / "h.TRN").read_text() == "good (um) day (spk1-001)\n (spk1_002)\n"


def test_coco_s_own_reader_takes_the_results(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    annotations = {"images": [{"id": 5}], "annotations": [{"id": 1, "image_id": 5, "caption": "a dog"}], "info": {}}
    (folder / "annotations.json").write_text(json.dumps(annotations))
    write_results(folder / "results.json", ["5"], ["the dog"], "coco")
    loaded = coco.COCO(str(folder / "annotations.json")).loadRes(str(folder / "results.json"))
    assert [entry["caption"] for entry in loaded.loadAnns(loaded.getAnnIds())] == ["the dog"]


@pytest.mark.parametrize(
    ("name", "form", "ids", "match"),
    [
        ("r.json", None, ["1"], "`--write_as` must be one of trn, coco, vqa for .*r.json, got nothing"),
        ("r.txt", "xml", ["1"], "got xml"),
        ("r.json", "coco", ["dog"], "`image_id` must be a whole number, one an item, got 'dog'"),
        ("r.json", "coco", ["42", "000000000042"], "`image_id` must be a whole number, one an item, got 42"),
        ("r.json", "vqa", ["007"], "`question_id` must be a whole number, one an item, got '007'"),
        ("r.trn", None, ["a b"], "an id must have no white space or parentheses in a .trn file, got 'a b'"),
        ("r.trn", None, ["a(b)"], r"got 'a\(b\)'"),
        ("r.trn", None, [""], "an id must have"),
    ],
)
def test_what_a_form_cannot_hold_is_refused(
    folder: Path, name: str, form: str | None, ids: list[str], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        write_results(folder / "new" / name, ids, ["x"] * len(ids), form)
    assert not (folder / "new" / name).exists()
    assert re.fullmatch(r"r\.\w+", name)
