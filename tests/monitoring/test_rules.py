"""The rules of monitoring, without any store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.clients.tally import Tally
from chalicelib.monitoring.alert import Alert, AlertState, AlertStep, Observation, next_step, observed, opened
from chalicelib.monitoring.message import RECIPES, WITH_RECIPE, message_of
from chalicelib.monitoring.objectives import Events
from chalicelib.monitoring.record import Record, is_news, newest, of_fleet, of_round, period, summarise, unit
from chalicelib.monitoring.threshold import Severity, Threshold, defaults, effective, of_the_stack
from chalicelib.registry.version import Version
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Summary
from chalicelib.storage.metrics import MOST_DATAPOINTS, period_seconds
from muster.wire.admin import RoundConfig
from muster.wire.deciding import RECORDED, RECORDED_PREFIXES, DecidingMetric
from tests.rounds.making import CONFIG, T0, a_round, ref

DAY = timedelta(hours=24)
AT_LEAST = Threshold(model="toy", metric="accuracy", minimum=0.5)
OPEN = replace(opened(AT_LEAST, 0.4, None, T0), published_at=T0)
CLEARED = replace(OPEN, cleared_at=T0)


def saw(value: float | None, *, ago: float = 0.0) -> Observation | None:
    """A value, which has been outside for so long if it is."""
    if value is None:
        return None
    return Observation(value, T0 - timedelta(seconds=ago) if AT_LEAST.is_breached_by(value) else None)


@pytest.mark.parametrize(
    ("value", "present", "step"),
    [
        (0.4, None, AlertStep.OPEN), (0.4, OPEN, None), (0.5, OPEN, AlertStep.CLEAR), (0.4, CLEARED, AlertStep.OPEN),
        (0.6, CLEARED, None),
        (0.6, None, None), (None, None, None), (None, OPEN, None), (None, CLEARED, None),
    ],
)  # fmt: skip
def test_an_alert_opens_once_stays_while_the_breach_lasts_and_clears_on_recovery(
    value: float | None, present: Alert | None, step: AlertStep | None
) -> None:
    assert next_step(AT_LEAST, saw(value), present, T0, timedelta(seconds=60)) is step


def test_a_metric_that_is_no_longer_watched_clears_its_alert() -> None:
    unwatched = Threshold(model="toy", metric="accuracy")
    assert next_step(unwatched, saw(0.4), OPEN, T0, DAY) is AlertStep.CLEAR
    assert next_step(unwatched, saw(0.4), CLEARED, T0, DAY) is None


def test_an_alert_whose_publication_was_lost_is_published_again_after_a_while() -> None:
    lost = opened(AT_LEAST, 0.4, None, T0)
    soon, later = T0 + timedelta(seconds=59), T0 + timedelta(seconds=60)
    assert next_step(AT_LEAST, saw(0.4), lost, soon, timedelta(seconds=60)) is None
    assert next_step(AT_LEAST, saw(0.4), lost, later, timedelta(seconds=60)) is AlertStep.PUBLISH
    assert next_step(AT_LEAST, saw(0.4), replace(lost, published_at=soon), later, timedelta(seconds=60)) is None


def test_a_breach_opens_an_alert_when_it_has_lasted_for_long_enough() -> None:
    patient = replace(AT_LEAST, lasting_seconds=600.0)
    steps = [next_step(patient, saw(0.4, ago=seconds), None, T0, DAY) for seconds in (0, 599, 600, 9000)]
    assert steps == [None, None, AlertStep.OPEN, AlertStep.OPEN]
    assert next_step(patient, saw(0.6), OPEN, T0, DAY) is AlertStep.CLEAR, "to recover takes no time"
    assert next_step(patient, saw(0.4, ago=5), OPEN, T0, DAY) is None, "an alert that is open stays"


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=20, unique_by=lambda each: each[0]), st.randoms())
def test_a_breach_lasts_since_the_oldest_value_of_the_newest_ones_that_are_all_outside(
    values: list[tuple[int, float]], dice: Random
) -> None:
    records = [record(minute, value) for minute, value in values]
    dice.shuffle(records)
    seen = observed(AT_LEAST, records)
    if not values:
        assert seen is None
        return
    assert seen is not None
    told = sorted(values, reverse=True)
    outside = list(takewhile(lambda each: each[1] < 0.5, told))
    assert seen.value == told[0][1]
    assert seen.outside_since == (record(outside[-1][0], 0.0).at if outside else None)


def test_a_breach_whose_begin_nobody_can_see_any_more_has_lasted_for_long_enough() -> None:
    patient = replace(AT_LEAST, lasting_seconds=6 * 3600.0)
    fast = [record(minute, 0.4) for minute in range(-119, 1)]
    assert next_step(patient, observed(patient, fast, whole=True), None, T0, DAY) is None
    assert next_step(patient, observed(patient, fast, whole=False), None, T0, DAY) is AlertStep.OPEN
    recovered = [*fast, record(-60, 0.6)]
    assert next_step(patient, observed(patient, recovered, whole=False), None, T0, DAY) is None, "that is seen"


def test_each_metric_that_is_watched_by_default_has_its_recipe() -> None:
    page = (Path(__file__).parents[2] / RECIPES).read_text()
    others = CONFIG.model_copy(update={"metric": DecidingMetric(name="f1", direction="higher")})
    budgeted = CONFIG.model_copy(update={"monthly_budget": 5.0})
    watched = {one.metric for config in (CONFIG, others, budgeted) for one in defaults("toy", config, trains=True)}
    assert watched | {of_the_stack().metric} == WITH_RECIPE
    assert all(f'<a id="{metric}"></a>' in page for metric in WITH_RECIPE)


def test_in_a_silence_nothing_is_published_and_what_is_open_after_it_is() -> None:
    lost, until, later = opened(AT_LEAST, 0.4, None, T0), T0 + timedelta(hours=1), T0 + timedelta(minutes=30)
    minute = timedelta(seconds=60)
    assert next_step(AT_LEAST, saw(0.4), lost, later, minute, until) is None
    assert next_step(AT_LEAST, saw(0.4), lost, until, minute, until) is AlertStep.PUBLISH
    assert next_step(AT_LEAST, saw(0.6), lost, later, minute, until) is AlertStep.CLEAR
    assert next_step(AT_LEAST, saw(0.4), None, later, minute, until) is AlertStep.OPEN, "it is seen, and told to nobody"


def test_a_message_says_it_to_people_and_to_machines() -> None:
    found = message_of(replace(OPEN, severity=Severity.CRITICAL), "collecting round 3")
    assert found.subject == "Muster critical: accuracy of toy is 0.4, below 0.5"
    assert found.people.splitlines() == [
        "accuracy of toy is 0.4, below 0.5 (critical, alert 1, since 2026-01-01 00:00 UTC).",
        "What toy waits for: collecting round 3.",
        "",
        "Look: muster why toy",
        "Tell the others that you are at it: muster alerts ack toy accuracy",
        "What helps: docs/operations.md#accuracy",
    ]
    assert (found.machines["severity"], found.machines["why"]) == ("critical", "collecting round 3")
    assert "waits for" not in message_of(OPEN, None).people


def test_alerts_of_a_metric_are_numbered_and_say_what_happened() -> None:
    second = opened(Threshold(model="toy", metric="loss", maximum=5.0), 7.25, OPEN, T0)
    assert (second.number, second.state, second.sentence) == (2, AlertState.OPEN, "loss of toy is 7.25, above 5")
    assert OPEN.sentence == "accuracy of toy is 0.4, below 0.5"


def test_the_bounds_themselves_are_well() -> None:
    both = Threshold(model="toy", metric="loss", minimum=1.0, maximum=5.0)
    assert [both.is_breached_by(value) for value in (0.9, 1.0, 5.0, 5.1)] == [True, False, False, True]


def test_what_an_operator_set_goes_before_the_defaults_also_nothing() -> None:
    set_ = [Threshold(model="toy", metric="loss"), Threshold(model="toy", metric="gain", minimum=-0.1)]
    found = effective("toy", RoundConfig(goal=1, quorum=1), set_, trains=True)
    assert {name: (t.minimum, t.maximum) for name, t in found.items()} == {
        "accuracy": (0.5, None), "active_clients": (5, None), "active_share": (0.8, None), "burned_budgets": (None, 0.0),
        "judges_missing": (None, 0.0), "loss": (None, None), "gain": (-0.1, None), "lost_bits": (None, 0.0),
        "rollout_trouble": (None, 0.0), "round_seconds": (None, 1140.0), "unfilled_rounds": (None, 0.0),
        "unreadable_rows": (None, 0.0), "upload_success": (0.95, None),
    }  # fmt: skip
    assert not found["loss"].is_watched
    assert len(defaults("toy", RoundConfig(goal=1, quorum=1), trains=True)) == 12


def test_a_model_with_a_metric_of_its_own_is_watched_by_its_gain_and_not_by_bounds_of_a_classifier() -> None:
    """Nobody but its operator knows which numbers of another metric are well; a row that cannot be read says nothing of it."""
    mse = DecidingMetric(name="mse", direction="lower", minimum=0.0)
    own = RoundConfig(goal=1, quorum=1, metric=mse, min_gain=10.0, max_regression=250.0)
    found = {t.metric: (t.minimum, t.maximum) for t in defaults("toy", own, trains=True)}
    assert found == {
        "gain": (-250.0, None),
        "active_clients": (5, None),
        "active_share": (0.8, None),
        "burned_budgets": (None, 0),
        "judges_missing": (None, 0),
        "lost_bits": (None, 0),
        "rollout_trouble": (None, 0),
        "round_seconds": (None, 1140),
        "unfilled_rounds": (None, 0),
        "unreadable_rows": (None, 0),
        "upload_success": (0.95, None),
    }
    assert {t.metric for t in defaults("toy", None, trains=True)} == found.keys() - {"gain", "round_seconds"}
    at_most = Threshold(model="toy", metric="mse", maximum=900.0)
    assert effective("toy", own, [at_most], trains=False)["mse"] == at_most


def test_the_record_of_a_round_tells_what_judges_and_what_trainers_measured_apart() -> None:
    ended = a_round(
        phase=Phase.COMPLETED, finished_at=T0 + timedelta(seconds=90), gain=0.2,
        summary=Summary(
            accepted=8, late=1, rejected={"not-finite": 2, "wrong-shape": 1}, uploaded_bytes=1000, examples=80,
            failed={"disk": 1, "out-of-memory": 2}, judges_failed={"out-of-memory": 1},
        ),
    )  # fmt: skip
    record = of_round(ended, None, DAY)
    assert (record.round, record.version, record.at) == (1, None, T0 + timedelta(seconds=90))
    assert record.metrics == {
        "accepted_updates": 8, "rejected_updates": 3, "rejected_not_finite": 2, "rejected_wrong_shape": 1, "late_updates": 1,
        "trainer_failures": 4, "failed_disk": 1, "failed_out_of_memory": 3,
        "uploaded_bytes": 1000, "examples": 80, "round_seconds": 90.0, "abandoned": 0.0, "unfilled_rounds": 0.0,
        "gain": 0.2,
    }  # fmt: skip
    assert {name: unit(name) for name in ("round_seconds", "uploaded_bytes", "rejected_not_finite", "failed_disk", "loss")} == {
        "round_seconds": "Seconds", "uploaded_bytes": "Bytes", "rejected_not_finite": "Count", "failed_disk": "Count",
        "loss": "None",
    }  # fmt: skip


JUDGED = Version(
    model="toy", number=1, checkpoint=ref(1), document_sha256="0" * 64, created_at=T0, config=CONFIG, revision=1,
    metrics={"loss": 0.5}, evaluation={"mse": 900.0, "gain": 99.0},
)  # fmt: skip


def test_no_metric_that_decides_has_a_name_under_which_something_else_is_recorded() -> None:
    """And what judges measured under such a name does not take its place."""
    summary = Summary(accepted=19, rejected={"not-finite": 1}, uploaded_bytes=1000, examples=80, judges=3)
    record = of_round(a_round(Phase.COMPLETED, finished_at=T0, gain=0.2, summary=summary), JUDGED, DAY)
    assert (record.metrics["gain"], record.metrics["mse"]) == (0.2, 900.0)
    fleet = of_fleet("toy", Tally(shard=0, counted_at=T0), T0, None, 0, DAY, Events(1, 2), 0)
    own = {name for name in {**record.metrics, **fleet.metrics} if not name.startswith(RECORDED_PREFIXES)} - {"mse"}
    assert own | {"rejected_updates"} == RECORDED
    for name in (*RECORDED, "train_loss", "rejected_not_finite", "failed_disk"):
        with pytest.raises(ValidationError, match="records something else"):
            DecidingMetric(name=name, direction="lower")


def record(minute: int, value: float) -> Record:
    return Record(model="toy", at=T0 + timedelta(minutes=minute), metrics={"accuracy": value}, ttl=0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_summary_is_that_of_the_values_in_the_order_of_their_time(numbers: list[float]) -> None:
    records = [record(minute, value) for minute, value in enumerate(numbers)]
    found = summarise(reversed(records))["accuracy"]
    assert (found.count, found.min, found.max, found.last) == (len(numbers), min(numbers), max(numbers), numbers[-1])
    assert found.mean == pytest.approx(sum(numbers) / len(numbers))
    assert newest(records) == {"accuracy": numbers[-1]}


@pytest.mark.parametrize(
    ("last", "now", "news"),
    [
        (None, (0, 1.0), True), ((0, 1.0), (5, 1.0), False), ((0, 1.0), (5, 2.0), True),
        ((0, 1.0), (6 * 24 * 60, 1.0), True), ((0, 1.0), (60, 1.0), False),
    ],
)  # fmt: skip
def test_a_record_of_the_fleet_is_news_when_a_number_changed_or_a_week_began(
    last: tuple[int, float] | None, now: tuple[int, float], news: bool
) -> None:
    assert is_news(record(*now), record(*last) if last else None) is news


def test_all_times_of_a_period_have_one_start() -> None:
    starts = {period(datetime(2026, 1, 1, 12, 5, second, tzinfo=UTC), 300.0) for second in range(60)}
    assert starts == {datetime(2026, 1, 1, 12, 5, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("hours", "seconds"), [(1, 60), (23, 60), (24, 120), (360, 960), (361, 1200), (1512, 3900), (10_920, 28_800)]
)
def test_a_query_asks_cloudwatch_for_periods_that_it_keeps_and_no_more_of_them_than_it_answers(
    hours: int, seconds: int
) -> None:
    found = period_seconds(hours)
    assert found == seconds
    assert (hours * 3600 + 1) / found + 1 <= MOST_DATAPOINTS, "the last second and a part of a period are asked for as well"
    assert found % (60 if hours <= 360 else 300 if hours <= 1512 else 3600) == 0
