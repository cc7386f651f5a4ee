"""What the clients of an experiment say, and what that means (pure): computed anew from all reports at every look."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.clients.splits import PLACES, is_among
from chalicelib.instants import Instant, text
from chalicelib.registry.experiment import Experiment, ExperimentArm
from chalicelib.rollouts.assigning import salt
from chalicelib.rollouts.effects import at_any_time, at_its_time
from chalicelib.rollouts.guard import split_is_broken
from chalicelib.rollouts.report import BROKEN_LEVEL, KEEP, MOST_REPORTS, ON_THE_WAY
from chalicelib.rollouts.samples import Sample, Scale
from muster.wire import admin

MOST_IN_ALL = 2 * MOST_REPORTS
"""Clients of a cohort of any size that are asked: all their rows are read at each look."""

LONGEST = timedelta(days=335)
"""For how long a client of an experiment without a horizon counts once; with `KEEP`, a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReport:
    """One row a client and experiment: the first thing that it said counts, and nothing after it."""

    client_id: str
    version: int
    arm: str
    at: Instant
    ttl: int
    value: float | None = None
    """Of the primary metric; None where nothing finite could be measured, which is the worst there is."""
    withdrawn: bool = False
    """Its client was revoked: it counts for nothing, and nothing that was on its way can take its place."""


def kept_until(experiment: Experiment, now: datetime) -> int:
    """When what a client says now is deleted, in seconds of Unix time."""
    last = experiment.horizon or now + LONGEST
    return math.ceil((max(last, now) + KEEP).timestamp())


def is_asked(model: str, experiment: Experiment, client_id: str, active: int) -> bool:
    """Whether a client reports, of so many active ones in the cohort: all do of a few, and of many `MOST_IN_ALL`, drawn by a
    hash that has nothing to do with the arms.
    """
    share = PLACES if active <= MOST_IN_ALL else max(1, PLACES * MOST_IN_ALL // active)
    return is_among(f"{salt(model, experiment)}/reports", client_id, share)


def is_over(experiment: Experiment, now: datetime) -> bool:
    """Whether its horizon has come, and what was said before it is written."""
    return experiment.horizon is not None and now >= experiment.horizon + ON_THE_WAY


def outcome(model: str, experiment: Experiment, reports: Iterable[ExperimentReport], now: datetime) -> admin.ExperimentReply:
    """What is known at `now`."""
    until = now if experiment.horizon is None else experiment.horizon
    scale = Scale.of(experiment.metric)
    steps: dict[str, list[int]] = {arm.name: [] for arm in experiment.arms}
    for report in reports:
        if report.at <= until and report.arm in steps:
            steps[report.arm].append(scale.step(scale.worst if report.value is None else report.value))
    samples = {name: Sample.of(found) for name, found in steps.items()}
    effects = [_effect(experiment, arm, samples, scale, now) for arm in experiment.arms[1:]]
    total = sum(map(len, samples.values()))
    arms = [
        admin.ArmReply(
            name=arm.name,
            version=arm.checkpoint.version,
            weight=arm.weight / 100,
            clients=len(samples[arm.name]),
            share=100.0 * len(samples[arm.name]) / total if total else None,
            mean=scale.value(samples[arm.name].mean()) if samples[arm.name] else None,
        )
        for arm in experiment.arms
    ]
    return admin.ExperimentReply(
        experiment=f"{model}.r{experiment.began}",
        name=experiment.name,
        model=model,
        since=experiment.since,
        cohort=experiment.cohort,
        metric=experiment.metric,
        level=experiment.level,
        horizon=experiment.horizon,
        arms=arms,
        effects=effects,
        said="; ".join(_sentence(experiment, arms, effect) for effect in effects),
    )


def _effect(
    experiment: Experiment, arm: ExperimentArm, samples: Mapping[str, Sample], scale: Scale, now: datetime
) -> admin.EffectReply:
    """An arm beside the control. The level is shared by all arms (Bonferroni)."""
    control, comparisons = experiment.control, len(experiment.arms) - 1
    one, other = samples[arm.name], samples[control.name]
    share = arm.weight / (arm.weight + control.weight)
    broken = split_is_broken(len(one), len(other), share, BROKEN_LEVEL / comparisons)
    waits = experiment.horizon is not None and not is_over(experiment, now)
    if waits or min(len(one), len(other)) < experiment.least:
        return admin.EffectReply(arm=arm.name, finding="open", effect=None, low=None, high=None, split_is_broken=broken)
    interval = at_any_time if experiment.horizon is None else at_its_time
    low, high = interval(one, other, experiment.level / comparisons)
    length = scale.best - scale.worst
    ends = sorted((low * length, high * length))
    return admin.EffectReply(
        arm=arm.name,
        finding="better" if low > 0.0 else "worse" if high < 0.0 else "open",
        effect=(one.mean() - other.mean()) * length,
        low=ends[0],
        high=ends[1],
        split_is_broken=broken,
    )


def _sentence(experiment: Experiment, arms: list[admin.ArmReply], effect: admin.EffectReply) -> str:
    control = arms[0]
    (arm,) = (each for each in arms if each.name == effect.arm)
    numbers = f"{arm.clients} clients, {control.clients} of {control.name}"
    if effect.split_is_broken:
        numbers += ", which is no such split"
    if effect.low is None or effect.high is None:
        why = f"not known before {text(experiment.horizon)}" if experiment.horizon else "not known yet"
        return f"{effect.arm}: {why} ({numbers})"
    word = "not known which is better" if effect.finding == "open" else effect.finding
    return f"{effect.arm}: {word}, {experiment.metric.name} differs by {effect.low:+.3g} to {effect.high:+.3g} ({numbers})"
