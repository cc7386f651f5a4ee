"""What an experiment's reports mean: whose count, until when, at which level, and how long they are kept."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.clients.client import Described
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.experiment import Experiment, ExperimentArm
from chalicelib.rollouts.effects import at_any_time
from chalicelib.rollouts.guard import ENDS, boundary, split_is_broken
from chalicelib.rollouts.report import BROKEN_LEVEL
from chalicelib.rollouts.reporting import Reporting
from chalicelib.rollouts.samples import STEPS, Sample
from chalicelib.rollouts.trial import ExperimentReport, kept_until, outcome
from chalicelib.storage.rows import from_item, from_stored, to_item, to_stored
from muster.wire import admin
from muster.wire import messages as wire
from muster.wire.deciding import ACCURACY, DecidingMetric
from muster.wire.refs import CheckpointRef

NOW = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def ref(version: int) -> CheckpointRef:
    return CheckpointRef(
        version=version, sha256=f"{version:064x}", nbytes=1, header_bytes=1, min_update_bytes=1, max_update_bytes=1
    )


def trial(count: int = 2, **said: Any) -> Experiment:
    weights = [10_000 // count] * (count - 1)
    made = [
        ExperimentArm(name=f"arm-{number}", checkpoint=ref(number), weight=weight)
        for number, weight in enumerate([*weights, 10_000 - sum(weights)])
    ]
    return Experiment(
        **{"name": "one", "began": 2, "since": NOW, "metric": ACCURACY, "level": 0.05, "least": 2, "secret": "s",
           "arms": tuple(made), **said},
    )  # fmt: skip


def reports(arm: int, count: int, value: float, at: datetime = NOW) -> list[ExperimentReport]:
    return [
        ExperimentReport(client_id=f"{arm}-{number}-{at}", version=arm, arm=f"arm-{arm}", at=at, ttl=0, value=value)
        for number in range(count)
    ]


def test_what_was_said_after_the_horizon_is_no_part_of_the_result() -> None:
    experiment = trial(horizon=NOW + HOUR)
    said = [*reports(0, 5, 0.5), *reports(1, 5, 0.6), *reports(1, 9, 0.0, NOW + HOUR + timedelta(seconds=1))]
    found = outcome("toy", experiment, said, NOW + 2 * HOUR)
    assert [arm.clients for arm in found.arms] == [5, 5]
    assert [arm.mean for arm in found.arms] == pytest.approx([0.5, 0.6])


def test_several_arms_share_the_level_and_that_of_a_broken_split() -> None:
    values = [0.4, 0.5, 0.6] * 10
    said = [
        report for arm in range(3) for number, value in enumerate(values)
        for report in reports(arm, 1, value, NOW + timedelta(seconds=number))
    ]  # fmt: skip
    (first, second) = outcome("toy", trial(3), said, NOW + HOUR).effects
    sample = Sample.of([round(value * STEPS) for value in values])
    assert (first.low, first.high) == pytest.approx(at_any_time(sample, sample, 0.05 / 2))
    assert (second.low, second.high) == (first.low, first.high)
    shares = range(20, 200)
    few = next(number for number in shares if split_is_broken(0, number, 0.5, BROKEN_LEVEL))
    more = next(number for number in shares if split_is_broken(0, number, 0.5, BROKEN_LEVEL / 7))
    assert few < more
    for number, expected in ((few, False), (more, True)):
        found = outcome("toy", trial(8), reports(0, number, 0.5), NOW + HOUR)
        assert found.effects[0].split_is_broken is expected


def test_the_interval_at_any_time_is_the_guards_to_both_sides() -> None:
    one, other = Sample.of([400, 500, 600] * 20), Sample.of([450, 500, 550] * 30)
    low, high = at_any_time(one, other, 0.1)
    error = math.sqrt((one + ENDS).variance() + (other + ENDS).variance())
    assert (high - low) / 2 == pytest.approx(boundary(60 * 90 / 150, 0.05) * error)


def test_a_report_outlives_its_horizon_by_a_month_and_lives_for_a_year_without_one() -> None:
    later = NOW + timedelta(days=100)
    assert kept_until(trial(horizon=later), NOW) == (later + timedelta(days=30)).timestamp()
    assert kept_until(trial(), NOW) == (NOW + timedelta(days=365)).timestamp()


class Silent:
    """Stores nothing."""

    def add_trial(self, model: str, experiment: Experiment, report: ExperimentReport) -> bool:
        return True


def asked(experiment: Experiment, now: datetime, *, active: int, members: int | None) -> int:
    """How many of a thousand clients are asked something."""
    reporting = Reporting(
        store=Silent(),  # type: ignore[arg-type]
        active=lambda _: active,
        members=lambda _: members,
        clock=lambda: now,
    )
    present = Deployment(model="toy", revision=2, stable=ref(0), at=NOW, because="x", experiments=(experiment,))
    beat = wire.Heartbeat(model="toy", version=0)
    clients = [Described(client_id=f"device-{number:04d}") for number in range(1_000)]
    return sum(reporting.heard(client, beat, present) is not None for client in clients)


def test_after_the_horizon_nobody_is_asked() -> None:
    experiment = trial(horizon=NOW + HOUR)
    assert asked(experiment, NOW, active=1_000, members=None) == 1_000
    assert asked(experiment, NOW + HOUR, active=1_000, members=None) == 0


def test_of_a_small_cohort_in_a_large_fleet_all_are_asked_once_it_was_counted() -> None:
    experiment = trial(cohort="few.1", rule=admin.CohortRule(slice=admin.LayerSlice(ends=100.0)))
    assert asked(experiment, NOW, active=10**6, members=1_000) == 1_000
    assert asked(experiment, NOW, active=10**6, members=None) < 50
    assert asked(replace(experiment, cohort=None, rule=None), NOW, active=10**6, members=1_000) < 50


numbers = st.floats(-1e30, 1e30)


@given(
    ends=st.tuples(numbers, numbers).filter(lambda ends: ends[0] < ends[1]),
    direction=st.sampled_from(["higher", "lower"]),
    level=st.floats(0.0, 0.2),
    horizon=st.none() | st.floats(1.0, 366 * 86_400.0),
    weight=st.integers(1, 9_999),
    said=st.lists(st.tuples(st.booleans(), st.none() | numbers), max_size=12),
)
def test_whatever_is_taken_as_an_experiment_reads_back_and_can_be_looked_at_whatever_is_reported(
    ends: tuple[float, float], direction: Any, level: float, horizon: float | None, weight: int, said: list[Any]
) -> None:
    try:
        asked = admin.StartExperiment(
            name="one", revision=1, least=2, level=level, horizon_seconds=horizon,
            metric=DecidingMetric(name="m", direction=direction, minimum=ends[0], maximum=ends[1]),
            arms=[
                admin.Arm(name="a", version="0", weight=weight / 100),
                admin.Arm(name="b", version="1", weight=(10_000 - weight) / 100),
            ],
        )  # fmt: skip
    except ValidationError:
        return
    assert asked.metric
    arms = tuple(
        ExperimentArm(name=arm.name, checkpoint=ref(number), weight=round(arm.weight * 100))
        for number, arm in enumerate(asked.arms)
    )
    until = None if horizon is None else NOW + timedelta(seconds=horizon)
    experiment = trial(metric=asked.metric, level=asked.level, horizon=until, arms=arms)
    told = [
        ExperimentReport(client_id=f"c-{number}", version=0, arm="ab"[is_new], at=NOW, ttl=0, value=value)
        for number, (is_new, value) in enumerate(said)
    ]
    for now in (NOW, NOW + timedelta(days=400)):
        found = outcome("toy", experiment, told, now)
        for effect in found.effects:
            assert effect.low is None or (effect.high is not None and effect.low <= effect.high)
        row = Deployment(model="toy", revision=2, stable=ref(0), at=NOW, because="x", experiments=(experiment,), ended=found)
        assert from_item(Deployment, stored(to_item(row))) == row


def stored(item: dict[str, Any]) -> Any:
    """As DynamoDB gives it back."""
    serialize = TypeSerializer().serialize
    return {name: from_stored(serialize(to_stored(value))) for name, value in item.items()}
