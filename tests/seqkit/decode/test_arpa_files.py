"""ARPA files as other toolkits write them: text before the head, byte order marks, names, numbers that are none."""

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from seqkit.decode import is_ngram, load_ngram
from seqkit.decode.arpa import load_arpa
from seqkit.decode.ngram import Ngram
from seqkit.errors import InputError
from tests.corpora import DATA
from tests.seqkit.decode.test_ngram import THEIRS, ask

HEAD = """#####
This is a 2-gram model; data begin at: \\data\\
ngram 1=nr            # number of 1-grams

\\1-grams:
p_1     wd_1 bo_wt_1

end of data mark: \\end\\

"""


def same(first: Ngram, second: Ngram) -> bool:
    return first.symbols == second.symbols and bool((first.logprob_G == second.logprob_G).all())


@pytest.mark.parametrize("before", [b"", HEAD.encode(), "made in Köln\n".encode("latin-1"), b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["a.arpa", "a.lm", "a.arpa.gz", "a.txt"])
def test_a_model_is_read_whatever_stands_before_it_and_in_its_name(before: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(THEIRS.removeprefix("made by hand\n"))
    content = before + (tmp_path / "plain").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / name).write_bytes(gzip.compress(content) if name == "a.txt" else content)  # .gz and no .gz both lie
    assert same(load_ngram(tmp_path / name), load_arpa(tmp_path / "plain"))


@pytest.mark.parametrize(
    "number, text",
    [
        ("nan", "line 10: must be a finite number, got nan"),
        ("inf", "line 10: must be a finite number, got inf"),
        ("-1e999", "line 10: must be a finite number, got -1e999"),
        ("0.25", "line 10: log10 of a probability must be 0 or less, got 0.25"),
    ],
)
def test_probabilities_that_are_none_are_named(number: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_text(THEIRS.replace("-0.7 a", f"{number} a"))
    with pytest.raises(InputError, match=text):
        load_arpa(tmp_path / "a.arpa")


@pytest.mark.parametrize("weight", ["nan", "-inf", "1e300"])
def test_back_offs_that_are_no_numbers_are_named(weight: str, tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_text(THEIRS.replace("-0.7 a -0.25", f"-0.7 a {weight}"))
    with pytest.raises(InputError, match=f"line 10: must be a finite number, got {weight}"):
        load_arpa(tmp_path / "a.arpa")


def test_a_probability_of_zero_is_srilms(tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_text(THEIRS.replace("-0.6\tb", "-inf\tb"))
    assert ask(load_arpa(tmp_path / "a.arpa"), ["b"])[0] == pytest.approx((-99 - 0.5) * math.log(10), abs=1e-3)


def test_signs_in_capitals_and_words_in_another_normal_form_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.arpa"
    text = THEIRS.replace("<s>", "<S>").replace("</s>", "</S>").replace("<unk>", "<UNK>")
    for name, content in (("plain", THEIRS), ("upper", text)):
        (tmp_path / name).write_text(content)
    assert same(load_arpa(tmp_path / "upper"), load_arpa(tmp_path / "plain"))
    path.write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-0.5\tre\u0301d\n-0.5\t</s>\n\n\\end\\\n", encoding="utf-8")
    assert "r\u00e9d" in load_arpa(path).symbols
    path.write_text(path.read_text().replace("1=2", "1=3").replace("-0.5\t</s>", "-0.1\tr\u00e9d\n-0.5\t</s>"))
    with pytest.raises(InputError, match="n-grams must be different, got `r\u00e9d` twice"):
        load_arpa(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"mmap lm http://kheafield.com/code format version 5\n\0\0", "a binary of KenLM.*; give the ARPA file"),
        ("\\data\\\n".encode("utf-16"), "UTF-16; convert the file to UTF-8"),
        (b"BZh91AY", "a file packed by bzip2; unpack it"),
        (b"hello\n", "a file that is cut short or is no ARPA file"),
    ],
)
def test_what_is_no_arpa_file_is_named(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_bytes(content)
    with pytest.raises(InputError, match=f"a.arpa: must end in .*, got {text}"):
        load_arpa(tmp_path / "a.arpa")


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.arpa.gz").write_bytes(gzip.compress(THEIRS.encode())[:-20])
    with pytest.raises(InputError, match=r"a.arpa.gz: must be a whole file, got damage"):
        load_ngram(tmp_path / "a.arpa.gz")


def test_the_file_that_an4_comes_with() -> None:
    path = DATA / "an4/etc/an4.ug.lm"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    model = load_ngram(path)
    assert is_ngram(path) and model.order == 2 and len(model.symbols) == 107
    assert np.isfinite(model.logprob_G).all() and {"<unk>", "APRIL", "ZERO"} <= {*model.symbols}
