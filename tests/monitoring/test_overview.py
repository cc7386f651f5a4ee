"""Why, asked of a whole stack: what it costs, that it is never old, and the sentence of each fault that can be injected."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.clients.client import Client, ClientState
from chalicelib.storage import keys
from chalicelib.storage.alarms import NAMES
from chalicelib.vitals import LONGEST, Vitals, in_a_line
from infra.local.resources import template
from muster.http.errors import Refused
from muster.wire.admin import Overview, Waits
from muster.wire.problems import Problem
from tests.fleet import SESSION, World

MOST_REQUESTS = 6


def cost(world: World, path: str) -> list[str]:
    with world.calls.count() as operations:
        assert world.request("GET", path).status_code == 200
    return operations


def test_overview_and_why_cost_six_requests_with_twenty_models_and_any_number_of_clients(world: World) -> None:
    for number in range(20):
        world.model(f"toy-{number:02d}", rounds=number % 3, goal=1, quorum=1)
    for number in range(60):
        client = Client(
            client_id=f"stored-{number:05d}", key_hash="0" * 64, state=ClientState.ACTIVE, device_type="test",
            sdk_version="1", enrolled_at=world.clock(), last_seen_at=world.clock(), model="toy-01",
        )  # fmt: skip
        world.add(client)
    world.tick()
    world.deliver()
    world.monitor()
    for path in ("/v1/admin/overview", "/v1/admin/models/toy-01/why"):
        assert sorted(cost(world, path)) == sorted(
            ["BatchGetItem", "DescribeAlarms", "GetQueueAttributes", "Query", "Query"]
            + (["Query"] if path.endswith("overview") else ["GetItem"])
        )
    found = world.operator.overview()
    assert (len(found.models), found.clients, found.active) == (20, 60, 60)
    assert [one.active for one in found.models[:3]] == [0, 60, 0]
    assert {one.why.waits_for for one in found.models} == {Waits.IDLE, Waits.UPDATES, Waits.DEVICES}


def test_what_has_happened_since_the_tick_is_seen(world: World) -> None:
    world.model(rounds=9, goal=1, quorum=1, evaluators=0)
    world.tick()
    (device,) = world.devices(1)
    seen = []
    for number in range(1, 5):
        seen.append([(one.round, one.deployed_version) for one in world.operator.overview().models])
        world.update(device, step=number)
        world.deliver()  # the worker asks for a look, which publishes, decides and opens the next round
        world.clock.advance(world.settings.memory_seconds)
    latest = world.services.rounds.latest("toy")
    assert latest
    assert latest.number > 3
    assert seen[0] == [(1, 0)]
    assert [(one.round, one.deployed_version) for one in world.operator.overview().models] == [
        (latest.number, world.services.registry.present("toy").stable.version)
    ]


def test_a_stack_without_a_model_or_a_tick_has_an_overview(world: World) -> None:
    found = world.operator.overview()
    assert (found.models, found.ticked_at, found.counted_at, found.troubles) == ([], None, None, [])
    world.model(rounds=0)
    assert world.operator.why("toy").waits_for is Waits.IDLE


def test_the_why_of_an_unknown_model_is_refused_with_those_that_are_near(world: World) -> None:
    world.model()
    with pytest.raises(Refused) as refused:
        world.operator.why("toyy")
    assert (refused.value.problem, refused.value.document.expected) == (Problem.UNKNOWN_MODEL, "perhaps toy")


def test_alarms_and_dead_letters_that_cannot_be_read_are_said_and_hide_nothing_else(world: World) -> None:
    world.model()
    world.calls.between = failing("DescribeAlarms", "GetQueueAttributes")
    found = world.operator.overview()
    assert found.troubles == [
        "the dead-letter queue could not be read: TimeoutError: AWS is slow today",
        "the stack's alarms could not be read: TimeoutError: AWS is slow today",
    ]
    assert (found.dead_letters, [one.model for one in found.models]) == (None, ["toy"])


def test_the_alarms_that_are_looked_at_are_those_of_the_template() -> None:
    resources = template()["Resources"].values()
    made = [one["Properties"]["AlarmName"]["Fn::Sub"] for one in resources if one.get("Type") == "AWS::CloudWatch::Alarm"]
    assert sorted(made) == sorted("${AWS::StackName}-" + name for name in NAMES)


# ---- faults


def failing(*broken: str) -> Callable[[str, Callable[[], Any]], Any]:
    def between(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation in broken:
            raise TimeoutError("AWS is slow today")
        return proceed()

    return between


def minute(world: World, *, ticks: bool = True, monitors: bool = True, works: bool = True) -> None:
    """A minute passes, in which whatever fails fails."""
    world.clock.advance(60)
    for runs, step in ((ticks, world.tick), (monitors, world.monitor), (works, world.deliver)):
        if runs:
            with suppress(ExceptionGroup, RuntimeError, TimeoutError):
                step()


def reported(world: World) -> None:
    """A round in which two of three updates were reported."""
    world.model(goal=3, quorum=3, evaluators=0)
    world.tick()
    first, second, third = world.devices(3)
    third.heartbeat_if_due()
    for device in (first, second):
        world.update(device)


def aggregating(world: World) -> None:
    """A round that has all its updates, and whose manifest cannot be written."""
    world.model(goal=2, quorum=2, evaluators=0)
    world.tick()
    for device in world.devices(2):
        world.update(device)
    world.calls.between = failing("PutObject")


def unheard(world: World) -> None:
    """A round that has all its updates, and nobody can be asked to look."""
    aggregating(world)
    world.calls.between = failing("SendMessage", "SendMessageBatch")


def without_devices(world: World) -> None:
    world.model(goal=2, quorum=2)
    world.tick()
    world.clock.advance(1)


def two_models(world: World) -> None:
    """Each tick of theirs is a message."""
    world.model(goal=2, quorum=2, report_seconds=60.0)
    world.model("other")
    minute(world)


def vanishing(world: World) -> None:
    world.model(goal=2, quorum=2, report_seconds=60.0, over_selection=2.0)
    devices = world.devices(3)
    for _ in range(3):
        minute(world)
        for device in devices:
            device.check_in()
        minute(world)
        minute(world)


def ring(world: World) -> None:
    reported(world)
    name = f"{world.settings.alarm_prefix}api-fails"
    cloudwatch = SESSION.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name, AlarmDescription="It fails.", Namespace="Muster", MetricName="x", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")


def bury(world: World) -> None:
    reported(world)
    world.sqs.send_message(QueueUrl=world.settings.dead_queue_url or "", MessageBody="{}")


def only(*broken: str) -> Callable[[World], None]:
    def happens(world: World) -> None:
        reported(world)
        world.calls.between = failing(*broken)

    return happens


FAULTS: list[tuple[str, Callable[[World], None], dict[str, bool], Waits, str]] = [
    ("the schedule is off", reported, {"ticks": False}, Waits.TICK, "the tick has not run for 4 minutes: its schedule is off"),
    ("S3 gives nothing", only("GetObject"), {}, Waits.FAILING, "inspecting updates has failed since"),
    ("S3 takes nothing", aggregating, {}, Waits.FAILING, "reconciling has failed since"),
    ("DynamoDB's queries fail", only("Query"), {}, Waits.TICK, "it fails while looking which models there are: TimeoutError"),
    ("DynamoDB takes no change", only("UpdateItem"), {}, Waits.FAILING, "has failed since"),
    ("SQS takes no message", unheard, {}, Waits.FINISHED, "asking for looks has failed since"),
    ("the monitor is off", reported, {"monitors": False}, Waits.UPDATES, "the fleet was never counted: the monitor"),
    ("CloudWatch takes no number", only("PutMetricData"), {}, Waits.UPDATES, "sending records to CloudWatch has failed since"),
    ("SNS is down", only("Publish"), {}, Waits.UPDATES, "watching toy has failed since"),
    ("no worker comes", two_models, {"works": False}, Waits.LOOK, "the workers that it asks do not come"),
    ("nobody is there", without_devices, {}, Waits.DEVICES, "no device is enrolled"),
    (
        "devices vanish",
        vanishing,
        {},
        Waits.UPDATES,
        "rounds in a row were abandoned, the last because of quorum-not-reached: 0 of 2 updates",
    ),
    ("an alarm rings", ring, {}, Waits.UPDATES, "the stack's alarm api-fails rings: It fails."),
    ("messages are dead", bury, {}, Waits.UPDATES, "1 message in the dead-letter queue"),
]


@pytest.mark.parametrize(("happens", "runs", "waits_for", "said"), [fault[1:] for fault in FAULTS], ids=[f[0] for f in FAULTS])
def test_each_fault_has_its_sentence(
    world: World, happens: Callable[[World], None], runs: dict[str, bool], waits_for: Waits, said: str
) -> None:
    happens(world)
    for _ in range(2):
        minute(world, **runs)
    between, world.calls.between = world.calls.between, None  # or who asks would meet the fault, too
    found = world.operator.overview()
    for _ in range(18 if waits_for in (Waits.TICK, Waits.LOOK) or "never counted" in said else 0):
        if _says(found, waits_for, said):
            break
        world.calls.between = between
        minute(world, **runs)
        world.calls.between = None
        found = world.operator.overview()
    assert _says(found, waits_for, said), next(one.why for one in found.models if one.model == "toy")


def _says(found: Overview, waits_for: Waits, said: str) -> bool:
    why = next(one.why for one in found.models if one.model == "toy")
    return why.waits_for is waits_for and any(said in sentence for sentence in (why.sentence, *why.also))


# ---- what functions say of themselves


class Aws(Exception):
    """As botocore raises it."""

    def __init__(self) -> None:
        super().__init__("forbidden")
        said = "not for https://bucket.s3.amazonaws.com/key?X-Amz-Signature=1"
        self.operation_name, self.response = "PutObject", {"Error": {"Code": "AccessDenied", "Message": said}}


def test_an_error_is_told_in_a_line_without_an_address() -> None:
    assert in_a_line(Aws()) == "AccessDenied at PutObject: not for (address)"
    assert in_a_line(ValueError("one\n two")) == "ValueError: one two"
    assert in_a_line(ExceptionGroup("several", [ExceptionGroup("more", [ValueError("first")]), KeyError("b")])) == (
        "ValueError: first"
    )
    assert in_a_line(ValueError()) == "ValueError"
    assert len(in_a_line(ValueError("x" * 10_000))) == LONGEST


@given(st.text(max_size=600))
def test_whatever_an_error_says_it_is_one_bounded_line_that_a_terminal_only_prints(said: str) -> None:
    found = in_a_line(ValueError(f"{said} https://bucket/key?X-Amz-Signature=1 \x1b[2J"))
    assert len(found) <= LONGEST
    assert found.isprintable()
    assert "Signature" not in found


def test_a_mark_and_a_trouble_of_a_time_to_come_were_left_under_a_wrong_clock(world: World) -> None:
    wrong = Vitals(world.services.monitoring._table, lambda: world.clock() + timedelta(days=300))
    world.model()
    wrong.beat({})
    wrong.tell("toy", "reconciling", ValueError("broken"))
    assert world.operator.why("toy").waits_for is Waits.TICK
    world.tick()
    assert world.operator.why("toy").waits_for is not Waits.TICK, "the next tick puts its own in its place"
    assert world.operator.why("toy").waits_for is not Waits.FAILING


def test_of_two_that_tell_of_a_trouble_at_once_one_is_counted(world: World) -> None:
    table = world.services.monitoring._table
    Vitals(table, world.clock).tell("toy", "reconciling", ValueError("first"))
    world.clock.advance(30)

    def rival(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "PutItem":
            world.calls.between = None
            Vitals(table, world.clock).tell("toy", "reconciling", ValueError("rival"))
        return proceed()

    world.calls.between = rival
    world.clock.advance(1)
    Vitals(table, lambda: world.clock() - timedelta(seconds=1)).tell("toy", "reconciling", ValueError("late"))
    (trouble,) = world.services.monitoring.now().troubles
    assert (trouble.what, trouble.times) == ("ValueError: rival", 2)


def test_a_trouble_is_one_row_however_often_it_is_told_of_and_says_since_when(world: World) -> None:
    table = world.services.monitoring._table
    began = world.clock()
    for _ in range(3):
        Vitals(table, world.clock).tell("toy", "inspecting updates", ValueError("broken"))
        world.clock.advance(30)
    (trouble,) = world.services.monitoring.now().troubles
    assert (trouble.since, trouble.times, trouble.what) == (began, 3, "ValueError: broken")
    world.clock.advance(600)
    Vitals(table, world.clock).tell("toy", "inspecting updates", ValueError("broken"))
    (trouble,) = world.services.monitoring.now().troubles
    assert (trouble.since, trouble.times) == (world.clock(), 1), "it was over"


def test_of_many_failures_at_once_a_function_tells_once(world: World) -> None:
    vitals = world.services.vitals
    with world.calls.count() as operations:
        for _ in range(1000):
            vitals.tell("toy", "inspecting updates", ValueError("broken"))
    assert operations == ["GetItem", "PutItem"]


def test_a_failure_that_cannot_be_told_of_is_raised_all_the_same(world: World) -> None:
    world.calls.between = failing("PutItem", "GetItem")
    with pytest.raises(ValueError, match="broken"), world.services.vitals.telling("toy", "reconciling"):
        raise ValueError("broken")


def test_while_all_models_rest_the_tick_leaves_a_mark_in_one_minute_of_five(world: World) -> None:
    world.model(rounds=0)
    marks = set()
    for _ in range(10):
        world.tick()
        pulse = world.services.monitoring.now().pulse
        marks |= {(pulse.at.minute, pulse.rests)} if pulse else set()
        world.clock.advance(60)
    assert marks == {(0, True), (5, True)}


def test_a_tick_of_before_does_not_hide_a_later_one(world: World) -> None:
    assert world.services.vitals.beat({})
    late = Vitals(world.services.monitoring._table, lambda: world.clock() - timedelta(seconds=5))
    assert not late.beat({})
    pulse = world.services.monitoring.now().pulse
    assert pulse
    assert pulse.at == world.clock()
    assert keys.PULSE.key() == {"pk": "now", "sk": "pulse"}
    assert replace(pulse, newest={}) == pulse
