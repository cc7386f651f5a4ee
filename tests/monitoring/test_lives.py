"""An alert's life, from the breach to the end, as those see it who are subscribed: of an objective, and of the stack."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.monitoring import objectives
from chalicelib.monitoring.message import RECIPES
from chalicelib.monitoring.objectives import UPLOADS, Events
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Summary
from infra.local.resources import template
from muster.http.errors import Refused
from muster.wire.admin import NO_MODEL
from muster.wire.problems import Problem
from tests.fleet import SESSION, World
from tests.rounds.making import a_round

Inbox = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def inbox(world: World) -> Inbox:
    """What reaches a subscribed queue since the last look: what machines read, and of SNS the subject."""
    sqs, sns = SESSION.client("sqs"), SESSION.client("sns")
    url = sqs.create_queue(QueueName="pager")["QueueUrl"]
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


def ends(world: World, number: int, seconds: float, **summary: Any) -> None:
    """A round of the model `toy` that took so long."""
    at = world.clock()
    world.services.rounds.open(
        a_round(
            Phase.COMPLETED, number=number, opened_at=at - timedelta(seconds=seconds), finished_at=at,
            summary=Summary(**{"accepted": 4, "judges": 15, **summary}),
        )
    )  # fmt: skip


def look(world: World) -> None:
    world.clock.advance(300)
    world.monitor()


def states(world: World, model: str, metric: str) -> list[tuple[int, str]]:
    return [(alert.number, alert.state) for alert in world.operator.alerts(model) if alert.metric == metric]


def test_a_round_that_takes_too_long_is_told_looked_after_and_over_with_the_next_one(world: World, inbox: Inbox) -> None:
    world.model(rounds=0, report_seconds=60.0, evaluate_seconds=60.0, grace_seconds=0.0)
    ends(world, 1, seconds=600.0)
    look(world)
    assert inbox() == [], "ten minutes are no breach"

    ends(world, 2, seconds=601.0)
    look(world)
    (message,) = inbox()
    assert message["subject"] == "Muster warning: round_seconds of toy is 601, above 600"
    assert {name: message[name] for name in ("alert", "severity", "model", "metric", "value", "maximum", "recipe")} == {
        "alert": "round_seconds of toy is 601, above 600", "severity": "warning", "model": "toy", "metric": "round_seconds",
        "value": 601, "maximum": 600, "recipe": "docs/operations.md#round_seconds",
    }  # fmt: skip
    assert states(world, "toy", "round_seconds") == [(1, "open")]

    assert world.operator.acknowledge("toy", "round_seconds").acknowledged_by == "local"
    look(world)
    assert (inbox(), states(world, "toy", "round_seconds")) == ([], [(1, "acknowledged")])

    ends(world, 3, seconds=90.0)
    look(world)
    assert (inbox(), states(world, "toy", "round_seconds")) == ([], [(1, "cleared")])


def test_dead_letters_are_the_stacks_alert_told_once_looked_after_and_over_when_the_queue_is_empty(
    world: World, inbox: Inbox
) -> None:
    for name in ("toy", "other"):
        world.model(name, rounds=0)
    look(world)
    queue = world.settings.dead_queue_url or ""
    for _ in range(2):
        world.sqs.send_message(QueueUrl=queue, MessageBody="{}")
    look(world)
    (message,) = inbox()
    assert message["subject"] == "Muster critical: dead_letters of the stack is 2, above 0"
    assert (message["model"], message["why"], message["next"]) == (
        NO_MODEL, None, "muster status; muster alerts ack - dead_letters",
    )  # fmt: skip
    assert message["recipe"] == "docs/operations.md#dead_letters"
    assert states(world, NO_MODEL, "dead_letters") == [(1, "open")]
    assert [alert.metric for alert in world.operator.overview().alerts] == ["dead_letters"]

    assert world.operator.acknowledge(NO_MODEL, "dead_letters").state == "acknowledged"
    look(world)
    assert (inbox(), states(world, NO_MODEL, "dead_letters")) == ([], [(1, "acknowledged")])

    SESSION.client("sqs").purge_queue(QueueUrl=queue)
    look(world)
    assert (inbox(), states(world, NO_MODEL, "dead_letters")) == ([], [(1, "cleared")])
    assert world.operator.overview().alerts == []
    with pytest.raises(Refused) as refused:
        world.operator.acknowledge(NO_MODEL, "dead_letters")
    assert refused.value.problem is Problem.NO_OPEN_ALERT


def test_dead_letters_in_a_silence_are_told_to_nobody_and_after_it_to_all(world: World, inbox: Inbox) -> None:
    world.model(rounds=0)
    world.operator.silence(NO_MODEL, "dead_letters", 3600.0, "we are at it")
    world.sqs.send_message(QueueUrl=world.settings.dead_queue_url or "", MessageBody="{}")
    look(world)
    assert (inbox(), states(world, NO_MODEL, "dead_letters")) == ([], [(1, "open")])
    assert world.operator.overview().alerts[0].silent_until is not None
    world.clock.advance(3600)
    look(world)
    assert [message["number"] for message in inbox()] == [1]


def test_the_queue_is_looked_at_once_in_a_count_and_one_that_cannot_be_read_stops_nothing_else(world: World) -> None:
    world.model(rounds=0)
    with world.calls.count() as calls:
        for _ in range(5):
            world.monitor()
            world.clock.advance(60)
    assert calls.count("GetQueueAttributes") <= 2, "five minutes touch two periods at the most"

    def broken(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "GetQueueAttributes":
            raise TimeoutError("AWS is slow today")
        return proceed()

    world.calls.between = broken
    world.clock.advance(300)
    with pytest.raises(ExceptionGroup) as failed:
        world.monitor()
    world.calls.between = None
    assert failed.value.exceptions[0].__notes__ == ["while looking for dead letters"]


def test_while_all_models_rest_the_queue_is_looked_at_once_an_hour_until_an_alert_is_open(world: World, inbox: Inbox) -> None:
    world.model(rounds=0)

    def looks(minutes: int) -> int:
        with world.calls.count() as calls:
            for _ in range(minutes // 5):
                world.tick()
                look(world)
        return calls.count("GetQueueAttributes")

    looks(60)
    assert looks(180) == 3
    world.sqs.send_message(QueueUrl=world.settings.dead_queue_url or "", MessageBody="{}")
    looks(60)
    assert [message["metric"] for message in inbox()] == ["dead_letters"]
    assert looks(60) == 12, "somebody may be at it"


def test_a_burned_budget_is_told_by_its_name_and_is_over_when_the_bad_day_has_left_the_window(
    world: World, inbox: Inbox
) -> None:
    world.model(rounds=0)
    ends(world, 1, seconds=60.0, accepted=57, rejected={"not-finite": 3})
    look(world)
    (message,) = inbox()
    assert message["alert"] == "burned_budgets of toy is 1, above 0: uploads: 3 of 60 uploads failed, 3 may"
    assert message["recipe"] == "docs/operations.md#burned_budgets"
    assert states(world, "toy", "burned_budgets") == [(1, "open")]

    world.clock.advance(30 * 86_400)
    ends(world, 2, seconds=60.0)
    look(world)
    assert (inbox(), states(world, "toy", "burned_budgets")) == ([], [(1, "cleared")])


def test_a_few_bad_uploads_burn_no_budget_and_are_no_breach(world: World, inbox: Inbox) -> None:
    world.model(rounds=0)
    ends(world, 1, seconds=60.0, accepted=2, rejected={"not-finite": 1})
    look(world)
    assert inbox() == []
    now = world.clock()
    days = world.services.monitoring.days("toy", now.date(), now.date())
    assert [day.of(UPLOADS) for day in days if isinstance(day, objectives.ObjectiveDay)] == [Events(2, 3)]


def test_the_alarm_of_a_silent_tick_rings_after_three_minutes() -> None:
    alarm = template()["Resources"]["TickIsSilent"]["Properties"]
    assert alarm["Period"] * alarm["EvaluationPeriods"] == alarm["Period"] * alarm["DatapointsToAlarm"] == 180
    assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("Invocations", "breaching")
    assert "three minutes" in alarm["AlarmDescription"]


def test_each_recipe_that_an_alarm_names_is_there() -> None:
    page = (Path(__file__).parents[2] / RECIPES).read_text()
    alarms = [each["Properties"] for each in template()["Resources"].values() if each.get("Type") == "AWS::CloudWatch::Alarm"]
    named = {place for alarm in alarms for place in re.findall(rf"{RECIPES}#([\w-]+)", alarm["AlarmDescription"])}
    assert {"tick-is-silent", "dead_letters"} <= named
    assert [place for place in named if f'<a id="{place}"></a>' not in page] == []
