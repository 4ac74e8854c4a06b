"""COCO's BLEU, CIDEr-D and ROUGE-L against the official scripts, published figures and plain references; diversity."""

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seqkit.score.caption import Diversity, cider, diversity, document_frequencies, ngrams, rouge_l, weigh
from seqkit.score.evaluate import corpus_scores, paired_tests, scores_with_intervals, statistics
from seqkit.score.metric import TextOptions
from seqkit.score.ptb import tokenize
from tests.corpora import DATA

CASES = DATA / "score_cases" / "caption_cases.json"
COCO = ["bleu1", "bleu2", "bleu3", "bleu4", "cider", "rouge_l"]
PTB = TextOptions(tokenizer="ptb")
WORDS = ["a", "dog", "runs", "the", "cat", "can't", "Mr.", "1/2", ","]
CAPTIONS = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
CORPORA = st.lists(st.tuples(st.lists(CAPTIONS, min_size=1, max_size=4), CAPTIONS), min_size=1, max_size=7)
Corpus = list[tuple[list[str], str]]


def both(corpus: Corpus) -> tuple[list[list[str]], list[str]]:
    return [references for references, _ in corpus], [hypothesis for _, hypothesis in corpus]


def item_values(corpus: Corpus) -> dict[str, list[float]]:
    found = statistics(COCO, *both(corpus), PTB)
    return {name: found[name].metric.value(found[name].statistics_NK).tolist() for name in COCO}


@settings(max_examples=80, deadline=None)
@given(CORPORA)
def test_every_figure_is_that_of_the_official_scripts(corpus: Corpus) -> None:
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu").Bleu(4)
    means = [pytest.importorskip(f"pycocoevalcap.{name.lower()}.{name.lower()}") for name in ("Cider", "Rouge")]
    theirs = {n: [" ".join(tokenize(text)) for text in texts] for n, (texts, _) in enumerate(corpus)}
    ours = {n: [" ".join(tokenize(text))] for n, (_, text) in enumerate(corpus)}
    assume(any("".join(texts) for texts in theirs.values()))  # on none but empty references the official CIDEr-D fails
    totals, items = bleu.compute_score(theirs, ours, verbose=0)
    for scorer in (means[0].Cider(), means[1].Rouge()):
        score, each = scorer.compute_score(theirs, ours)
        totals.append(score)
        items.append(list(each))
    found, each_found = corpus_scores(statistics(COCO, *both(corpus), PTB)), item_values(corpus)
    for name, total, each in zip(COCO, totals, items, strict=True):
        assert each_found[name] == pytest.approx([100 * value for value in each], rel=1e-14), name
        assert found[name] == (100 * total if "bleu" in name else pytest.approx(100 * total, rel=1e-14)), name


@pytest.mark.skipif(not CASES.is_file(), reason="needs the shared folder of published data beside the repository")
def test_figures_are_the_official_ones_of_the_published_cases() -> None:
    found = json.loads(CASES.read_text(encoding="utf-8"))
    sets = [(found["cases"], found["corpus_scores"]), *((s["items"], s["corpus"]) for s in found["small_sets"])]
    assert len(sets) == 13
    official = dict(zip(COCO, ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "CIDEr", "ROUGE-L"], strict=True))
    for items, total in sets:
        corpus = [(item["references"], item["hypothesis"]) for item in items]
        ours, each = corpus_scores(statistics(COCO, *both(corpus), PTB)), item_values(corpus)
        for name, key in official.items():
            assert each[name] == pytest.approx([100 * item["scores"][key] for item in items], rel=1e-14)
            assert ours[name] == pytest.approx(100 * total[key], rel=1e-14)


def dense_cider(corpus: Corpus) -> float:
    """The paper's equations on vectors over all n-grams of the set."""
    texts = [[tokenize(text) for text in (*references, hypothesis)] for references, hypothesis in corpus]
    each = []
    for *references, hypothesis in texts:
        total = 0.0
        for order in (1, 2, 3, 4):
            known = sorted({gram for item in texts for words in item for gram in ngrams(words) if len(gram) == order})
            found = [[sum(ngrams(words)[gram] > 0 for words in item[:-1]) > 0 for gram in known] for item in texts]
            idf = np.log(len(texts)) - np.log(np.maximum(1, np.sum(np.array(found).reshape(len(texts), -1), axis=0)))
            ours = np.array([ngrams(hypothesis)[gram] for gram in known]) * idf
            for words in references:
                theirs = np.array([ngrams(words)[gram] for gram in known]) * idf
                gap = len(hypothesis) - len(words)
                norm = np.linalg.norm(ours) * np.linalg.norm(theirs)
                product = float(np.minimum(ours, theirs) @ theirs)
                total += (product / norm if norm else 0.0) * math.exp(-(gap**2) / (2 * 6**2)) / len(references) / 4
        each.append(10 * total)
    return float(np.mean(each))


def longest(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    if not first or not second:
        return 0
    if first[0] == second[0]:
        return 1 + longest(first[1:], second[1:])
    return max(longest(first[1:], second), longest(first, second[1:]))


@settings(max_examples=25, deadline=None)
@given(CORPORA)
def test_figures_are_those_of_the_definitions(corpus: Corpus) -> None:
    found, each = corpus_scores(statistics(COCO, *both(corpus), PTB)), item_values(corpus)
    assert found["cider"] == pytest.approx(100 * dense_cider(corpus), rel=1e-9, abs=1e-9)
    for (references, hypothesis), value in zip(corpus, each["rouge_l"], strict=True):
        words, texts = tuple(tokenize(hypothesis)), [tuple(tokenize(text)) for text in references]
        if words and all(texts):
            p = max(longest(words, text) / len(words) for text in texts)
            r = max(longest(words, text) / len(text) for text in texts)
            assert value == pytest.approx(100 * (2.44 * p * r / (r + 1.44 * p) if p and r else 0))
    words = [tokenize(hypothesis) for _, hypothesis in corpus]
    clipped = sum(
        min(count, max(tokenize(text).count(word) for text in references))
        for (references, _), hypothesis in zip(corpus, words, strict=True)
        for word, count in Counter(hypothesis).items()
    )
    assert found["bleu1"] <= 100 * clipped / max(1, sum(map(len, words))) + 1e-9


def test_the_brevity_penalty_takes_the_closest_reference_and_of_equals_the_shorter() -> None:
    found = statistics(["bleu1"], [["a b c d", "a b c d e f g"], ["x y z", "x"]], ["a b c d e", "x y"], PTB)["bleu1"]
    assert found.statistics_NK[:, 1].tolist() == [4, 1]
    short = corpus_scores(statistics(["bleu1"], [["a b c d"]], ["a b"], PTB))["bleu1"]
    assert short == pytest.approx(100 * math.exp(1 - 4 / 2))


def test_a_perfect_caption_and_one_that_shares_nothing() -> None:
    references = [["a dog runs by"], ["two cats sit here"]]
    perfect = corpus_scores(statistics(COCO, references, ["A dog runs by.", "Two cats sit here!"], PTB))
    assert perfect == {name: pytest.approx(1000 if name == "cider" else 100) for name in COCO}
    nothing = corpus_scores(statistics(COCO, references, ["one", "nobody"], PTB))
    assert nothing == {name: pytest.approx(0, abs=1e-6) for name in COCO}
    assert corpus_scores(statistics(["cider"], [["a dog runs by"]], ["a dog runs by"]))["cider"] == 0.0


def test_empty_hypotheses_and_references_have_scores() -> None:
    references, hypotheses = [["", "a dog"], [""], ["a cat"]], ["", "", ""]
    found = statistics(COCO, references, hypotheses, PTB)
    assert corpus_scores(found) == {name: 0.0 if name != "rouge_l" else pytest.approx(200 / 3) for name in COCO}
    both_empty = scores_with_intervals(statistics(COCO, [[""], ["."]], ["", ","], PTB))
    assert both_empty["rouge_l"].value == 100 and all(math.isfinite(score.high) for score in both_empty.values())
    assert corpus_scores(statistics(COCO, [[""], [""]], ["a", "b"], PTB)) == {
        name: pytest.approx(0, abs=1e-4) for name in COCO
    }


def test_document_frequencies_are_those_of_the_whole_set_in_every_part_of_it() -> None:
    references = [["a dog runs"], ["a dog sits"], ["a cat runs"], ["two birds"]]
    hypotheses = ["a dog runs", "a cat sits", "a cat", "birds"]
    found = statistics(["cider"], references, hypotheses)
    each = found["cider"].metric.value(found["cider"].statistics_NK)
    part = scores_with_intervals(found, np.array([0, 2]))["cider"]
    assert part.value == pytest.approx((each[0] + each[2]) / 2)
    assert part.value != pytest.approx(corpus_scores(statistics(["cider"], references[::2], hypotheses[::2]))["cider"])
    whole = scores_with_intervals(found)["cider"]
    assert whole.value == pytest.approx(each.mean()) and whole.low < whole.value < whole.high
    assert whole.counts == {"items": 4, "cider_sum": pytest.approx(each.sum() / 100), "captions": 4}


def test_captions_are_scored_one_by_one_with_frequencies_from_elsewhere() -> None:
    """What a reward needs: references of the training set, captions that were never seen."""
    frequencies = document_frequencies([[["a", "dog"], ["a", "pup"]], [["a", "cat"]], [["the", "sea"]]])
    assert frequencies.items == 3 and frequencies.counts["a",] == 2 and frequencies.counts["a", "dog"] == 1
    new = weigh(["a", "zebra"], frequencies)
    assert new.weights[0]["zebra",] == pytest.approx(math.log(3))
    assert new.weights[0]["a",] == pytest.approx(math.log(1.5))
    references = [weigh(["a", "dog"], frequencies), weigh(["a", "pup"], frequencies)]
    assert cider(references[0], references[:1]) == pytest.approx(10 * 2 / 4)  # it has no trigrams, nor longer
    assert cider(references[0], references) == pytest.approx(cider(references[0], references[::-1]))
    assert 0 < cider(new, references) < cider(references[0], references)
    repeated = weigh(["dog"] * 9, frequencies)
    assert cider(repeated, references[:1]) < cider(weigh(["dog"], frequencies), references[:1])


def test_rouge_takes_the_best_precision_and_the_best_recall_from_different_references() -> None:
    short, long = ["a", "b"], ["a", "b", "c", "d", "e", "f"]
    hypothesis = ["a", "c", "d", "x"]
    precision, recall = 3 / 4, 1 / 2
    assert rouge_l(hypothesis, [short, long]) == pytest.approx(2.44 * precision * recall / (recall + 1.44 * precision))


def test_a_no_break_space_in_a_token_parts_words_for_n_grams_alone() -> None:
    found = statistics(["bleu1", "rouge_l"], [["a 2 1/2 b"]], ["2 1/2"], PTB)
    assert found["bleu1"].statistics_NK[0, :2].tolist() == [2, 4]
    assert corpus_scores(found)["rouge_l"] == pytest.approx(100 * 2.44 / 3 / (1 / 3 + 1.44))


def test_bleu_is_sacrebleus_beside_cocos_and_signatures_tell_them_apart() -> None:
    references = [["A man, a plan.", "He isn't in."], ["The U.S. flag flies high."]]
    hypotheses = ["a man a plan", "the flag flies"]
    found = scores_with_intervals(statistics(["bleu", *COCO], references, hypotheses, PTB))
    plain = scores_with_intervals(statistics(["bleu", *COCO], references, hypotheses))
    assert found["bleu"] == plain["bleu"] and "|tok:13a|" in found["bleu"].signature
    assert found["cider"] == plain["cider"] and found["rouge_l"] == plain["rouge_l"]
    assert found["bleu1"].value > plain["bleu1"].value
    for name in COCO:
        assert found[name].signature.startswith(f"{name}|nrefs:var|case:lc|tok:ptb|punct:coco|")
        assert "|library:seqkit|equals:pycocoevalcap-1.2|text:nfc+space|seqkit:" in found[name].signature
    assert "|order:1|" in found["bleu1"].signature and "|order:4|" in found["bleu4"].signature
    assert "|smooth:add-1e-15-over-1e-9|" in found["bleu4"].signature
    assert "|variant:d|order:4|sigma:6|df:set|" in found["cider"].signature
    assert "|beta:1.2|" in found["rouge_l"].signature
    assert "|library:sacrebleu|" in plain["bleu4"].signature


def test_cocos_metrics_see_the_case_of_the_text_even_where_others_do_not() -> None:
    references, hypotheses = [["An AT&T van by A. The end"], ["a dog"]], ["an AT&T van", "a dog"]
    lower = statistics([*COCO, "bleu"], references, hypotheses, PTB._replace(lowercase=True))
    plain = statistics([*COCO, "bleu"], references, hypotheses, PTB)
    assert [lower[name][1].tolist() for name in COCO] == [plain[name][1].tolist() for name in COCO]
    assert [lower[name].signature for name in COCO] == [plain[name].signature for name in COCO]
    assert corpus_scores(lower)["bleu"] > corpus_scores(plain)["bleu"] and "|case:lc|" in lower["bleu"].signature
    bare = statistics(["rouge_l"], [["a man's dog"]], ["a mans dog"], PTB._replace(punctuation=False))["rouge_l"]
    assert corpus_scores({"rouge_l": bare})["rouge_l"] == 100 and "|punct:no|" in bare.signature


def test_orders_share_their_counts() -> None:
    found = statistics(COCO, [["a b"]], ["a"], PTB)
    assert all(found[name].statistics_NK is found["bleu1"].statistics_NK for name in COCO[:4])


def test_two_systems_are_told_apart() -> None:
    references = [[f"a dog number {n} runs over the hill {n % 7}"] for n in range(40)]
    good = [texts[0] if n % 3 else "a dog" for n, texts in enumerate(references)]
    bad = ["a dog runs"] * 40
    found = paired_tests(statistics(COCO, references, bad, PTB), statistics(COCO, references, good, PTB), resamples=200)
    assert all(difference.low > 0 and difference.p_value < 0.01 for difference in found.values())


def test_diversity_counts_new_captions_words_and_lengths() -> None:
    found = diversity(["A dog runs.", "a cat", "the cat sits on it", ""], iter(["a dog runs", "The cat sits."]))
    assert found == Diversity(novel=75.0, distinct_words=8, mean_length=2.5)
    assert diversity(["x y", "x y"], ["X, y!"]) == Diversity(0.0, 2, 2.0)
    with pytest.raises(ValueError, match=r"`hypotheses` must hold at least one caption, got none"):
        diversity([], ["a"])


def test_numbers_are_plain() -> None:
    found: Any = json.loads(
        json.dumps(scores_with_intervals(statistics(COCO, [["a b"], ["c"]], ["a", "c"], PTB))["cider"]._asdict())
    )
    assert found["counts"]["captions"] == 2
    assert json.dumps(diversity(["a"], [])) == "[100.0, 1, 1.0]"
