"""Rules by which a candidate could be deployed: the server's own, and others to hold it against."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chalicelib.registry.voting import ONE_IN, midmean, sign_test
from chalicelib.rounds.judgement import Judgement, decide
from muster.wire.admin import RoundConfig

DEFAULTS = RoundConfig(goal=100, quorum=50)

Rule = Callable[[Sequence[Judgement]], bool]


def default(judges: Sequence[Judgement]) -> bool:
    """The server's decision, with what a model's configuration says unless it says otherwise."""
    return decide(judges, DEFAULTS, None).deploy


def weighted_mean(judges: Sequence[Judgement]) -> bool:
    """A mean weighted by what each says it has, up to a cap of 10,000 examples: the rule of the first releases."""
    weights = [min(e.measured["candidate"].examples, DEFAULTS.max_examples) for e in judges]
    total = sum(weight * e.difference(DEFAULTS.metric) for weight, e in zip(weights, judges, strict=True))
    return total / sum(weights) > DEFAULTS.min_gain


def mean(judges: Sequence[Judgement]) -> bool:
    """A plain mean: one judge, one voice, and as loud as it likes."""
    return sum(e.difference(DEFAULTS.metric) for e in judges) / len(judges) > DEFAULTS.min_gain


def midmean_alone(judges: Sequence[Judgement]) -> bool:
    """The default's midmean without its sign test."""
    return midmean(e.difference(DEFAULTS.metric) for e in judges) > DEFAULTS.min_gain


def plain_sign(judges: Sequence[Judgement]) -> bool:
    """The default with a sign test that thinks nobody is bought, at the usual level of 0.05."""
    differences = [e.difference(DEFAULTS.metric) for e in judges]
    p = sign_test(sum(d > 0 for d in differences), sum(d < 0 for d in differences), 0)
    return midmean_alone(judges) and p <= 0.05


def signed_rank(judges: Sequence[Judgement]) -> bool:
    """The default with a signed-rank test in the place of the sign test, at the usual level of 0.05."""
    return midmean_alone(judges) and pratt([e.difference(DEFAULTS.metric) for e in judges]) <= 0.05


RULES: dict[str, Rule] = {
    "weighted by claims, capped at 10,000": weighted_mean,
    "mean": mean,
    "midmean alone": midmean_alone,
    "midmean and signed-rank test, 0.05": signed_rank,
    "midmean and sign test, nobody bought, 0.05": plain_sign,
    f"**midmean and sign test, one in {ONE_IN} bought, {DEFAULTS.evaluation_level} (default)**": default,
}


def pratt(differences: Sequence[float]) -> float:
    """The exact one-sided p of a signed-rank test (Wilcoxon 1945), with zeros as Pratt (1959) has them: they are ranked, and
    then left out. Equal sizes share the mean of their ranks.
    """
    ordered = sorted(differences, key=abs)
    doubled: list[tuple[int, float]] = []  # twice the rank, which is whole
    for size in {abs(d) for d in ordered}:
        places = [place for place, d in enumerate(ordered, 1) if abs(d) == size]
        doubled += [(places[0] + places[-1], ordered[place - 1]) for place in places if size]
    ways = [1] + [0] * sum(rank for rank, _ in doubled)
    for rank, _ in doubled:
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    found = sum(rank for rank, d in doubled if d > 0)
    return sum(ways[found:]) / (1 << len(doubled))
