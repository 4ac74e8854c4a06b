"""Metrics of one's own by `module:NAME`, beside those that are known, whose names may be in any case."""

import hashlib
import sys
from pathlib import Path

import pytest

from seqkit.errors import InputError
from seqkit.score import METRICS, compare, score
from seqkit.score.evaluate import metric_named, statistics
from seqkit.score.import_object import import_object
from seqkit.score.own_metric import own_metric
from seqkit.score.remarks import remarks

MODULE = """
import math
import numpy as np
from seqkit.score import METRICS

def first_word(references, hypothesis):
    return 100 * any(text.split()[:1] == hypothesis.split()[:1] for text in references)

def extra(references, hypothesis):
    return np.float64(len(hypothesis.split()) - len(references[0].split()))
extra.lower_is_better = True

nan = lambda references, hypothesis: math.nan
text = lambda references, hypothesis: "1"
words = METRICS["wer"]
number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module in the folder that one works in."""
    path = tmp_path / "bleu_like.py"  # begins as a known metric does
    path.write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    for cached in (own_metric, import_object):
        cached.cache_clear()
    monkeypatch.delitem(sys.modules, "bleu_like", raising=False)
    return path


def test_a_function_is_a_mean_over_items_with_interval_and_test(module: Path) -> None:
    references, hypotheses = [["a b", "c d"], ["x"], ["y"]], ["c", "x y", "z"]
    found = score(" bleu_like:first_word, wer", references, hypotheses)
    own = found["bleu_like:first_word"]
    assert own.value == pytest.approx(200 / 3) and 0 <= own.low < own.value < own.high <= 100
    assert own.counts == {"items": 3, "sum": 200, "items_scored": 3}
    digest = hashlib.sha256(module.read_bytes()).hexdigest()[:8]
    assert own.signature.startswith(f"bleu_like:first_word|nrefs:var|case:mixed|punct:yes|library:own|source:{digest}|")
    assert found["wer"] == score("wer", references, hypotheses)["wer"]
    (pair,) = compare("bleu_like:extra", ["a b"] * 4, [["a b"] * 4, ["a"] * 4])
    assert pair["bleu_like:extra"].value == -1
    assert own_metric("bleu_like:extra").lower_is_better and not own_metric("bleu_like:first_word").lower_is_better


def test_remarks_on_known_metrics_are_not_made_on_ones_own() -> None:
    tallies = statistics(["bleu_like:first_word"], [["a"], ["b"]], ["a", "c"])
    assert remarks(tallies, [["a"], ["b"]], ["a", "c"]) == []


def test_a_metric_is_taken_as_it_is() -> None:
    assert own_metric("bleu_like:words") is METRICS["wer"]
    found = score("bleu_like:words", ["a b"], ["a"])["bleu_like:words"]
    assert (found.value, found.counts["deletions"]) == (50, 1)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("bleu_like:nan", "'bleu_like:nan' must give a finite number for every item, got nan for item 1"),
        ("bleu_like:text", "must give a finite number for every item, got '1' for item 1"),
        ("bleu_like:number", "'bleu_like:number' must be a function or a seqkit.score.Metric, got int"),
        ("bleu_like:absent", "must be module:NAME, got 'bleu_like:absent', and bleu_like has no 'absent'"),
        ("no_such_module:x", "must be module:NAME, got 'no_such_module:x', and there is no module 'no_such_module'"),
        ("bleu_like.inner:x", "there is no module 'bleu_like.inner'"),
        (":x", "a metric of your own must be module:NAME, got ':x'"),
        (".bleu_like:x", "must be module:NAME, got '.bleu_like:x'"),
    ],
)
def test_what_is_no_metric_is_refused(name: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        score(name, ["a"], ["a"])


def test_a_fault_inside_the_module_is_shown_whole(module: Path) -> None:
    module.write_text("import no_such_package\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        score("bleu_like:first_word", ["a"], ["a"])


def test_names_may_be_in_any_case_and_with_hyphens() -> None:
    found = score("WER, Rouge-L,chrF++,BLEU4,VQA_accuracy,wer", ["a b c d"], ["a b c d"])
    assert list(found) == ["wer", "rouge_l", "chrf++", "bleu4", "vqa_accuracy"]
    assert metric_named("IoU-0.5")[0] == "iou_0.5"
    with pytest.raises(InputError, match=r"a metric must be one of wer .*, got 'rouge'; did you mean rouge_l\?"):
        metric_named("rouge")
    with pytest.raises(InputError, match=r"or module:NAME, got 'xyzzy'$"):
        metric_named("xyzzy")
