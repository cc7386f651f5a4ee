"""The monitor's run, on moto: what is recorded, what reaches CloudWatch, and the life of an alert."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.monitoring.alert import Alert
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Summary
from chalicelib.storage import keys
from muster.http.errors import Refused
from muster.wire.deciding import DecidingMetric
from muster.wire.problems import Problem
from tests.fleet import SESSION, Drift, World
from tests.rounds.making import a_round


@pytest.fixture
def inbox(world: World) -> Callable[[], list[dict[str, Any]]]:
    """What reaches a queue that is subscribed to the alerts' topic since the last look."""
    sqs, sns = SESSION.client("sqs"), SESSION.client("sns")
    url = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=world.settings.alert_topic_arn, Protocol="sqs", Endpoint=arn)

    def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while received := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in received:
                body = json.loads(message["Body"])
                found.append({"subject": body["Subject"], **json.loads(body["Message"])})
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    return read


def one_round(world: World, step: float = 0.1, judge: Drift | None = None) -> None:
    """A whole round of the model `toy`."""
    if not list(world.operator.models()):
        world.model(rounds=20, goal=2, quorum=2, evaluators=1)
    devices = world.devices(3)
    world.tick()
    world.clock.advance(world.settings.memory_seconds)  # no instance remembers the round before
    for device in devices[:2]:
        world.update(device, step=step)
    world.deliver()
    world.clock.advance(30)
    world.tick()
    world.clock.advance(30)
    for device in devices:
        assignment = device.check_in()
        if assignment.kind == "evaluate":
            device.judge(assignment, judge or Drift(0.0))
    world.tick()


def cloudwatch(world: World, name: str) -> list[float]:
    """The values of a metric in CloudWatch, of the last two hours, a minute each."""
    now = world.clock()
    points = SESSION.client("cloudwatch").get_metric_statistics(
        Namespace="Muster", MetricName=name, Dimensions=[{"Name": "Model", "Value": "toy"}],
        StartTime=now - timedelta(hours=2), EndTime=now + timedelta(seconds=1), Period=60, Statistics=["Sum", "SampleCount"],
    )["Datapoints"]  # fmt: skip
    return [point["Sum"] for point in sorted(points, key=lambda point: point["Timestamp"])]


# ---- records


def test_an_ended_round_is_recorded_once_and_reaches_cloudwatch_in_one_call(world: World) -> None:
    one_round(world)
    with world.calls.count() as calls:
        world.monitor()
    assert calls.count("PutMetricData") == 1
    assert calls.count("DeleteItem") == 2, "the round's record and the fleet's are outgoing no more"
    world.monitor()
    assert cloudwatch(world, "accepted_updates") == [2]
    assert cloudwatch(world, "clients") == [3]
    found = world.operator.metric("toy", "accuracy")
    assert (found.count, found.mean == found.min == found.max == found.sum) == (1, True)
    (point,) = found.points
    assert (point.round, point.version) == (1, 1)
    assert point.value == pytest.approx(found.mean)
    assert point.at == world.operator.round("toy", 1).finished_at


def test_a_monitor_that_was_down_records_all_that_ended_meanwhile(world: World) -> None:
    for _ in range(3):
        one_round(world)
    world.monitor()
    assert [point.round for point in world.operator.metric("toy", "accepted_updates").points] == [1, 2, 3]
    assert cloudwatch(world, "accepted_updates") == [2, 2, 2]


CALLS = 72
"""More than a monitor makes in the test below, which says so; those between are the census's, shard after shard."""


def test_a_round_that_is_still_open_is_not_recorded_yet(world: World) -> None:
    world.model()
    world.tick()
    world.monitor()
    recorded = {"clients", "active_clients", "burned_budgets", "rollout_trouble", "unreadable_rows"}
    assert world.operator.status("toy").metrics.keys() == recorded


def test_what_cloudwatch_refused_is_sent_again(world: World) -> None:
    one_round(world)

    def outage(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "PutMetricData":
            raise TimeoutError("CloudWatch is slow today")
        return proceed()

    world.calls.between = outage
    with pytest.raises(ExceptionGroup) as failed:
        world.monitor()
    assert "sending records to CloudWatch" in str(failed.value.exceptions[0].__notes__)
    world.calls.between = None
    assert cloudwatch(world, "accepted_updates") == []
    world.monitor()
    assert cloudwatch(world, "accepted_updates") == [2]


def test_a_failing_step_does_not_keep_the_others_waiting(world: World, inbox: Callable[[], list[Any]]) -> None:
    one_round(world)

    def broken(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "PutMetricData":
            raise TimeoutError
        return proceed()

    world.calls.between = broken
    with pytest.raises(ExceptionGroup):
        world.monitor()
    assert [message["metric"] for message in inbox()] == ["active_clients"]


def test_the_fleet_is_recorded_once_in_each_period(world: World) -> None:
    world.model(rounds=0)
    for _ in range(12):
        world.monitor()
        world.clock.advance(60)
    assert len(world.operator.metric("toy", "clients").points) == 3, "twelve minutes touch three periods of five"


def test_of_a_fleet_that_rests_cloudwatch_gets_only_what_is_news_and_a_query_sees_all(world: World) -> None:
    """A metric is billed for each hour in which it is sent."""
    world.model(rounds=0)
    world.devices(2)
    world.monitor()
    for _ in range(3):
        world.clock.advance(300)
        with world.calls.count() as calls:
            world.monitor()
        assert "PutMetricData" not in calls
        assert "TransactWriteItems" not in calls
    world.devices(3)
    world.clock.advance(300)
    world.monitor()
    assert cloudwatch(world, "clients") == [2, 5]
    found = world.operator.metric("toy", "clients")
    assert (found.count, found.min, found.max, found.sum, found.mean) == (5, 2, 5, 13, 13 / 5)
    assert [point.value for point in found.points] == [2, 2, 2, 2, 5]


def test_while_a_model_trains_cloudwatch_gets_every_record_of_its_fleet(world: World) -> None:
    world.model()
    world.tick()
    for _ in range(3):
        world.monitor()
        world.clock.advance(300)
    assert cloudwatch(world, "clients") == [0, 0, 0]


def test_a_days_metrics_of_the_fleet_are_the_records_and_what_goes_beyond_them_is_cloudwatchs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.model(rounds=0)
    for _ in range(4):
        world.monitor()
        world.clock.advance(300)
    monkeypatch.setattr("chalicelib.monitoring.store.RECENT", 2)
    assert world.operator.metric("toy", "clients").count == 4
    assert len(world.operator.metric("toy", "clients", 24).points) == 4, "however many records others read"
    assert world.operator.metric("toy", "clients", 25).count == 1, "the one that was news"


def test_one_question_reads_so_many_records_however_often_a_fleet_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.model(rounds=0)
    for _ in range(5):
        world.monitor()
        world.clock.advance(300)
    monkeypatch.setattr("chalicelib.monitoring.store.HISTORY", 3)
    monkeypatch.setattr("chalicelib.monitoring.metrics.HISTORY", 3)
    found = world.operator.metric("toy", "clients", 24)
    assert [world.clock() - point.at for point in found.points] == [timedelta(minutes=5 * at) for at in (3, 2, 1)], "the last"
    assert found.count == 1, "so the aggregates are CloudWatch's"


def test_a_metric_that_every_model_has_is_known_before_its_first_value(world: World) -> None:
    world.model(rounds=0)
    found = world.operator.metric("toy", "active_clients", 24)
    assert (found.count, found.points) == (0, [])


@pytest.mark.parametrize("at", [*range(4), *range(32, CALLS)])
def test_a_monitor_killed_at_any_call_leaves_nothing_lost_and_nothing_twice_in_the_records(world: World, at: int) -> None:
    world.model(rounds=0)
    world.operator.set_threshold("toy", "active_clients", minimum=5)
    ended = a_round(phase=Phase.COMPLETED, opened_at=world.clock(), finished_at=world.clock(), summary=Summary(accepted=2))
    world.services.rounds.open(ended)
    calls = 0

    def killer(operation: str, proceed: Callable[[], Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls > at:
            raise KeyboardInterrupt
        return proceed()

    world.calls.between = killer
    with suppress(KeyboardInterrupt):
        world.monitor()
    assert calls < CALLS, "the kills reach every call"
    world.calls.between = None
    world.clock.advance(world.settings.resend_seconds)
    world.monitor()
    rows = [row for name, row in world.everything()[0].items() if "MonitoringTable" in name]
    of_rounds = [row for row in rows if row["sk"].startswith(keys.ROUND_RECORD.prefix)]
    alerts = [row for row in rows if row["sk"].startswith(keys.ALERT.prefix)]
    assert len(of_rounds) == 1
    assert not [row for row in rows if row["pk"] == keys.OUTGOING.partition()]
    assert [(row["metric"], "published_at" in row) for row in alerts] == [("active_clients", True)]
    assert cloudwatch(world, "accepted_updates") in ([2], [4]), "at least once"
    days = [row for row in rows if row["sk"].startswith(keys.OBJECTIVE_DAY.prefix)]
    assert [(row["uploads_good"], row["uploads_total"], row["rounds_total"]) for row in days] == [(2, 2, 1)], "exactly once"


# ---- queries


def test_a_query_reaches_back_beyond_what_is_kept_here(world: World) -> None:
    one_round(world)
    world.monitor()
    world.clock.advance(26 * 3600)
    one_round(world)
    world.monitor()
    near = world.operator.metric("toy", "accepted_updates", 1)
    assert (near.count, near.sum) == (2, 2), "of a round that was abandoned, and of one that completed"
    far = world.operator.metric("toy", "accepted_updates", 48)
    assert (far.count, far.sum, far.min, far.max) == (3, 4, 0, 2)
    assert far.mean == pytest.approx(4 / 3)
    assert [point.round for point in far.points] == [2, 3], "recent points are kept for a day"


def test_a_metric_without_values_lately_is_an_answer_and_an_unknown_one_is_refused_with_what_is_near(world: World) -> None:
    one_round(world)
    world.monitor()
    world.clock.advance(3 * 3600)
    empty = world.operator.metric("toy", "accuracy", 1)
    assert (empty.count, empty.mean, empty.points) == (0, None, [])
    with pytest.raises(Refused, match="perhaps accuracy") as refused:
        world.operator.metric("toy", "acuracy", 1)
    assert refused.value.problem is Problem.UNKNOWN_METRIC


@pytest.mark.parametrize("query", ["", "name=accuracy&hours=0", "name=accuracy&hours=99999", "name=Accuracy", "name=a&since=1"])
def test_a_metric_query_is_refused_by_the_name_of_its_parameter(world: World, query: str) -> None:
    world.model(rounds=0)
    document = world.request("GET", f"/v1/admin/models/toy/metrics?{query}").json()
    assert (document["status"], document["type"]) == (422, Problem.INVALID_QUERY.urn)


# ---- alerts


class Measuring(Drift):
    """A judge that always finds the same."""

    def __init__(self, metrics: dict[str, float]) -> None:
        super().__init__(0.0)
        self._metrics = metrics

    def evaluate(self, weights: Any) -> Any:
        return replace(super().evaluate(weights), metrics=self._metrics)


def alerts(world: World, metric: str) -> list[tuple[int, str]]:
    return [(alert.number, alert.state) for alert in world.operator.alerts("toy") if alert.metric == metric]


def test_a_breach_opens_one_alert_and_sends_one_message_until_it_recovers(
    world: World, inbox: Callable[[], list[dict[str, Any]]]
) -> None:
    world.model(rounds=0)
    world.operator.set_threshold("toy", "clients", minimum=2)
    world.monitor()
    (message,) = inbox()
    assert message["subject"] == "Muster warning: clients of toy is 0, below 2"
    assert (message["model"], message["metric"], message["value"], message["minimum"], message["number"]) == (
        "toy",
        "clients",
        0,
        2,
        1,
    )
    assert message["next"] == "muster why toy; muster alerts ack toy clients"
    assert alerts(world, "clients") == [(1, "open")]

    for _ in range(6):
        world.clock.advance(60)
        world.monitor()
    assert inbox() == [], "still in breach: nothing is said again"
    assert alerts(world, "clients") == [(1, "open")]

    acknowledged = world.operator.acknowledge("toy", "clients")
    assert (acknowledged.state, acknowledged.acknowledged_by) == ("acknowledged", "local")
    assert world.operator.acknowledge("toy", "clients") == acknowledged, "who looks after it stays"
    assert [alert.metric for alert in world.operator.status("toy").alerts] == ["clients"]

    world.devices(2)
    world.clock.advance(300)
    world.monitor()
    assert alerts(world, "clients") == [(1, "cleared")]
    assert inbox() == []
    assert world.operator.status("toy").alerts == []
    with pytest.raises(Refused) as refused:
        world.operator.acknowledge("toy", "clients")
    assert refused.value.problem is Problem.NO_OPEN_ALERT

    world.operator.set_threshold("toy", "clients", minimum=3)
    world.monitor()
    assert [message["number"] for message in inbox()] == [2]
    assert alerts(world, "clients") == [(2, "open"), (1, "cleared")]


def test_the_defaults_are_those_of_the_tutorial(world: World, inbox: Callable[[], list[dict[str, Any]]]) -> None:
    one_round(world, judge=Measuring({"accuracy": 0.4, "loss": 5.5}))
    world.monitor()
    assert sorted(message["subject"] for message in inbox()) == [
        "Muster warning: accuracy of toy is 0.4, below 0.5",
        "Muster warning: active_clients of toy is 0, below 5",
        "Muster warning: loss of toy is 5.5, above 5",
    ]
    found = {t.metric: (t.minimum, t.maximum, t.is_default, t.in_breach) for t in world.operator.thresholds("toy")}
    assert found == {
        "accuracy": (0.5, None, True, True), "active_clients": (5, None, True, True), "active_share": (0.8, None, True, False),
        "burned_budgets": (None, 0, True, False), "judges_missing": (None, 0, True, False), "loss": (None, 5.0, True, True),
        "lost_bits": (None, 0, True, False), "rollout_trouble": (None, 0, True, False),
        "round_seconds": (None, 4500, True, False), "unfilled_rounds": (None, 0, True, False),
        "unreadable_rows": (None, 0, True, False), "upload_success": (0.95, None, True, False),
    }  # fmt: skip


def test_a_metric_that_is_watched_no_more_clears_its_alert(world: World) -> None:
    world.model()
    world.monitor()
    assert alerts(world, "active_clients") == [(1, "open")]
    world.operator.set_threshold("toy", "active_clients")
    world.monitor()
    assert alerts(world, "active_clients") == [(1, "cleared")]
    assert [t.metric for t in world.operator.thresholds("toy")] == [
        "accuracy",
        "active_share",
        "burned_budgets",
        "judges_missing",
        "loss",
        "lost_bits",
        "rollout_trouble",
        "round_seconds",
        "unfilled_rounds",
        "unreadable_rows",
        "upload_success",
    ]


def test_no_model_that_does_not_train_has_an_alert_of_its_active_clients(world: World) -> None:
    """Not when it is new, nor when its training was stopped, nor when all rounds that were wanted have completed."""
    world.model(rounds=0, goal=2, quorum=2, evaluators=1)
    world.monitor()
    assert alerts(world, "active_clients") == [], "it was never started"
    assert "active_clients" not in {t.metric for t in world.operator.thresholds("toy")}

    world.operator.start("toy", 1)
    world.monitor()
    assert alerts(world, "active_clients") == [(1, "open")]
    world.operator.stop("toy")
    world.monitor()
    assert alerts(world, "active_clients") == [(1, "cleared")]
    world.clock.advance(300)
    world.monitor()
    assert alerts(world, "active_clients") == [(1, "cleared")]

    world.operator.start("toy", 1)
    world.monitor()
    assert alerts(world, "active_clients") == [(2, "open"), (1, "cleared")]
    one_round(world)
    assert world.operator.status("toy").training.state == "completed"
    for _ in range(2):
        world.clock.advance(300)
        world.monitor()
        assert alerts(world, "active_clients") == [(2, "cleared"), (1, "cleared")]


def test_active_clients_are_watched_whatever_training_does_when_an_operator_said_so(world: World) -> None:
    world.model(rounds=0, goal=2, quorum=2, evaluators=1)
    assert not world.operator.set_threshold("toy", "active_clients", minimum=5).is_default
    world.monitor()
    assert alerts(world, "active_clients") == [(1, "open")], "never started"
    world.operator.start("toy", 1)
    world.operator.stop("toy")
    world.monitor()
    assert alerts(world, "active_clients") == [(1, "open")], "stopped"
    world.operator.start("toy", 1)
    one_round(world)
    world.monitor()
    assert alerts(world, "active_clients") == [(1, "open")], "completed"


def test_of_a_model_whose_row_cannot_be_read_active_clients_are_watched(world: World) -> None:
    """Whether it trains is not known, and an alert too many is better than one too few."""
    world.model(rounds=0)
    models = SESSION.resource("dynamodb").Table(world.settings.versions_table)
    models.update_item(
        Key=keys.MODEL.key(model="toy"),
        UpdateExpression="SET training = :odd",
        ExpressionAttributeValues={":odd": "perhaps"},
    )
    world.monitor()
    assert world.services.monitoring.alerts("toy").keys() == {"active_clients", "unreadable_rows"}


def test_an_alert_of_what_is_no_longer_watched_by_default_clears(world: World) -> None:
    one_round(world, judge=Measuring({"accuracy": 0.4, "f1": 0.4}))
    world.monitor()
    assert alerts(world, "accuracy") == [(1, "open")]
    status = world.operator.status("toy")
    by_f1 = status.config.model_copy(update={"metric": DecidingMetric(name="f1", direction="higher", minimum=0.0, maximum=1.0)})
    world.operator.configure("toy", by_f1, revision=status.config_revision, because="f1 says more")
    world.monitor()
    assert alerts(world, "accuracy") == [(1, "cleared")]


def test_of_two_monitors_at_once_one_opens_and_publishes(world: World, inbox: Callable[[], list[dict[str, Any]]]) -> None:
    world.model()

    def rival(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "PutItem" and world.services.census.statistics().counted_at is not None:
            world.calls.between = None
            world.monitor()
        return proceed()

    world.calls.between = rival
    world.monitor()
    assert [message["metric"] for message in inbox()] == ["active_clients"]
    assert alerts(world, "active_clients") == [(1, "open")]


def test_an_alert_that_could_not_be_published_is_published_later(
    world: World, inbox: Callable[[], list[dict[str, Any]]]
) -> None:
    world.model()

    def outage(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "Publish":
            raise TimeoutError("SNS is slow today")
        return proceed()

    world.calls.between = outage
    with pytest.raises(ExceptionGroup):
        world.monitor()
    world.calls.between = None
    world.monitor()
    assert inbox() == [], "perhaps somebody is still at it"
    world.clock.advance(world.settings.resend_seconds)
    world.monitor()
    assert len(inbox()) == 1
    world.clock.advance(world.settings.resend_seconds)
    world.monitor()
    assert inbox() == []


def test_each_write_on_an_alert_has_its_condition(world: World) -> None:
    store, now = world.services.monitoring, world.clock()
    alert = Alert(model="toy", metric="loss", number=1, value=9.0, opened_at=now, publishing_at=now, maximum=5.0)
    later: datetime = now + timedelta(seconds=1)
    assert store.open(alert, None)
    assert not store.open(alert, None), "a number is opened once"
    following = replace(alert, number=2, opened_at=later)
    assert not store.open(following, alert), "one at a time"
    assert store.take_publication(alert, later)
    assert not store.take_publication(alert, later), "one is at it at a time"
    assert store.acknowledge(alert, "ann", now)
    assert store.acknowledge(alert, "bob", now) is None, "the first stays"
    assert store.clear(alert, now)
    assert not store.clear(alert, later), "it ends once"
    present = store.alerts("toy")["loss"]
    assert not store.take_publication(present, later), "there is nothing left to say"
    assert (present.acknowledged_by, present.cleared_at) == ("ann", now)

    assert store.open(following, present)
    assert not store.open(following, present), "the next one is opened once, too"
    assert (store.alerts("toy"), store.past("toy", "loss", 5)) == ({"loss": following}, [present])
    store.published(alert, later)
    assert store.acknowledge(alert, "bob", later) is None
    assert not store.clear(alert, later)
    assert not store.take_publication(alert, later)
    assert store.alerts("toy") == {"loss": following}, "who still holds the one before changes nothing of the next one"


def test_a_breach_that_must_last_opens_an_alert_when_it_has(world: World, inbox: Callable[[], list[dict[str, Any]]]) -> None:
    world.model(rounds=0)
    world.operator.set_threshold("toy", "clients", minimum=3, lasting_seconds=900.0, severity="critical")
    seen = []
    for _ in range(5):
        world.monitor()
        seen.append(alerts(world, "clients"))
        world.clock.advance(300)
    assert seen == [[], [], [], [(1, "open")], [(1, "open")]]
    (message,) = inbox()
    assert (message["severity"], message["subject"]) == ("critical", "Muster critical: clients of toy is 0, below 3")
    assert message["why"] == "training was never started"
    assert message["recipe"] == "docs/operations.md#alerts"


def test_a_silence_holds_messages_back_and_not_alerts(world: World, inbox: Callable[[], list[dict[str, Any]]]) -> None:
    world.model(rounds=0)
    world.operator.set_threshold("toy", "clients", minimum=3)
    silence = world.operator.silence("toy", "clients", 1800.0, "we know")
    assert silence.until == world.clock() + timedelta(seconds=1800)
    for _ in range(3):
        world.monitor()
        world.clock.advance(300)
    assert (alerts(world, "clients"), inbox()) == ([(1, "open")], [])
    assert [alert.silent_until for alert in world.operator.status("toy").alerts] == [silence.until]
    world.clock.advance(1800)
    world.monitor()
    assert [message["metric"] for message in inbox()] == ["clients"], "it is still open"

    world.operator.silence("toy", "clients", 1800.0)
    world.operator.silence("toy", "clients", 0.0)
    assert [alert.silent_until for alert in world.operator.status("toy").alerts] == [None], "0 ends it"


def test_a_test_message_arrives_and_changes_nothing(world: World, inbox: Callable[[], list[dict[str, Any]]]) -> None:
    before = world.everything()
    assert world.operator.test_alerts().message_id
    (message,) = inbox()
    assert (message["test"], message["subject"]) == (True, "Muster test: alerts arrive here")
    assert world.everything() == before


def test_an_alert_goes_out_also_when_nobody_can_say_why(world: World, inbox: Callable[[], list[dict[str, Any]]]) -> None:
    world.model(rounds=0)
    world.monitor()
    world.operator.set_threshold("toy", "clients", minimum=3)

    def broken(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "BatchGetItem":
            raise TimeoutError("DynamoDB is slow today")
        return proceed()

    world.calls.between = broken
    world.monitor()
    assert [(message["metric"], message["why"]) for message in inbox()] == [("clients", None)]


@pytest.mark.parametrize("body", [{"seconds": -1.0}, {"seconds": 1e9}, {}, {"seconds": 1.0, "because": "x" * 65}])
def test_a_silence_that_makes_no_sense_is_refused(world: World, body: dict[str, Any]) -> None:
    world.model(rounds=0)
    before = world.everything()
    assert world.request("PUT", "/v1/admin/models/toy/alerts/loss/silence", body=body).status_code == 422
    assert world.request("PUT", "/v1/admin/models/toy/alerts/Loss/silence", body={"seconds": 1.0}).status_code == 404
    assert world.everything() == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"minimum": 2, "maximum": 1}, "maximum"),
        ({"minimum": "1"}, "minimum"),
        ({"least": 1}, "least"),
        ({"minimum": 1.0, "lasting_seconds": 1e6}, "lasting_seconds"),
        ({"minimum": 1.0, "severity": "loud"}, "severity"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(world: World, body: dict[str, Any], field: str) -> None:
    world.model(rounds=0)
    before = world.everything()
    document = world.request("PUT", "/v1/admin/models/toy/thresholds/loss", body=body).json()
    assert (document["status"], document["type"]) == (422, Problem.INVALID_BODY.urn)
    assert field in document["detail"]
    assert world.request("PUT", "/v1/admin/models/toy/thresholds/Loss", body={"minimum": 1}).status_code == 404
    assert world.everything() == before
