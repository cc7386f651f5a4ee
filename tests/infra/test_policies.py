"""Least privilege, proven from what the functions do: each policy of `.chalice/` allows what its function was seen to need in a
whole run, and nothing else.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping

import pytest

import app as functions
from chalicelib.settings import Settings
from infra.memory.calls import Observer
from tests.infra.whole_run import whole_run
from tests.permissions import CHALICE, FUNCTIONS, Grant, Need, Policy, grants, needs, of_the_platform, read

WITHOUT_RESOURCES = {
    "cloudwatch:DescribeAlarms": "who may not ask for all alarms may be refused, though some are named; it only reads",
    "cloudwatch:PutMetricData": "no resource-level permission; the condition on the namespace takes its place",
    "cloudwatch:GetMetricStatistics": "no resource-level permission, and no condition key either; it only reads",
    "cloudwatch:ListMetrics": "no resource-level permission, and no condition key either; it only reads",
    "xray:PutTraceSegments": "no resource-level permission; it only writes to this account's traces",
    "xray:PutTelemetryRecords": "no resource-level permission; it only writes to this account's traces",
}
"""Actions that AWS lets nobody restrict to a resource ("Actions, resources, and condition keys"), and why that is bearable."""

pytestmark = pytest.mark.xdist_group("policies")  # one whole run serves all

Policies = Mapping[str, Policy]
Wanted = dict[str, set[Need]]


@pytest.fixture(scope="module")
def seen() -> Iterator[tuple[Settings, Observer]]:
    world, observer = whole_run()
    yield world.settings, observer
    world.close()


@pytest.fixture(scope="module")
def wanted(seen: tuple[Settings, Observer]) -> Wanted:
    """What each function needs: for its calls, and for what Lambda does in its name."""
    settings, observer = seen
    found: Wanted = {function: set(of_the_platform(function, settings)) for function in FUNCTIONS}
    for call in observer.calls:
        found[call.function].update(needs(call))
    return found


@pytest.fixture(scope="module")
def policies() -> Policies:
    return {function: read(function) for function in FUNCTIONS}


def missing(policies: Policies, wanted: Wanted, settings: Settings) -> list[str]:
    """What a function does and may not do."""
    return [
        f"{function} may not {need.action} on {need.resource}"
        for function, policy in policies.items()
        for given in [list(grants(policy, settings))]
        for need in wanted[function]
        if not any(grant.allows(need) for grant in given)
    ]


def unused(policies: Policies, wanted: Wanted, settings: Settings) -> list[tuple[str, Grant]]:
    """What a function may do and never does."""
    return [
        (function, grant)
        for function, policy in policies.items()
        for grant in grants(policy, settings)
        if not any(grant.allows(need) for need in wanted[function])
    ]


def test_every_route_and_every_trigger_was_called(seen: tuple[Settings, Observer]) -> None:
    _, observer = seen
    routes = {(method, path) for path, methods in functions.app.routes.items() for method in methods}
    patterns = {(m, path): re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for m, path in routes}
    called = {
        route
        for route, pattern in patterns.items()
        if any(route[0] == method and pattern.fullmatch(path) for method, path in set(observer.served))
    }
    assert routes - called == set()
    assert {call.function for call in observer.calls} == FUNCTIONS.keys()
    assert {trigger.name for trigger in functions.app.event_sources} == FUNCTIONS.keys() - {"api"}


def test_nothing_that_a_function_does_is_forbidden_to_it(
    policies: Policies, wanted: Wanted, seen: tuple[Settings, Observer]
) -> None:
    assert missing(policies, wanted, seen[0]) == []


def test_nothing_is_allowed_that_a_function_never_does(
    policies: Policies, wanted: Wanted, seen: tuple[Settings, Observer]
) -> None:
    assert unused(policies, wanted, seen[0]) == []


def test_without_any_one_statement_a_function_could_not_do_its_work(
    policies: Policies, wanted: Wanted, seen: tuple[Settings, Observer]
) -> None:
    for function, policy in policies.items():
        for number, statement in enumerate(policy["Statement"]):
            without = {**policy, "Statement": [s for n, s in enumerate(policy["Statement"]) if n != number]}
            assert missing({function: without}, wanted, seen[0]), f"{function}: {statement['Sid']} is needed for nothing"


def test_without_any_one_action_or_resource_either(policies: Policies, wanted: Wanted, seen: tuple[Settings, Observer]) -> None:
    for function, policy in policies.items():
        for number, statement in enumerate(policy["Statement"]):
            for part in ("Action", "Resource"):
                for item in range(len(statement[part]) if isinstance(statement[part], list) else 0):
                    without = copy.deepcopy(policy)
                    del without["Statement"][number][part][item]
                    assert missing({function: without}, wanted, seen[0]), (function, statement["Sid"], statement[part][item])


def test_the_check_notices_what_is_too_much(policies: Policies, wanted: Wanted, seen: tuple[Settings, Observer]) -> None:
    too_much = copy.deepcopy(policies["monitor"])
    too_much["Statement"].append(
        {
            "Sid": "Idle",
            "Effect": "Allow",
            "Action": ["sqs:SendMessage"],
            "Resource": {"Fn::GetAtt": ["InspectionQueue", "Arn"]},
        }
    )
    assert [grant.sid for _, grant in unused({"monitor": too_much}, wanted, seen[0])] == ["Idle"]


def test_the_metrics_namespace_is_part_of_the_permission(
    policies: Policies, wanted: Wanted, seen: tuple[Settings, Observer]
) -> None:
    other = json.loads(json.dumps(policies["monitor"]).replace('"Muster"', '"Other"'))
    assert missing({"monitor": other}, wanted, seen[0]) == ["monitor may not cloudwatch:PutMetricData on *"]


def test_there_is_one_policy_for_each_function_and_the_configuration_names_it() -> None:
    stage = json.loads((CHALICE / "config.json").read_text())["stages"]["dev"]
    named = {name: settings["iam_policy_file"] for name, settings in stage["lambda_functions"].items()}
    named["api"] = stage["iam_policy_file"]
    assert stage["autogen_policy"] is False
    assert named == {function: f"{function}.json" for function in FUNCTIONS}
    assert {file.stem for file in CHALICE.glob("*.json")} == {*FUNCTIONS, "config"}


def test_no_action_is_a_pattern_and_a_resource_is_everything_only_where_aws_knows_no_other(policies: Policies) -> None:
    everything: set[str] = set()
    for policy in policies.values():
        for statement in policy["Statement"]:
            assert not [action for action in statement["Action"] if "*" in action or "?" in action]
            if statement["Resource"] == "*":
                everything.update(statement["Action"])
            if "cloudwatch:PutMetricData" in statement["Action"]:
                assert statement["Condition"] == {"StringEqualsIfExists": {"cloudwatch:namespace": "Muster"}}
    assert everything == WITHOUT_RESOURCES.keys()


def test_a_function_writes_to_its_own_log_group_and_no_other(policies: Policies, seen: tuple[Settings, Observer]) -> None:
    settings, _ = seen
    for function, policy in policies.items():
        given = list(grants(policy, settings))
        for other in FUNCTIONS:
            logs = [need for need in of_the_platform(other, settings) if need.action.startswith("logs:")]
            assert all(any(grant.allows(need) for grant in given) == (other == function) for need in logs)
