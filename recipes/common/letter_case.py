"""Whether texts are in another case than the tokens of a run, such as capitals for lower case."""

from collections.abc import Mapping, Sequence


def usual_case(tokens: Sequence[str]) -> dict[str, str]:
    """By their lower case, of tokens that differ in case alone the first: the most frequent."""
    usual: dict[str, str] = {}
    for token in tokens:
        usual.setdefault(token.lower(), token)
    return usual


def other_case(weights: Mapping[str, float], tokens: Sequence[str]) -> tuple[str, str] | None:
    """Of letters or words by their weights, where most are in another case than `tokens`, the most frequent first: the
    heaviest of these as the tokens have it, and itself."""
    usual = usual_case(tokens)
    shared = {unit: weight for unit, weight in weights.items() if unit.lower() in usual}
    others = {unit: weight for unit, weight in shared.items() if usual[unit.lower()] != unit}
    if 2 * sum(others.values()) <= sum(shared[unit] for unit in shared if unit.lower() != unit.upper()):
        return None
    first = max(others, key=lambda unit: others[unit])
    return usual[first.lower()], first
