"""The table of metrics, and scores of a corpus by several of them with the same resamples.

N items, K counts an item, R corpora.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import InputError
from seqkit.score.bleu import BLEU_METRICS, has_ngrams
from seqkit.score.bleu import TOKENIZERS as SACREBLEU
from seqkit.score.boxes import BOX_METRICS
from seqkit.score.caption import CAPTION_METRICS, COCO_BLEU
from seqkit.score.confidence import RESAMPLES, Difference, by_group, holm, interval, paired_test, resampled_sums, total
from seqkit.score.counting import item_counts
from seqkit.score.error_rate import ERROR_RATES, edit_counts
from seqkit.score.groups import Groups, group_names, in_order, numbered
from seqkit.score.language import options_for
from seqkit.score.meteor import METEOR
from seqkit.score.metric import AS_IT_IS, Array, Metric, References, Score, TextOptions, signature
from seqkit.score.own_metric import own_metric
from seqkit.score.vqa import ANSWER_METRICS
from seqkit.score.wups import WUPS_METRICS

METRICS: dict[str, Metric] = (
    ERROR_RATES | BLEU_METRICS | CAPTION_METRICS | METEOR | ANSWER_METRICS | WUPS_METRICS | BOX_METRICS
)
TOKENIZERS = (*SACREBLEU, "ptb", "ptb+char")


def score(
    metrics: str | Sequence[str],
    references: Sequence[str | Sequence[str]],
    hypotheses: Sequence[str],
    options: TextOptions = AS_IT_IS,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Score]:
    """Scores hypotheses against references, each a text or several, as `seqkit score` does.

    `metrics` are names of METRICS in any case or `module:NAME`, in a list or separated by commas. `groups` names the
    group of every item, such as its speaker, where intervals should be of whole groups (`--group`).
    Raises InputError for an unknown metric or tokenizer, and for a single group; ValueError where the numbers of
    references, hypotheses and groups differ.
    """
    tallies = _tallied(metrics, references, hypotheses, options)
    groups_N = _numbered(groups, len(hypotheses))
    return scores_with_intervals(tallies, groups_N=groups_N, resamples=resamples, seed=seed)


def score_by(
    metrics: str | Sequence[str],
    references: Sequence[str | Sequence[str]],
    hypotheses: Sequence[str],
    by: Sequence[str | float | None],
    options: TextOptions = AS_IT_IS,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Score]]:
    """Scores every group of items by itself, as `seqkit score --by` does.

    `by` has a text or a number for every item, None where it is in no group; many different numbers are binned. Where
    one of these lies within one of `groups`, its interval is of its items.
    Raises as `score` does.
    """
    tallies = _tallied(metrics, references, hypotheses, options)
    if len(by) != len(hypotheses):
        raise ValueError(f"`by` must be one an item of {len(hypotheses)} items, got {len(by)}")
    groups_N = _numbered(groups, len(hypotheses))
    return scores_by_group(tallies, group_names(by), groups_N=groups_N, resamples=resamples, seed=seed)


def compare(
    metrics: str | Sequence[str],
    references: Sequence[str | Sequence[str]],
    systems: Sequence[Sequence[str]],
    options: TextOptions = AS_IT_IS,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[dict[str, Difference]]:
    """Tests the hypotheses of every further system against those of the first, as `seqkit score` does.

    Gives for each of them its differences by metric, with `p_holm` corrected for the number of systems. Raises as
    `score` does, and ValueError for fewer than two systems.
    """
    if len(systems) < 2:
        raise ValueError(f"`systems` must be the hypotheses of at least two systems, got {len(systems)}")
    first, *others = (_tallied(metrics, references, hypotheses, options) for hypotheses in systems)
    groups_N = _numbered(groups, len(systems[0]))
    draws = {"resamples": resamples, "seed": seed}
    return with_holm([paired_tests(first, other, groups_N=groups_N, **draws) for other in others])


def metric_named(name: str) -> tuple[str, Metric]:
    """Finds a metric by its name in any case, `-` for `_`, or by `module:NAME`; returns it with its own name.

    Raises InputError for an unknown one.
    """
    name = name.strip()
    if ":" in name:
        return name, own_metric(name)
    plain = name.lower().replace("-", "_")
    if plain not in METRICS:
        close = difflib.get_close_matches(plain, METRICS, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"a metric must be one of {' '.join(METRICS)} or module:NAME, got {name!r}{meant}")
    return plain, METRICS[plain]


class Statistics(NamedTuple):
    """The statistics of every item by one metric."""

    metric: Metric
    statistics_NK: Array
    signature: str


def statistics(
    names: Sequence[str], references: References, hypotheses: Sequence[str], options: TextOptions = AS_IT_IS
) -> dict[str, Statistics]:
    """Computes the statistics of every metric named; metrics that share statistics have them computed once.

    Texts are compared in NFC with single spaces unless `options.raw`; the tokenizer, where it is None, follows the
    references. With the tokenizer `ptb`, `bleu1` to `bleu4` are those of the COCO caption evaluation. These four,
    `cider`, `rouge_l`, `meteor` and `vqa_accuracy` lowercase by themselves, whatever `lowercase` says.
    Raises InputError for an unknown metric or tokenizer, and where a metric cannot do with the references or with the
    options; ValueError for no items, for an item without a reference, and for references and hypotheses of different
    number.
    """
    named = dict(map(metric_named, names))
    if options.tokenizer not in (None, *TOKENIZERS):
        raise InputError(f"the tokenizer must be one of {' '.join(TOKENIZERS)}, got {options.tokenizer!r}")
    if not hypotheses:
        raise ValueError("`hypotheses` must be at least one, got none")
    if len(references) != len(hypotheses):
        raise ValueError(f"`hypotheses` must be one an item of {len(references)} items, got {len(hypotheses)}")
    if not all(references):
        raise ValueError("`references` must hold at least one text an item, got an item with none")
    options = options_for(references, options)
    coco = COCO_BLEU if options.tokenizer in ("ptb", "ptb+char") else {}
    metrics = {name: coco.get(name, metric) for name, metric in named.items()}
    counts = item_counts(list(metrics.values()), references, hypotheses, options)
    return {
        name: Statistics(metric, counts[metric.statistics], signature(name, metric, references, options))
        for name, metric in metrics.items()
    }


def corpus_scores(tallies: Mapping[str, Statistics]) -> dict[str, float]:
    """Computes every metric over all items, without intervals (for validation during training)."""
    return {name: float(metric.value(total(counts)[None])[0]) for name, (metric, counts, _) in tallies.items()}


def scores_with_intervals(
    tallies: Mapping[str, Statistics],
    rows: NDArray[np.intp] | None = None,
    *,
    groups_N: NDArray[np.intp] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Score]:
    """Computes every metric over all items, or those of `rows`, with its 95 % bootstrap interval.

    With groups, numbered from 0, whole groups are resampled, where there is more than one; the values are the same.
    """
    if rows is not None:
        tallies = {name: t._replace(statistics_NK=t.statistics_NK[rows]) for name, t in tallies.items()}
        groups_N = None if groups_N is None else np.unique(groups_N[rows], return_inverse=True)[1].astype(np.intp)
    groups_N = None if groups_N is None or groups_N.max() == 0 else groups_N
    counts = {name: t.statistics_NK for name, t in tallies.items()}
    units_NK = by_group(np.concatenate(list(counts.values()), axis=1), groups_N)
    sums_RK = resampled_sums(units_NK, resamples=resamples, seed=seed)
    ends = np.cumsum([statistics_NK.shape[1] for statistics_NK in counts.values()])
    resampled = dict(zip(counts, np.split(sums_RK, ends[:-1], axis=1), strict=True))
    found = {}
    for name, value in corpus_scores(tallies).items():
        metric, statistics_NK, text = tallies[name]
        sums = {key: _plain(number) for key, number in zip(metric.counts, total(statistics_NK), strict=True)}
        low, high = interval(metric.value(resampled[name]))
        found[name] = Score(value, low, high, text, {"items": len(statistics_NK)} | sums)
    return found


def scores_by_group(
    tallies: Mapping[str, Statistics],
    groups: Groups,
    *,
    groups_N: NDArray[np.intp] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Score]]:
    """Computes every metric over the items of each group; `groups_N` are those that are resampled as a whole."""
    draws = {"resamples": resamples, "seed": seed}
    rows = {group: np.flatnonzero([own == group for own in groups]) for group in in_order(groups)}
    return {group: scores_with_intervals(tallies, own, groups_N=groups_N, **draws) for group, own in rows.items()}


def long_enough(groups: Mapping[str, Mapping[str, Statistics]]) -> dict[str, dict[str, Statistics]]:
    """Without BLEU of longer n-grams than any reference of any group has, as where groups are of single words."""
    return {
        group: {
            name: tallied
            for name, tallied in own.items()
            if any(has_ngrams(name, other[name].statistics_NK) for other in groups.values())
        }
        or dict(own)
        for group, own in groups.items()
    }


def paired_tests(
    first: Mapping[str, Statistics],
    second: Mapping[str, Statistics],
    *,
    groups_N: NDArray[np.intp] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Tests the difference of the second system from the first by every metric, on the same items."""
    found = {}
    for name, (metric, first_NK, _) in first.items():
        pair = first_NK, second[name].statistics_NK
        found[name] = paired_test(*pair, metric.value, groups_N=groups_N, resamples=resamples, seed=seed)
    return found


def with_holm(pairs: Sequence[Mapping[str, Difference]]) -> list[dict[str, Difference]]:
    """Adds the p-values corrected by Holm's method for the number of systems, by each metric for itself."""
    corrected = {name: holm([found[name].p_value for found in pairs]) for name in (pairs[0] if pairs else ())}
    return [
        {name: difference._replace(p_holm=corrected[name][place]) for name, difference in found.items()}
        for place, found in enumerate(pairs)
    ]


def item_values(tallied: Statistics) -> Array:
    """Computes the value (N,) of every item by itself; BLEU of an item has effective order."""
    metric, statistics_NK, _ = tallied
    return (metric.item_value or metric.value)(statistics_NK)


def worst_first(tallied: Statistics, references: References, hypotheses: Sequence[str]) -> NDArray[np.intp]:
    """Orders the items (N,) from worst to best by their own values; ties by the number of word edits, most first."""
    value_N = item_values(tallied)
    edits_N = edit_counts(references, hypotheses, "word")[:, :3].sum(1)
    return np.lexsort((-edits_N, -value_N if tallied.metric.lower_is_better else value_N))


def _plain(number: float) -> float:
    """A count as an int, as JSON should show it; a mean reference length may have a fraction."""
    return int(number) if number == int(number) else float(number)


def _tallied(
    metrics: str | Sequence[str],
    references: Sequence[str | Sequence[str]],
    hypotheses: Sequence[str],
    options: TextOptions,
) -> dict[str, Statistics]:
    names = metrics.split(",") if isinstance(metrics, str) else metrics
    several = [[texts] if isinstance(texts, str) else list(texts) for texts in references]
    return statistics(names, several, hypotheses, options)


def _numbered(groups: Sequence[str] | None, items: int) -> NDArray[np.intp] | None:
    if groups is not None and len(groups) != items:
        raise ValueError(f"`groups` must be one an item of {items} items, got {len(groups)}")
    return None if groups is None else numbered(groups, "groups")
