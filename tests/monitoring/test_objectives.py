"""Service objectives and their error budgets: what counts, how it is summed, and that each record counts once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.clients.tally import Tally, count, total
from chalicelib.monitoring import objectives
from chalicelib.monitoring.objectives import (
    ACTIVE,
    JUDGES,
    OF_A_MODEL,
    ROUNDS,
    UPLOADS,
    Budget,
    Events,
    Objective,
    ObjectiveDay,
    availability,
    budgets,
    day,
    of_round,
    round_limit_seconds,
)  # fmt: skip
from chalicelib.monitoring.record import ONLY_RECORDED, Record, of_fleet
from chalicelib.monitoring.record import of_round as record_of_round
from chalicelib.registry.version import Version
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.receipt import Receipt, ReceiptState, Verdict, summarise
from chalicelib.rounds.round import Summary
from chalicelib.rounds.round_id import RoundId
from chalicelib.spending import SpendingStore
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Table
from chalicelib.storage.rows import Unreadable
from muster.http.errors import Refused
from muster.wire.admin import NO_MODEL
from muster.wire.problems import Problem
from muster.wire.reasons import Reason
from tests.fleet import SESSION, World, readable
from tests.rounds.making import CONFIG, T0, a_round, ref

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def ended(phase: Phase = Phase.COMPLETED, seconds: float = 60.0, **changes: Any) -> Any:
    told = {"summary": Summary(accepted=8, judges=CONFIG.evaluators), "finished_at": T0 + timedelta(seconds=seconds)}
    return a_round(phase, **{**told, **changes})


def budget(good: int, of: int, target: Fraction = Fraction(95, 100), lately: Events | None = None) -> Budget:
    seen = Events(good, of)
    return Budget(objective=Objective("rounds", target, "rounds"), seen=seen, lately=lately or seen)


# ---- what counts


def test_a_round_may_take_ten_minutes_or_what_its_own_deadlines_give_it_and_three_ticks() -> None:
    short = CONFIG.model_copy(update={"report_seconds": 60.0, "evaluate_seconds": 60.0})
    assert round_limit_seconds(short) == 600
    assert round_limit_seconds(CONFIG) == 600 + 60 + 300 + 180
    assert round_limit_seconds(CONFIG.model_copy(update={"evaluators": 0})) == 600 + 60 + 180, "nobody judges"


@pytest.mark.parametrize(
    ("rnd", "events"),
    [
        (ended(), Events(1, 1)),
        (ended(seconds=1140.0), Events(1, 1)),
        (ended(seconds=1140.5), Events(0, 1)),
        (ended(Phase.ABANDONED, reason="quorum-not-reached: 1 of 4 updates accepted"), Events(0, 1)),
        (ended(Phase.ABANDONED, reason="we try something else", called_off=True), None),
    ],
)  # fmt: skip
def test_a_round_is_good_when_it_completed_in_time_and_one_that_an_operator_ended_is_not_counted(
    rnd: Any, events: Events | None
) -> None:
    assert of_round(rnd).get(ROUNDS.name) == events


def test_uploads_are_good_when_they_passed_whatever_became_of_their_round() -> None:
    rejected = {"not-finite": 1, "norm-outlier": 2, "client-revoked": 5}
    rnd = ended(Phase.ABANDONED, summary=Summary(accepted=3, in_order=4, late=9, rejected=rejected))
    assert of_round(rnd)[UPLOADS.name] == Events(7, 10), "five are an operator's doing, and five late ones nobody looked into"
    assert UPLOADS.name not in of_round(ended(summary=Summary(late=9))), "nothing arrived"


def test_updates_that_passed_and_came_to_nothing_are_counted_apart_from_those_that_never_came() -> None:
    def receipt(state: ReceiptState, reason: Reason | None = None, norm: float | None = None) -> Receipt:
        verdict = Verdict(reason, "", "") if reason else None
        return Receipt(
            round=RoundId("toy", 1), client_id="a", state=state, assigned_at=T0, report_by=T0, min_bytes=0, max_bytes=1, ttl=0,
            norm=norm, verdict=verdict,
        )  # fmt: skip

    found = summarise([
        receipt(ReceiptState.LATE, Reason.ROUND_CLOSED), receipt(ReceiptState.LATE, Reason.ROUND_ABANDONED, 1.0),
        receipt(ReceiptState.ACCEPTED, norm=1.0), receipt(ReceiptState.REJECTED, Reason.NORM_OUTLIER, 9.0),
    ])  # fmt: skip
    assert (found.accepted, found.late, found.in_order) == (1, 2, 1)


def test_a_round_has_its_judges_when_as_many_spoke_as_were_asked_for() -> None:
    asked = CONFIG.evaluators
    assert of_round(ended())[JUDGES.name] == Events(1, 1)
    fewer = ended(summary=Summary(accepted=asked + 5, judges=asked - 2))
    assert of_round(fewer)[JUDGES.name] == Events(0, 1)
    assert record_of_round(fewer, None, DAY).metrics["judges_missing"] == 2
    more = ended(summary=Summary(accepted=asked, judges=asked + 2))
    assert record_of_round(more, None, DAY).metrics["judges_missing"] == 0


def test_of_a_fleet_smaller_than_the_judges_that_are_asked_for_as_many_can_be_missing_as_trained() -> None:
    whole = ended(summary=Summary(accepted=4, judges=4))
    assert of_round(whole)[JUDGES.name] == Events(1, 1)
    some = ended(summary=Summary(accepted=4, judges=1))
    assert record_of_round(some, None, DAY).metrics["judges_missing"] == 3


@pytest.mark.parametrize(
    ("rnd", "missing"),
    [
        (ended(Phase.ABANDONED), None),
        (ended(summary=Summary()), None),
        (ended(config=CONFIG.model_copy(update={"evaluators": 0}), summary=Summary(judges=0)), 0),
    ],
)
def test_judges_are_nobodys_matter_where_none_were_asked_or_nothing_was_decided(rnd: Any, missing: int | None) -> None:
    assert JUDGES.name not in of_round(rnd)
    assert record_of_round(rnd, None, DAY).metrics.get("judges_missing") == missing


def test_the_share_of_active_clients_is_of_those_that_said_they_run_the_model() -> None:
    beat = {"state": "active", "device_type": "iot", "rounds": 0, "samples": 0}
    fresh, old = "2026-01-01T00:00:00.000000Z", "2025-01-01T00:00:00.000000Z"
    rows = [
        *({**beat, "last_seen_at": fresh, "model": "toy"} for _ in range(3)), {**beat, "last_seen_at": old, "model": "toy"},
        {**beat, "last_seen_at": old, "model": "other"}, {**beat, "last_seen_at": fresh},
        {**beat, "last_seen_at": fresh, "model": "toy", "state": "revoked"},
    ]  # fmt: skip
    fleet = total([count(shard, rows, T0, 3600.0) for shard in range(2)])
    assert fleet is not None
    assert objectives.active("toy", fleet) == Events(6, 8)
    assert objectives.active("unheard-of", fleet) == Events(0, 0)
    before = Tally(shard=0, counted_at=T0, active_by_model={"toy": 3})
    assert objectives.active("toy", before) == Events(0, 0), "a count of before has not the one to hold the other against"


@pytest.mark.parametrize(
    ("accepted", "rejected", "value"),
    [(3, 0, 1.0), (2, 1, None), (18, 1, None), (19, 1, 0.95), (18, 2, 0.9), (0, 1, None), (0, 20, 0.0), (0, 0, None)],
)  # fmt: skip
def test_a_bad_share_of_few_uploads_is_no_metric_and_a_good_one_is(accepted: int, rejected: int, value: float | None) -> None:
    rnd = ended(summary=Summary(accepted=accepted, rejected={"not-finite": rejected}))
    assert record_of_round(rnd, None, DAY).metrics.get("upload_success") == value


def test_what_a_judge_calls_by_a_name_of_the_servers_is_not_recorded() -> None:
    lying = Version(
        model="toy", number=1, checkpoint=ref(1), document_sha256="0" * 64, created_at=T0, config=CONFIG, revision=1,
        evaluation={"mse": 1.0, "active_share": 0.0, "unreadable_rows": 7.0, "burned_budgets": 9.0},
    )  # fmt: skip
    metrics = record_of_round(ended(), lying, DAY).metrics
    assert metrics["mse"] == 1.0
    assert not metrics.keys() & {"active_share", "unreadable_rows", "burned_budgets"}


def test_what_is_only_recorded_is_never_sent_and_is_no_news_to_cloudwatch() -> None:
    fleet = Tally(shard=0, counted_at=T0)
    one = of_fleet("toy", fleet, T0, None, 0, DAY, Events(1, 2), 0, over_budget=True)
    assert one.metrics.keys() - one.sent.keys() == {"active_share", "burned_budgets", "over_budget"}
    rnd = record_of_round(ended(), None, DAY, 0)
    assert (rnd.metrics.keys() | one.metrics.keys()) - rnd.sent.keys() - one.sent.keys() == ONLY_RECORDED


# ---- the arithmetic of budgets


@pytest.mark.parametrize(
    ("found", "used", "left", "burned"),
    [
        (budget(0, 0), None, None, False),
        (budget(100, 100), 0, 1, False),
        (budget(98, 100), Fraction(2, 5), Fraction(3, 5), False),
        (budget(95, 100), 1, 0, True),
        (budget(94, 100), Fraction(6, 5), 0, True),
        (budget(0, 100), 20, 0, True),
        (budget(2, 3), Fraction(20, 3), 0, False),
        (budget(18, 19), Fraction(20, 19), 0, False),
        (budget(19, 20), 1, 0, True),
        (budget(5, 5, Fraction(1)), 0, 1, False),
        (budget(4, 5, Fraction(1)), 1, 0, True),
        (budget(0, 0, Fraction(1)), None, None, False),
    ],
)
def test_a_budget_is_what_may_fail_and_burns_once_it_is_so_large_that_one_may(
    found: Budget, used: Fraction | None, left: Fraction | None, burned: bool
) -> None:
    assert (found.used, found.left, found.is_burned) == (used, left, burned)


def test_at_the_pace_of_the_last_days_a_budget_is_used_up_when_what_fails_has_overtaken_what_may() -> None:
    """50 of 1,000 may fail, 20 have. Lately 15 of 100 a day fail, where 5 may: the other 30 last for three days."""
    begun = NOW - timedelta(days=2.5)
    lately = Events(212, 250)  # 37.5 a day and a half would be exact; 38 failed in two and a half days, and 12.5 may
    found = budget(980, 1000, lately=lately)
    until = found.used_up_at(NOW)
    assert until is not None
    assert (until - NOW) == pytest.approx(timedelta(days=30 / ((38 - 12.5) / 2.5)), abs=timedelta(seconds=1))
    assert begun.hour == 0, "half of the present day is over"


@pytest.mark.parametrize(
    "found",
    [
        budget(0, 0), budget(95, 100), budget(0, 100), budget(980, 1000, lately=Events(95, 100)),
        budget(980, 1000, lately=Events(0, 0)), budget(5, 5, Fraction(1)),
        budget(10**6 - 1, 10**6, lately=Events(93, 98)),
    ],
)  # fmt: skip
def test_a_budget_that_is_used_up_or_will_last_for_thirty_days_names_no_day(found: Budget) -> None:
    assert found.used_up_at(NOW) is None


@given(st.integers(0, 10**37), st.integers(0, 10**37), st.fractions(0, 1), st.integers(0, 10**6), st.integers(0, 10**6))
def test_whatever_was_counted_a_budget_is_a_number_and_its_end_lies_ahead(
    good: int, bad: int, target: Fraction, lately_good: int, lately_bad: int
) -> None:
    found = budget(good, good + bad, target, Events(lately_good, lately_good + lately_bad))
    assert (found.used is None) == (good + bad == 0)
    assert found.left is None or 0 <= found.left <= 1
    until = found.used_up_at(NOW)
    assert until is None or NOW <= until <= NOW + objectives.WINDOW
    assert found.sentence


def test_the_window_is_the_present_day_and_twenty_nine_before_it() -> None:
    def rounds(ago: int) -> ObjectiveDay:
        return day("toy", NOW - ago * DAY, {ROUNDS.name: Events(1, 2)})

    def seen(days: list[ObjectiveDay]) -> tuple[Events, Events]:
        (found,) = (each for each in budgets(days, NOW) if each.objective is ROUNDS)
        return found.seen, found.lately

    assert seen([rounds(29)]) == (Events(1, 2), Events())
    assert seen([rounds(30)]) == (Events(), Events())
    assert seen([rounds(2), rounds(0)]) == (Events(2, 4), Events(2, 4))
    assert seen([rounds(3)]) == (Events(1, 2), Events())
    assert seen([rounds(-1)]) == (Events(), Events()), "a clock was wrong"


def test_a_day_ends_at_midnight_of_utc_and_is_kept_for_two_months() -> None:
    last = datetime(2026, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert objectives.day_of(last) == date(2026, 3, 31)
    assert objectives.day_of(last + timedelta(microseconds=1)) == date(2026, 4, 1)
    row = day("toy", last, {})
    assert datetime.fromtimestamp(row.ttl, UTC) - datetime(2026, 4, 1, tzinfo=UTC) == timedelta(days=62)


def test_availability_is_what_was_not_answered_by_an_error_of_the_server() -> None:
    today = NOW.date()
    none = availability({}, NOW)
    assert (none.used, none.left) == (None, None), "not measured"
    found = availability({today: objectives.answered(8_996, 4), today - DAY: objectives.answered(999, 1)}, NOW)
    assert (found.seen, found.used) == (Events(9_995, 10_000), Fraction(1, 2))
    assert availability({today - 30 * DAY: objectives.answered(0, 10)}, NOW).seen == Events()
    with pytest.raises(ValueError, match="good events"):
        objectives.answered(3, -1)


# ---- rows


def stored(world: World, model: str = "toy") -> list[ObjectiveDay]:
    return readable(world.services.monitoring.days(model, date(2000, 1, 1), date(2100, 1, 1)))


def a_record(model: str, number: int, at: datetime) -> Record:
    return Record(model=model, at=at, metrics={"round_seconds": 1.0}, ttl=0, round=number)


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.integers(0, 2), st.booleans(), st.booleans()), min_size=1, max_size=12
    )
)  # fmt: skip
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_whatever_order_and_however_often_a_record_is_stored_it_counts_once(
    world: World, stores: list[tuple[int, int, bool, bool]]
) -> None:
    """Each is a round, its day, whether it is sent, and whether the answer is lost, so that the request comes twice. What a
    round counts is its number, so that no two sums are alike by accident.
    """
    model = f"toy-{len(world.operator.models())}-{abs(hash(tuple(stores))):x}"
    first: dict[int, int] = {}

    def twice(operation: str, proceed: Callable[[], Any]) -> Any:
        proceed()
        return proceed()

    for number, ago, send, lost in stores:
        record = a_record(model, number, NOW - ago * DAY)
        world.calls.between = twice if lost else None
        is_new = world.services.monitoring.record(record, {UPLOADS.name: Events(10**number, 2 * 10**number)}, send=send)
        world.calls.between = None
        assert is_new == (number not in first)
        first.setdefault(number, ago)
    wanted: dict[date, int] = {}
    for number, ago in first.items():
        at = (NOW - ago * DAY).date()
        wanted[at] = wanted.get(at, 0) + 10**number
    assert {row.day: row.of(UPLOADS) for row in stored(world, model)} == {
        at: Events(good, 2 * good) for at, good in wanted.items()
    }


def test_a_day_whose_row_cannot_be_read_is_told_and_the_others_count(world: World) -> None:
    world.model(rounds=0)
    for number, at in enumerate((NOW, NOW - DAY), start=1):
        world.services.monitoring.record(a_record("toy", number, at), {ROUNDS.name: Events(1, 1)})
    SESSION.resource("dynamodb").Table(world.settings.monitoring_table).update_item(
        Key=keys.OBJECTIVE_DAY.key(model="toy", day="2026-03-30"),
        UpdateExpression="SET rounds_good = :more",
        ExpressionAttributeValues={":more": 2},
    )
    found = world.services.monitoring.days("toy", date(2026, 3, 1), date(2026, 3, 31))
    assert [isinstance(row, Unreadable) for row in found] == [True, False]
    assert "from 0 to 1 good events, got 2" in str(found[0])


def test_what_others_keep_in_a_models_days_is_no_objective(world: World) -> None:
    SESSION.resource("dynamodb").Table(world.settings.monitoring_table).put_item(
        Item={"pk": keys.OBJECTIVE_DAY.partition(model="toy"), "sk": "spending#2026-03-31", "api_answered": 7}
    )
    assert stored(world) == []


# ---- the monitor


def test_an_ended_round_counts_once_in_its_day_however_often_the_monitor_runs(world: World) -> None:
    world.model(rounds=0)
    at = world.clock()
    rnd = a_round(Phase.COMPLETED, opened_at=at - timedelta(seconds=90), finished_at=at, summary=Summary(accepted=2, judges=1))
    world.services.rounds.open(rnd)
    for _ in range(3):
        world.monitor()
        world.clock.advance(60)
    (row,) = stored(world)
    assert [row.of(each) for each in OF_A_MODEL] == [Events(1, 1), Events(2, 2), Events(0, 0), Events(0, 1)]
    assert row.day == at.date()


def test_while_a_model_rests_nothing_is_counted_and_while_it_trains_its_clients_are(world: World) -> None:
    world.model(rounds=0)
    for device in world.devices(2):
        device.heartbeat_if_due()
    for _ in range(2):
        world.monitor()
        world.clock.advance(300)
    assert stored(world) == []
    world.operator.start("toy", 1)
    world.tick()
    world.monitor()
    (row,) = stored(world)
    assert row.of(ACTIVE) == Events(2, 2)
    world.clock.advance(60)
    world.monitor()
    assert stored(world) == [row], "once in a count"


# ---- what operators are told


def objective(world: World, name: str) -> Any:
    (found,) = (one for one in world.operator.objectives("toy").objectives if one.name == name)
    return found


def test_an_operator_is_told_what_was_good_what_is_left_and_when_that_is_used_up(world: World) -> None:
    world.model(rounds=0)
    now = world.clock()
    for number, (ago, events) in enumerate([(29, Events(600, 600)), (30, Events(0, 999)), (1, Events(380, 400))]):
        world.services.monitoring.record(a_record("toy", number + 1, now - ago * DAY), {UPLOADS.name: events})
    with world.calls.count() as calls:
        found = world.operator.objectives("toy")
    assert calls == ["GetItem", "Query", "Query"]
    assert (found.model, found.last_day, found.last_day - found.first_day) == ("toy", now.date(), timedelta(days=29))
    assert [one.name for one in found.objectives] == ["rounds", "uploads", "active", "judges", "availability"]
    uploads = objective(world, "uploads")
    assert (uploads.good, uploads.total, uploads.share, uploads.target) == (980, 1000, 0.98, 0.95)
    assert (uploads.budget_left, uploads.is_burned, uploads.used_up_at) == (0.6, False, None), "lately just as much as may"
    for name in ("rounds", "availability"):
        other = objective(world, name)
        assert (other.total, other.share, other.budget_left, other.used_up_at) == (0, None, None, None), "not measured"


def test_an_operator_is_told_of_a_day_that_cannot_be_read_and_its_figures_are_left_out(world: World) -> None:
    world.model(rounds=0)
    now = world.clock()
    for number, at in enumerate((now, now - DAY), start=1):
        world.services.monitoring.record(a_record("toy", number, at), {ROUNDS.name: Events(1, 1)})
    SESSION.resource("dynamodb").Table(world.settings.monitoring_table).update_item(
        Key=keys.OBJECTIVE_DAY.key(model="toy", day=now.date().isoformat()),
        UpdateExpression="SET rounds_total = :odd",
        ExpressionAttributeValues={":odd": "many"},
    )
    (told,) = world.operator.objectives("toy").unreadable
    assert f"days#toy / objectives#{now.date()} cannot be read" in told
    assert objective(world, "rounds").total == 1
    world.clock.advance(300)
    world.monitor()


def spent(world: World, ago: int, answered: int, failed: int) -> None:
    """What the functions have written down of a day's requests."""
    key = keys.SPENDING.key(model=NO_MODEL, day=(world.clock() - ago * DAY).date().isoformat())
    amounts = {"api_answered": answered, "api_failed": failed}
    SpendingStore(Table(SESSION.client("dynamodb"), world.settings.monitoring_table)).add(key, amounts, 2**31)


def test_availability_is_that_of_the_requests_that_were_metered(world: World) -> None:
    world.model(rounds=0)
    for ago, answered, failed in ((3, 8_996, 4), (29, 999, 1), (30, 0, 500)):
        spent(world, ago, answered, failed)
    found = objective(world, "availability")
    assert (found.good, found.total, found.target, found.budget_left) == (9_995, 10_000, 0.999, 0.5)


def test_a_day_on_which_fewer_than_no_requests_failed_is_told_and_left_out(world: World) -> None:
    world.model(rounds=0)
    spent(world, 3, 3, -1)
    spent(world, 4, 10, 0)
    (told,) = world.operator.objectives("toy").unreadable
    assert told.startswith(f"the requests of {(world.clock() - 3 * DAY).date()}: expected from 0 to 2 good events")
    assert objective(world, "availability").total == 10


def test_of_a_model_that_is_not_there_no_objective_is_told(world: World) -> None:
    with pytest.raises(Refused) as refused:
        world.operator.objectives("toy")
    assert refused.value.problem is Problem.UNKNOWN_MODEL
