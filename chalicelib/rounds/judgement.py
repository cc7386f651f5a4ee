"""What judges measure of a candidate, and what follows from it (docs/judging.md).

A judge measures the candidate and the deployed version on the same local data, so the comparison is paired: what differs
between the two numbers is the model, not the client. One judge has one voice. What it says can be a lie, and how many examples
it says it has can be one too, so:

* what is compared is the metric that the round's configuration names (`muster.wire.deciding`), and nothing else;
* the gain is the midmean of the judges' differences, the mean of their middle half: how loud one is does not matter;
* a sign test asks whether so many would have found the candidate better, were it not. Only the direction of a difference
  counts there, and as many of those in favour as may be bought are taken out first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from chalicelib.instants import Instant
from chalicelib.registry.version import Judged
from chalicelib.registry.voting import may_lie, midmean, sign_test
from chalicelib.rounds.failure import Failure
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundName
from muster.wire.admin import RoundConfig
from muster.wire.deciding import DecidingMetric


@dataclass(frozen=True, slots=True)
class Measurement:
    """One version on one client's data. `examples` is what the client claims; it is shown, and weighs nothing."""

    examples: int
    metrics: dict[str, float]
    verdict: Literal["measured", "worse"] = "measured"
    """`worse`: nothing finite could be measured, so the version is worse than any that can be."""

    def of(self, metric: DecidingMetric) -> float | None:
        """The number that decides, or None when nothing finite could be measured."""
        return self.metrics[metric.name] if self.verdict == "measured" else None

    def shown(self, metric: DecidingMetric) -> dict[str, float]:
        """The numbers to show. Where nothing finite could be measured, the worst that there is of `metric`, if it has one."""
        if self.verdict == "measured":
            return self.metrics
        return {} if metric.worst is None else {metric.name: metric.worst}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One judge's place, and its measurements by role: `candidate` and `deployed`."""

    round: RoundName
    client_id: str
    assigned_at: Instant
    report_by: Instant
    ttl: int
    part: int = 0
    """The round's part from which its place is."""
    measured: dict[str, Measurement] = field(default_factory=dict)
    withdrawn: bool = False
    """Its client's key was revoked before the round was decided."""
    failure: Failure | None = None
    """Why it gave its place up before it had measured both, if it did."""

    @property
    def is_complete(self) -> bool:
        """Whether both versions were measured."""
        return self.measured.keys() >= {"candidate", "deployed"}

    @property
    def is_seated(self) -> bool:
        """Whether the place is its: it was neither taken out, nor has it given up."""
        return not self.withdrawn and self.failure is None

    @property
    def counts(self) -> bool:
        """Whether the judge has spoken, and neither was taken out since nor gave up before."""
        return self.is_complete and self.is_seated

    def difference(self, metric: DecidingMetric) -> float:
        """By how much this judge found the candidate better, in units of the metric that decides, within its span."""
        return metric.gain(self.measured["candidate"].of(metric), self.measured["deployed"].of(metric))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from the evaluations: deploy or leave staged, and the reason in words.

    `candidate` are the metrics to show of it, `judged` what they rest on; both None without enough judges.
    """

    deploy: bool
    reason: str
    candidate: dict[str, float] | None = None
    judged: Judged | None = None

    @property
    def gain(self) -> float | None:
        """The gain over the deployed version, in units of the metric that decides: the midmean of the judges' differences."""
        return self.judged.gain if self.judged else None


def typical(measurements: Sequence[Measurement], metric: DecidingMetric) -> dict[str, float]:
    """The midmean of each metric that more than half of some clients measured, over those that did.

    Each counts once. Of a version of which nothing finite could be measured, `metric` is as bad as it can be, an accuracy 0;
    where it has no bound in that direction, there is nothing to show.
    """
    shown = [measured.shown(metric) for measured in measurements]
    named = Counter(name for numbers in shown for name in numbers)
    return {
        name: midmean(numbers[name] for numbers in shown if name in numbers)
        for name, count in sorted(named.items())
        if 2 * count > len(measurements)
    }


def is_due(rnd: Round, counted: int, now: datetime) -> bool:
    """Whether an evaluating round should be decided at `now`: enough judges are done, or their time is up."""
    return counted >= rnd.config.evaluators or (rnd.evaluate_by is not None and now >= rnd.evaluate_by)


def decide(evaluations: Sequence[Judgement], config: RoundConfig, hindrance: str | None) -> Decision:
    """Whether the candidate is deployed: enough judges, a gain above `min_gain`, and a sign test at `evaluation_level`.

    Without enough judges there is no evidence, and the version stays staged; so it does where there is a `hindrance`, in words.
    The order of the evaluations does not matter, nor do the examples that they claim.
    """
    counted = [evaluation for evaluation in evaluations if evaluation.counts]
    if len(counted) < config.judges_needed or not config.evaluators:
        return Decision(deploy=False, reason=f"{len(counted)} of at least {config.judges_needed} judges reported")
    differences = [evaluation.difference(config.metric) for evaluation in counted]
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    judged = Judged(
        judges=len(counted),
        better=better,
        worse=worse,
        gain=midmean(differences, config.evaluation_liars),
        p=sign_test(better, worse, may_lie(len(counted), config.evaluation_liars)),
        examples=sorted(e.measured["candidate"].examples for e in counted)[len(counted) // 2],
    )
    deploy, reason = _verdict(judged, config, hindrance)
    return Decision(
        deploy=deploy,
        reason=reason,
        candidate=typical([evaluation.measured["candidate"] for evaluation in counted], config.metric),
        judged=judged,
    )


def _verdict(judged: Judged, config: RoundConfig, hindrance: str | None) -> tuple[bool, str]:
    if hindrance:
        return False, hindrance
    voices = f"{judged.better} of {judged.judges} judges found it better, {judged.worse} worse (p {judged.p:.2g})"
    metric, gain = config.metric, judged.gain
    if gain <= config.min_gain:
        changed = f"{metric.name} changed by {_number(gain if metric.direction == 'higher' else -gain, metric, '+')}"
        short = "not more" if metric.direction == "higher" else "lower is better, and it did not fall by more"
        return False, f"{changed}, {short} than {config.min_gain:g}: {voices}"
    moved = f"{metric.name} {'rose' if metric.direction == 'higher' else 'fell'} by {_number(gain, metric)}"
    if judged.p > config.evaluation_level:
        return False, f"{moved}, but only {voices}, above the level of {config.evaluation_level}"
    return True, f"{moved}, more than {config.min_gain:g}: {voices}"


def _number(value: float, metric: DecidingMetric, sign: str = "") -> str:
    """Four decimals of what is a fraction, else four digits: nothing is known of its size."""
    return f"{value:{sign}.4f}" if metric.is_a_fraction else f"{value:{sign}.4g}"
