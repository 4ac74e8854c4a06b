"""Resampling against plain loops and enumeration; intervals and tests against what statistics promises."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from seqkit.score import METRICS, TextOptions, confidence, counting
from seqkit.score.confidence import Array, Difference, bootstrap, interval, paired_test, resampled_sums, swapped_sums
from seqkit.score.evaluate import paired_tests, scores_with_intervals, statistics
from seqkit.score.metric import References


def mean(sums_R2: Array) -> Array:
    ratio: Array = sums_R2[:, 0] / sums_R2[:, 1]
    return ratio


def counts(values_N: Array) -> Array:
    return np.stack([values_N, np.ones_like(values_N)], 1)


@pytest.mark.parametrize("items", [1, 2, 7, 50])
def test_resampled_sums_are_those_of_a_loop_over_draws(items: int) -> None:
    statistics_NK = np.random.default_rng(items).integers(0, 9, (items, 3)).astype(float)
    drawn_RN = np.random.default_rng(5).integers(items, size=(20, items))
    expected = [sum(statistics_NK[n] for n in drawn) for drawn in drawn_RN]
    assert np.array_equal(resampled_sums(statistics_NK, resamples=20, seed=5), expected)


def test_draws_depend_on_seed_and_items_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    first_NK, other_NK = np.random.default_rng(0).integers(0, 9, (2, 30, 2)).astype(float)
    both = resampled_sums(np.hstack([first_NK, other_NK]), seed=3)
    assert np.array_equal(both[:, :2], resampled_sums(first_NK, seed=3))
    assert not np.array_equal(both[:, :2], resampled_sums(first_NK, seed=4))
    monkeypatch.setattr(confidence, "_ENTRIES", 100)
    assert np.array_equal(both[:, :2], resampled_sums(first_NK, seed=3))


def test_sums_are_those_of_adding_one_item_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    counts_NK = np.random.default_rng(0).normal(0, 1e3, (50, 2))
    expected = np.cumsum(counts_NK, axis=0)[-1]
    for rows in (1, 7, 50, 64):
        monkeypatch.setattr(confidence, "_ROWS", rows)
        assert np.array_equal(confidence.total(counts_NK), expected)


@pytest.mark.parametrize("items", [4, 5, 6, 11])
def test_statistics_in_parts_are_those_of_the_whole(items: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in METRICS if not name.startswith(("wups", "iou", "meteor"))]
    references = [[f"the cat {n} sat", *["A dog ran home"] * (n % 3)] for n in range(items)]
    hypotheses = [f"The cat  {n} sat down" for n in range(items)]
    whole = statistics(names, references, hypotheses)
    most, counter = [0], METRICS["wer"].statistics

    def watched(own: References, given: Sequence[str], options: TextOptions) -> Array:
        most.append(len(given))
        return counter(own, given, options)

    monkeypatch.setitem(METRICS, "wer", METRICS["wer"]._replace(statistics=watched))
    monkeypatch.setattr(counting, "PART", 5)
    parts = statistics(names, references, hypotheses)
    assert list(parts) == names and max(most) == min(5, items)
    for name in names:
        assert np.array_equal(parts[name].statistics_NK, whole[name].statistics_NK), name


def test_the_interval_of_a_mean_is_as_wide_as_the_normal_law_says() -> None:
    values_N = np.random.default_rng(1).normal(50, 10, 900)
    low, high = bootstrap(counts(values_N), mean, resamples=4000)
    assert low < values_N.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values_N.std() / math.sqrt(900), rel=0.06)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for seed in range(300):
        low, high = bootstrap(counts(generator.normal(0, 1, 60)), mean, resamples=200, seed=seed)
        covered += low <= 0 <= high
    assert 0.90 <= covered / 300 <= 0.985


def test_interval_takes_the_middle_share() -> None:
    assert interval(np.arange(101.0)) == (2.5, 97.5)
    assert interval(np.arange(101.0), level=80.0) == (10.0, 90.0)


def test_one_item_has_an_interval_of_no_width() -> None:
    assert bootstrap(np.array([[3.0, 4.0]]), mean) == (0.75, 0.75)


def test_swaps_exchange_whole_items_and_reach_every_assignment() -> None:
    first_NK, second_NK = np.array([[1.0, 5], [10, 50], [100, 500]]), np.array([[2.0, 7], [20, 70], [200, 700]])
    first_RK, second_RK = swapped_sums(first_NK, second_NK, resamples=400)
    systems, sides = (first_NK, second_NK), list(product((0, 1), repeat=3))
    possible = {tuple(sum(systems[side][n] for n, side in enumerate(chosen))) for chosen in sides}
    assert set(map(tuple, first_RK)) == possible
    assert np.array_equal(first_RK + second_RK, np.tile(first_NK.sum(0) + second_NK.sum(0), (400, 1)))


def test_a_system_against_itself_differs_by_nothing() -> None:
    statistics_NK = counts(np.random.default_rng(0).normal(size=50))
    assert paired_test(statistics_NK, statistics_NK, mean) == Difference(0.0, 0.0, 0.0, 1.0)


def test_p_value_is_the_enumerated_one() -> None:
    generator = np.random.default_rng(3)
    first_N, second_N = generator.normal(0, 1, 9), generator.normal(0.6, 1, 9)
    gain_N = second_N - first_N
    signed = [abs(np.dot(signs, gain_N)) for signs in product((-1, 1), repeat=9)]
    exact = np.mean(np.array(signed) >= abs(gain_N.sum()) - 1e-9)
    found = paired_test(counts(first_N), counts(second_N), mean, resamples=5000)
    assert found.value == pytest.approx(gain_N.mean())
    assert found.p_value == pytest.approx(exact, abs=0.02)


def test_the_smallest_p_value_is_one_over_the_resamples_and_one() -> None:
    zeros_N, ones_N = np.zeros(40), np.ones(40)
    found = paired_test(counts(zeros_N), counts(ones_N), mean, resamples=199)
    assert found == Difference(1.0, 1.0, 1.0, 1 / 200)
    assert paired_test(counts(ones_N), counts(zeros_N), mean, resamples=199) == Difference(-1.0, -1.0, -1.0, 1 / 200)


def test_equal_systems_are_told_apart_as_seldom_as_the_p_value_says() -> None:
    generator = np.random.default_rng(4)
    rejected = 0
    for seed in range(300):
        first_NK, second_NK = (counts(generator.normal(size=30)) for _ in range(2))
        rejected += paired_test(first_NK, second_NK, mean, resamples=99, seed=seed).p_value <= 0.10
    assert 0.06 <= rejected / 300 <= 0.145


def test_p_values_of_bleu_are_close_to_sacrebleus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "1")
    generator = np.random.default_rng(5)
    references = [" ".join(generator.choice(list("abcdefgh"), 9)) for _ in range(60)]

    def noisy(rate: float) -> list[str]:
        return [" ".join(w if generator.random() > rate else "z" for w in text.split()) for text in references]

    systems = [("first", noisy(0.20)), ("second", noisy(0.235))]
    _, found = PairedTest(systems, {"BLEU": BLEU()}, [references], test_type="ar", n_samples=2000)()
    theirs = found["BLEU"][1].p_value
    first, second = (statistics(["bleu"], [[text] for text in references], texts) for _, texts in systems)
    ours = paired_tests(first, second, resamples=2000)["bleu"]
    assert 0.02 < theirs < 0.9 and ours.p_value == pytest.approx(theirs, abs=0.05)
    assert ours.value == scores_with_intervals(second)["bleu"].value - scores_with_intervals(first)["bleu"].value
    assert ours.low < ours.value < ours.high


def test_scores_of_some_rows_are_those_of_the_rows_alone() -> None:
    references, hypotheses = [["a b c d"], ["e f g"], ["h i"]], ["a b c x", "e f", "h i"]
    some = scores_with_intervals(statistics(["wer", "bleu"], references, hypotheses), np.array([0, 2]), seed=1)
    alone = scores_with_intervals(statistics(["wer", "bleu"], references[::2], hypotheses[::2]), seed=1)
    assert some == alone


def test_several_metrics_at_once_have_the_intervals_of_each_alone() -> None:
    references, hypotheses = [["a b c d e"], ["e f g"], ["h i j"]], ["a b c x e", "e f", "h i j"]
    tallies = statistics(["wer", "bleu", "ter"], references, hypotheses)
    assert scores_with_intervals(tallies) == {
        name: scores_with_intervals({name: found})[name] for name, found in tallies.items()
    }
    assert len({score.high for score in scores_with_intervals(tallies).values()}) > 1


def test_thirty_thousand_items_do_not_need_a_matrix_of_all_draws() -> None:
    statistics_NK = np.ones((30_000, 2))
    assert (resampled_sums(statistics_NK, resamples=80) == 30_000).all()


def test_faults_are_told() -> None:
    with pytest.raises(ValueError, match=r"items and `resamples` must be at least 1, got 0 and 1000"):
        resampled_sums(np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"items and `resamples` must be at least 1, got 2 and 0"):
        swapped_sums(np.zeros((2, 2)), np.zeros((2, 2)), resamples=0)
    with pytest.raises(ValueError, match=r"`second_NK` must be of shape \(2, 2\) as `first_NK`, got \(3, 2\)"):
        paired_test(np.ones((2, 2)), np.ones((3, 2)), mean)
