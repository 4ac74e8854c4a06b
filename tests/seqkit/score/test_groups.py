"""Groups of items: bins, keys of files, and resampling of whole groups against loops and enumeration."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data.files import read_lines
from seqkit.errors import InputError
from seqkit.score import compare, score, score_by
from seqkit.score.confidence import Array, Difference, by_group, holm, paired_test, resampled_sums
from seqkit.score.evaluate import paired_tests, scores_with_intervals, statistics, with_holm
from seqkit.score.groups import binned, group_names, groups_of, in_order, lengths, matched_keys, numbered

NUMBERS = st.lists(st.none() | st.integers(-50, 50) | st.floats(-9, 9, width=16), min_size=1, max_size=80)


def mean(sums_R2: Array) -> Array:
    ratio: Array = sums_R2[:, 0] / sums_R2[:, 1]
    return ratio


def counts(values_N: Array) -> Array:
    return np.stack([values_N, np.ones_like(values_N)], 1)


@settings(max_examples=200, deadline=None)
@given(NUMBERS)
def test_bins_hold_each_number_once_in_order_and_none_stays_none(values: list[float | None]) -> None:
    names = binned(values)
    assert [name is None for name in names] == [value is None for value in values]
    known = [(value, name) for value, name in zip(values, names, strict=True) if value is not None]
    assert len({name for _, name in known}) <= max(8, 5)
    ends = {name: [value for value, own in known if own == name] for _, name in known}
    spans = sorted((min(own), max(own)) for own in ends.values())
    assert all(low[1] < high[0] for low, high in zip(spans, spans[1:], strict=False))


def test_bins_are_named_by_their_ends_and_about_equally_full() -> None:
    names = binned([*range(1, 101), None])
    assert in_order(names) == ["1 to 20", "21 to 40", "41 to 60", "61 to 80", "81 to 100"]
    assert [names.count(name) for name in in_order(names)] == [20] * 5
    assert binned([3, 1, 2, 1]) == ["3", "1", "2", "1"]
    skewed = binned([0] * 90 + list(range(1, 11)))
    assert in_order(skewed) == ["0", "1 to 10"]
    assert binned([0.5, 1.25, 10.0, 9.0])[1:3] == ["1.25", "10"]


def test_groups_are_in_the_order_of_people() -> None:
    assert in_order(["s10", "s9", None, "s9"]) == ["s9", "s10"]
    assert in_order(["10", "9.5", "-1"]) == ["-1", "9.5", "10"]


def test_keys_become_groups() -> None:
    keys = [{"speaker": "a", "clean": True, "level": 2}, {"speaker": "b", "clean": False}, {"speaker": "a"}]
    references = [["x"], ["x y"], ["x y"]]
    assert groups_of("speaker", keys, references) == ["a", "b", "a"]
    assert groups_of("clean", keys, references) == ["true", "false", None]
    assert groups_of("level", keys, references) == ["2", None, None]
    assert groups_of("length", keys, references) == ["1", "2", "2"]
    assert groups_of("length", [{"length": 7}] * 3, references) == ["7"] * 3
    assert lengths([["一只狗"], ["草 "]]) == [3, 1] and lengths([["a b", "c"]]) == [2]
    films = [{"film": number // 2} for number in range(40)]
    assert groups_of("film", films, [["x"]] * 40, "--group") == [str(number // 2) for number in range(40)]
    assert len(set(groups_of("film", films, [["x"]] * 40))) == 5
    assert group_names(["a", 3, None]) == ["a", "3", None]


def test_keys_that_make_no_groups_are_refused() -> None:
    keys, references = [{"speaker": "a", "words": [1]}, {"speaker": "b"}], [["x"], ["y"]]
    with pytest.raises(InputError, match="`--by` must be one of speaker, words, length, got `speker`; did you mean"):
        groups_of("speker", keys, references)
    with pytest.raises(InputError, match="`--group` must be length, or a key of a file given by --manifest, got `x`"):
        groups_of("x", (), references, "--group")
    with pytest.raises(InputError, match=r"`--by words` must be a text or a number, got \[1\] in item 1"):
        groups_of("words", keys, references)
    with pytest.raises(InputError, match="must be a text or a number, got NaN in item 1"):
        group_names([float("nan")])
    with pytest.raises(InputError, match="`--by id` must be shared by some items, got another value in each of 9"):
        groups_of("id", [{"id": f"u{n}"} for n in range(9)], [["x"]] * 9)
    with pytest.raises(InputError, match="`--group` must be given in every item, got none in item 2"):
        numbered(["a", None])
    with pytest.raises(InputError, match="`--group` must be a key of at least two groups, got one: 'a'"):
        numbered(["a", "a"])
    assert numbered(["b", "a", "b"]).tolist() == [0, 1, 0]


def test_keys_are_read_from_manifests_and_from_kaldis_utt2spk(tmp_path: Path) -> None:
    def keys(text: str, ids: list[str]) -> object:
        path = tmp_path / "keys"
        path.write_text(text)
        return matched_keys(path, list(read_lines(path)), ids)

    assert keys("u2 bob\n\nu1  amy\nu3 eve\n", ["u1", "u2"]) == [{"speaker": "amy"}, {"speaker": "bob"}]
    assert keys('{"id": "u", "snr": 3}\n{"id": 7}\n', ["7", "u"]) == [{}, {"snr": 3}]
    assert keys('{"id": "u", "snr": 3}\n{"id": "v"}\n', ["1", "2"]) == [{"snr": 3}, {}]
    with pytest.raises(InputError, match="keys: must have the ids of the references, got none of 2, such as a"):
        keys("u bob\nv bob\n", ["a", "b"])
    with pytest.raises(
        InputError, match="keys, line 2: must be a JSON object with an `id`, or an id and a speaker, got"
    ):
        keys("u bob\nv\n", ["u"])
    with pytest.raises(InputError, match='keys, line 2: every id must come once, got "u" again'):
        keys("u bob\nu amy\n", ["u"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=30).filter(lambda own: len(set(own)) > 1), st.integers(0, 9))
def test_resampling_groups_is_a_loop_over_drawn_groups(groups: list[int], seed: int) -> None:
    statistics_NK = np.random.default_rng(seed).integers(0, 9, (len(groups), 3)).astype(float)
    groups_N = numbered([str(group) for group in groups])
    members = [statistics_NK[groups_N == group] for group in range(groups_N.max() + 1)]
    drawn_RG = np.random.default_rng(5).integers(len(members), size=(20, len(members)))
    expected = [sum(members[group].sum(0) for group in drawn) for drawn in drawn_RG]
    assert np.array_equal(resampled_sums(by_group(statistics_NK, groups_N), resamples=20, seed=5), expected)


def test_groups_of_one_item_are_the_items() -> None:
    first_NK, second_NK = np.random.default_rng(0).integers(0, 9, (2, 30, 2)).astype(float) + [0, 1]
    alone = paired_test(first_NK, second_NK, mean, groups_N=np.arange(30))
    assert alone == paired_test(first_NK, second_NK, mean)


def test_the_p_value_of_groups_is_the_enumerated_one() -> None:
    generator = np.random.default_rng(3)
    groups_N = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 2, 7])
    gain_N = generator.normal(0, 1, 30) + generator.normal(0.5, 1, 8)[groups_N]
    gain_G = np.bincount(groups_N, gain_N)
    exact = np.mean([abs(np.dot(signs, gain_G)) >= abs(gain_G.sum()) - 1e-9 for signs in product((-1, 1), repeat=8)])
    order_N = generator.permutation(30)
    pair = counts(np.zeros(30)), counts(gain_N[order_N])
    found = paired_test(*pair, mean, groups_N=groups_N[order_N], resamples=5000)
    assert found.value == pytest.approx(gain_N.mean()) and found.p_value == pytest.approx(exact, abs=0.02)


def test_items_that_hang_together_are_no_evidence_each() -> None:
    """Ten items a speaker that are all right or all wrong: intervals of items are too narrow by the root of ten."""
    generator, rejected, covered = np.random.default_rng(6), {True: 0, False: 0}, {True: 0, False: 0}
    groups_N = np.repeat(np.arange(20), 10)
    for seed in range(60):
        first_N, second_N = generator.normal(0, 1, (2, 20))[:, groups_N]
        for whole in (True, False):
            options = {"groups_N": groups_N if whole else None, "resamples": 99, "seed": seed}
            found = paired_test(counts(first_N), counts(second_N), mean, **options)  # type: ignore[arg-type]
            rejected[whole] += found.p_value <= 0.05
            covered[whole] += found.low <= 0 <= found.high
    assert rejected[True] <= 8 and covered[True] >= 50
    assert rejected[False] >= 20 and covered[False] <= 40


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=6))
def test_holm_rejects_as_the_step_down_procedure_does(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.1, 0.5, *adjusted):
        rejected: set[int] = set()
        for place, test in enumerate(sorted(range(len(p_values)), key=lambda test: p_values[test])):
            if min(1.0, p_values[test] * (len(p_values) - place)) > level:
                break
            rejected.add(test)
        assert {test for test, own in enumerate(adjusted) if own <= level} == rejected


def test_holm_is_applied_to_each_metric_for_itself() -> None:
    pairs = [{"wer": Difference(0, 0, 0, p), "ser": Difference(0, 0, 0, q)} for p, q in ((0.01, 0.9), (0.04, 0.2))]
    assert [(own["wer"].p_holm, own["ser"].p_holm) for own in with_holm(pairs)] == [(0.02, 0.9), (0.04, 0.4)]
    assert with_holm([]) == []


REFERENCES = ["a b c", "a b", "d e f", "d", "a b c d e f"]
SYSTEMS = [["a b c", "a", "d e", "d", "a c d e f"], ["a b", "a b", "d e f", "x", "a b c d e f"], ["a"] * 5]
SPEAKERS = ["s1", "s1", "s2", "s2", "s3"]


def test_from_python_the_figures_are_those_of_the_parts() -> None:
    tallies = [statistics(["wer", "ser"], [[text] for text in REFERENCES], system) for system in SYSTEMS]
    groups_N = numbered(SPEAKERS)
    assert score("WER, ser", REFERENCES, SYSTEMS[0], groups=SPEAKERS, seed=3) == scores_with_intervals(
        tallies[0], groups_N=groups_N, seed=3
    )
    assert compare(["wer", "ser"], REFERENCES, SYSTEMS, groups=SPEAKERS) == with_holm(
        [paired_tests(tallies[0], other, groups_N=groups_N) for other in tallies[1:]]
    )
    by = score_by("wer", REFERENCES, SYSTEMS[0], [*SPEAKERS[:4], None])
    assert by == {
        "s1": score("wer", REFERENCES[:2], SYSTEMS[0][:2]),
        "s2": score("wer", REFERENCES[2:4], SYSTEMS[0][2:4]),
    }
    inside = score_by("wer", REFERENCES, SYSTEMS[0], [1, 1, 2, 2, 2], groups=SPEAKERS)
    assert inside["1"] == by["s1"]  # of items, where all are of one speaker
    assert inside["2"] == score("wer", REFERENCES[2:], SYSTEMS[0][2:], groups=SPEAKERS[2:])
    for values in (inside["2"]["wer"], score("wer", REFERENCES[2:], SYSTEMS[0][2:])["wer"]):
        assert values.value == 20.0 and values.counts["items"] == 3


def test_lists_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="`groups` must be one an item of 5 items, got 2"):
        score("wer", REFERENCES, SYSTEMS[0], groups=["a", "b"])
    with pytest.raises(ValueError, match="`by` must be one an item of 5 items, got 1"):
        score_by("wer", REFERENCES, SYSTEMS[0], ["a"])
    with pytest.raises(ValueError, match="`systems` must be the hypotheses of at least two systems, got 1"):
        compare("wer", REFERENCES, SYSTEMS[:1])


def test_names_with_numbers_of_any_length_are_in_order() -> None:
    groups = ["s10", "s2", "s" + "9" * 5000, "s02b", "t"]
    assert in_order(groups) == ["s2", "s02b", "s10", "s" + "9" * 5000, "t"]
