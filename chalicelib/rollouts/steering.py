"""What is due in a rollout, from its revision, its reports and the time (pure).

Everything here is computed anew from all reports at every look, so it does not matter how often, when, or by whom it is looked:
the same rows have the same answer. Reports of one window are looked at together, once it is over.

    worse                                  ──▶ abort            also while it is paused
    a split that cannot be what it should  ──▶ pause            and, if it stays so, abort
    no client reports the candidate        ──▶ pause            and, if none does later, abort
    all have reported, and nothing is known ──▶ pause           until an operator decides
    the step's time is over, enough have reported in it, and, of a canary, it was found not to be worse
                                           ──▶ the next step, at last promotion
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from chalicelib.clients.splits import hashed, place
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.rollout import ALL, Rollout, control_of, shares
from chalicelib.rollouts import moves
from chalicelib.rollouts.assigning import salt
from chalicelib.rollouts.guard import Difference, Evidence, Finding, Guard, compare, split_is_broken
from chalicelib.rollouts.report import BROKEN_LEVEL, ON_THE_WAY, RolloutReport, Verification
from chalicelib.rollouts.samples import Sample, Scale
from muster.wire.admin.strategies import Strategy
from muster.wire.deciding import DecidingMetric


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarding:
    """A guard made ready for one model: its rule in shares of a scale, the metric, and the scale."""

    guard: Guard
    metric: DecidingMetric
    scale: Scale

    @classmethod
    def of(cls, strategy: Strategy) -> Guarding | None:
        """The guard of a strategy that was settled; None when it has none."""
        rule = strategy.guard
        if rule is None or rule.metric is None or rule.margin is None:
            return None
        metric = rule.metric
        guard = Guard(margin=rule.margin / metric.span, level=rule.level, liars=rule.liars, least=rule.least)
        return cls(guard=guard, metric=metric, scale=Scale.of(metric))

    def interval(self, found: Findings) -> tuple[float, float]:
        """Between what the candidate's mean minus the stable version's lies, in units of the metric."""
        sign, span = 1.0 if self.metric.direction == "higher" else -1.0, self.metric.span
        low, high = sorted((sign * found.difference.low * span, sign * found.difference.high * span))
        return low, high

    def mean(self, sample: Sample) -> float | None:
        """Of a sample, in units of the metric; None of nobody."""
        return self.scale.value(sample.mean()) if len(sample) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the reports of a rollout say."""

    evidence: Evidence
    difference: Difference
    last_of_candidate: datetime | None
    """When a client last said something of the candidate for the first time, also in a window that is not over."""
    new_of_candidate: int
    """Clients that said something of the candidate since it came to this share, in windows that are over."""
    waiting: int
    """Reports of windows that are not over."""
    is_broken: bool
    """Whether the numbers of reports contradict the split."""


def findings(model: str, rollout: Rollout, guarding: Guarding, reports: Iterable[RolloutReport], now: datetime) -> Findings:
    """Hold the reports of the windows that are over against the guard."""
    salted, seconds = salt(model, rollout), rollout.strategy.window_seconds

    def window(report: RolloutReport) -> int:
        return int(report.at.timestamp() // seconds)

    said = list(reports)
    over = [report for report in said if (window(report) + 1) * seconds <= (now - ON_THE_WAY).timestamp()]
    ordered = sorted(over, key=lambda report: (window(report), hashed(f"{salted}/order", report.client_id)))
    evidence = Evidence()
    for _, some in groupby(ordered, window):
        sides: tuple[list[int], list[int]] = ([], [])
        for report in some:
            value = guarding.scale.worst if report.value is None else report.value
            sides[0 if report.is_candidate else 1].append(guarding.scale.step(value))
        evidence = evidence.after(guarding.guard, *sides)
    return Findings(
        evidence=evidence,
        difference=compare(guarding.guard, evidence),
        last_of_candidate=max((report.at for report in said if report.is_candidate), default=None),
        new_of_candidate=sum(report.is_candidate and report.at > rollout.reached for report in over),
        waiting=len(said) - len(over),
        is_broken=_is_broken(salted, rollout, over),
    )


def due(
    present: Deployment, guarding: Guarding | None, found: Findings | None, settled: timedelta, now: datetime
) -> Deployment | None:
    """The revision that a rolling or canary rollout comes to now; None when nothing is due. Every active client was there once
    after `settled`, and is not called silent before.
    """
    rollout = moves.going_on(present)
    if guarding is None or found is None:
        due_at = rollout.since + timedelta(seconds=rollout.strategy.pause_seconds)
        return None if rollout.paused is not None or now < due_at else _stepped(present, now)
    said = figures(guarding, found)
    if found.difference.finding is Finding.WORSE:
        return moves.abort(present, now, f"the candidate is worse: {said}")
    patience = max(settled, timedelta(seconds=rollout.strategy.patience * rollout.strategy.window_seconds))
    heard = found.last_of_candidate
    is_silent = heard is None or heard <= rollout.reached
    if rollout.paused is not None:
        if present.by is not None:
            return None
        if heard is not None and heard > present.at and not found.is_broken:
            return moves.resume(present, now, "clients report the candidate again")
        if (is_silent or found.is_broken) and now - present.at >= patience:
            return moves.abort(present, now, f"it was paused for too long ({rollout.paused})")
        return None
    if found.is_broken:
        return moves.pause(present, now, f"the split is broken: {said}")
    if heard is None or is_silent:
        silent = now - rollout.since >= patience
        return moves.pause(present, now, f"no client reports the candidate: {said}") if silent else None
    if now - rollout.since < timedelta(seconds=rollout.strategy.pause_seconds):
        return None
    is_enough = min(found.new_of_candidate, len(found.evidence.stable)) >= guarding.guard.least
    if is_enough and (rollout.strategy.kind == "rolling" or found.difference.finding is Finding.NOT_WORSE):
        return _stepped(present, now, said)
    if now - heard < patience:
        return None
    return moves.pause(present, now, f"all that were asked have reported, and it is not known that it is not worse: {said}")


def _stepped(present: Deployment, now: datetime, said: str = "") -> Deployment:
    rollout = moves.going_on(present)
    number = f"step {rollout.step + 2} of {len(rollout.strategy.steps)}"
    how = "all clients are given it" if moves.is_last(rollout) else number
    return moves.step(present, now, f"{how}: {said}" if said else how)


def due_of_two_slots(present: Deployment, seen: Sequence[Verification], settled: timedelta, now: datetime) -> Deployment | None:
    """The revision that a blue-green rollout comes to now; None when nothing is due. Every active client was there once after
    `settled`.
    """
    rollout = moves.going_on(present)
    waited = now - rollout.since
    if rollout.step:
        is_over = rollout.paused is None and waited >= timedelta(seconds=rollout.strategy.pause_seconds)
        return moves.step(present, now, "the old version is kept ready no longer") if is_over else None
    ready = sum(one.is_ready for one in seen)
    said = f"{ready} of {len(seen)} clients that were asked have it on their disks"
    is_warm = len(seen) > 0 and waited >= settled and 100.0 * ready >= rollout.strategy.warm * len(seen)
    if rollout.paused is not None:
        return moves.resume(present, now, said) if is_warm and present.by is None else None
    if is_warm:
        return moves.step(present, now, said)
    patience = max(settled, timedelta(seconds=rollout.strategy.patience * rollout.strategy.window_seconds))
    return moves.pause(present, now, f"it does not become warm: {said}") if waited >= 2 * patience else None


def figures(guarding: Guarding, found: Findings) -> str:
    """What was found, in a line. Where too few have reported for an interval, their means: by those alone the wager decides."""
    candidate, stable = found.evidence.candidate, found.evidence.stable
    name, numbers = guarding.metric.name, f"{len(candidate)} clients with it, {len(stable)} beside them"
    if min(len(candidate), len(stable)) >= guarding.guard.least:
        low, high = guarding.interval(found)
        return f"{name} differs by {low:+.3g} to {high:+.3g} ({numbers})"
    mean, beside = guarding.mean(candidate), guarding.mean(stable)
    return numbers if mean is None or beside is None else f"{name} is {mean:.3g} beside {beside:.3g} ({numbers})"


def _is_broken(salted: str, rollout: Rollout, reports: Sequence[RolloutReport]) -> bool:
    """Whether, of the places that this step has added on either side, one side reports far more than its share."""
    ladder = [0, *shares(rollout.strategy)[:-1]]
    before = ladder[rollout.step]
    control_before = control_of(rollout.strategy, before)
    added, control_added = rollout.share - before, rollout.control - control_before
    if min(added, control_added) <= 0:
        return False
    numbers = [0, 0]
    for report in reports:
        at = place(salted, report.client_id)
        if report.is_candidate and before <= at < rollout.share:
            numbers[0] += 1
        elif not report.is_candidate and ALL - rollout.control <= at < ALL - control_before:
            numbers[1] += 1
    return split_is_broken(numbers[0], numbers[1], added / (added + control_added), BROKEN_LEVEL)
