"""What Muster makes of CloudFormation's answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from infra import stack as stacks
from infra.errors import Stopped
from infra.stack import Change, Stack

NOW = datetime(2026, 11, 24, tzinfo=UTC)
GONE = "does not exist"


class Aws:
    """An account with one client."""

    region = "eu-north-1"
    id = "123456789012"

    def __init__(self, client: Any) -> None:
        self._client = client

    def client(self, service: str) -> Any:
        assert service == "cloudformation"
        return self._client


class CloudFormation:
    """Answers that a test foresees, in their order: the requests and the forms of both are checked by botocore's own model."""

    def __init__(self, stubber: Stubber, stack: Stack) -> None:
        self._stubber = stubber
        self.stack = stack

    def answers(self, method: str, reply: dict[str, Any], **request: Any) -> None:
        self._stubber.add_response(method, reply, request or None)

    def is_in(self, status: str | None, **said: Any) -> None:
        if status is None:
            self.refuses("describe_stacks", GONE)
        else:
            found = {"StackName": "muster", "StackId": "arn/1", "StackStatus": status, "CreationTime": NOW, **said}
            self.answers("describe_stacks", {"Stacks": [found]})

    def refuses(self, method: str, message: str) -> None:
        self._stubber.add_client_error(method, "ValidationError", message, 400)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    monkeypatch.setattr(stacks, "WAIT", {"Delay": 0, "MaxAttempts": 3})
    client = boto3.client("cloudformation", region_name="eu-north-1")
    with Stubber(client) as stubber:
        yield CloudFormation(stubber, Stack(Aws(client), "muster"))  # type: ignore[arg-type]
        stubber.assert_no_pending_responses()


def event(logical_id: str, status: str, reason: str | None = None, token: str | None = None) -> dict[str, Any]:
    said = {"ResourceStatusReason": reason, "ClientRequestToken": token}
    told = {name: value for name, value in said.items() if value is not None}
    where = {"StackId": "arn/1", "EventId": f"{logical_id}-{status}", "StackName": "muster", "Timestamp": NOW}
    return {**where, "LogicalResourceId": logical_id, "ResourceType": "AWS::X", "ResourceStatus": status, **told}


def test_a_stack_whose_change_set_was_never_carried_out_is_none(aws: CloudFormation) -> None:
    aws.is_in("REVIEW_IN_PROGRESS")
    assert aws.stack.described() is None
    aws.is_in(None)
    assert aws.stack.described() is None
    aws.is_in("CREATE_COMPLETE", Outputs=[{"OutputKey": "RestAPIId", "OutputValue": "abc"}])
    assert aws.stack.outputs() == {"RestAPIId": "abc"}


def test_of_a_failed_deployment_the_first_resource_that_failed_of_this_request_is_named(
    aws: CloudFormation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "uuid4", lambda: type("Id", (), {"hex": "now"}))
    aws.is_in("UPDATE_COMPLETE")
    aws.answers("execute_change_set", {}, ChangeSetName="arn/set", ClientRequestToken="now")
    aws.is_in("UPDATE_ROLLBACK_COMPLETE")
    aws.is_in("UPDATE_ROLLBACK_COMPLETE")
    newest_first = [
        event("muster", "UPDATE_ROLLBACK_COMPLETE", token="now"),
        event("Tick", "UPDATE_FAILED", "Resource update cancelled", "now"),
        event("WorkQueue", "UPDATE_FAILED", "the queue is not free", "now"),
        event("WorkQueue", "UPDATE_IN_PROGRESS", token="now"),
        event("Monitor", "CREATE_FAILED", "of the day before", "then"),
    ]
    aws.answers("describe_stack_events", {"StackEvents": newest_first}, StackName="muster")
    why = r"muster could not be updated and is UPDATE_ROLLBACK_COMPLETE: WorkQueue \(AWS::X\): the queue is not free$"
    with pytest.raises(Stopped, match=why):
        aws.stack.execute("arn/set")


def test_a_stack_that_cannot_be_deleted_says_which_resource_and_why(
    aws: CloudFormation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "uuid4", lambda: type("Id", (), {"hex": "now"}))
    aws.is_in("CREATE_COMPLETE")
    aws.answers("delete_stack", {}, StackName="arn/1", ClientRequestToken="now")
    aws.is_in("DELETE_FAILED")
    failed = event("TickRole", "DELETE_FAILED", "it has policies of its own", "now")
    aws.answers("describe_stack_events", {"StackEvents": [failed]}, StackName="muster")
    with pytest.raises(Stopped, match=r"muster could not be deleted: TickRole \(AWS::X\): it has policies of its own"):
        aws.stack.delete()
    aws.is_in(None)
    aws.stack.delete()


def proposed(aws: CloudFormation, before: str | None, given: list[dict[str, Any]], **said: Any) -> None:
    """A change set is asked for, and made."""
    aws.is_in(before, **said)
    request = {
        "StackName": "muster", "ChangeSetName": ANY, "TemplateURL": "https://t", "Parameters": given,
        "ChangeSetType": "UPDATE" if before else "CREATE", "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    }  # fmt: skip
    aws.answers("create_change_set", {"Id": "arn/set"}, **request)


def withdrawn(aws: CloudFormation, reason: str, left: str) -> None:
    """The change set fails, is asked why, and is dropped; what is left of the stack."""
    for _ in range(2):
        aws.answers("describe_change_set", {"Status": "FAILED", "StatusReason": reason})
    aws.answers("delete_change_set", {}, ChangeSetName="arn/set")
    aws.is_in(left)


def test_parameters_that_are_not_named_stay_as_they_were(aws: CloudFormation) -> None:
    given: list[dict[str, Any]] = [
        {"ParameterKey": "Stage", "ParameterValue": "dev"},
        {"ParameterKey": "AdminCidrs", "UsePreviousValue": True},
    ]
    before = [{"ParameterKey": "AdminCidrs", "ParameterValue": "x"}, {"ParameterKey": "Stage", "ParameterValue": "prod"}]
    proposed(aws, "UPDATE_COMPLETE", given, Parameters=before)
    aws.answers("describe_change_set", {"Status": "CREATE_COMPLETE"})
    assert aws.stack.propose("https://t", {"Stage": "dev"}) == "arn/set"


def test_when_nothing_would_change_the_change_set_is_dropped(aws: CloudFormation) -> None:
    proposed(aws, "UPDATE_COMPLETE", [])
    withdrawn(aws, "The submitted information didn't contain changes.", "UPDATE_COMPLETE")
    assert aws.stack.propose("https://t", {}) is None


def test_a_refused_template_is_told_and_leaves_no_empty_stack(aws: CloudFormation) -> None:
    proposed(aws, None, [])
    withdrawn(aws, "Transform failed", "REVIEW_IN_PROGRESS")
    aws.answers("delete_stack", {}, StackName="muster")
    with pytest.raises(Stopped, match="does not take it: Transform failed"):
        aws.stack.propose("https://t", {})


def test_a_refused_parameter_is_told(aws: CloudFormation) -> None:
    aws.is_in(None)
    aws.refuses("create_change_set", "Parameters: [Stge] do not exist in the template")
    with pytest.raises(Stopped, match=r"does not take it: Parameters: \[Stge\]"):
        aws.stack.propose("https://t", {"Stge": "dev"})


def test_a_change_says_whether_the_resource_is_made_anew(aws: CloudFormation) -> None:
    found = [
        {"Action": "Modify", "LogicalResourceId": "Tick", "ResourceType": "AWS::X", "Replacement": "True"},
        {"Action": "Add", "LogicalResourceId": "Monitor", "ResourceType": "AWS::X"},
    ]
    changes = [{"Type": "Resource", "ResourceChange": change} for change in found]
    aws.answers("describe_change_set", {"Changes": changes}, ChangeSetName="arn/set")
    assert list(aws.stack.changes("arn/set")) == [
        Change(action="Modify", logical_id="Tick", kind="AWS::X", replacement="True"),
        Change(action="Add", logical_id="Monitor", kind="AWS::X", replacement="False"),
    ]


def test_what_deleted_stacks_left_is_what_the_last_one_that_left_something_did_not_delete(aws: CloudFormation) -> None:
    def deleted(number: int, name: str = "muster") -> dict[str, Any]:
        return {
            "StackName": name, "StackId": f"arn/{number}", "StackStatus": "DELETE_COMPLETE",
            "CreationTime": NOW + timedelta(days=number),
        }  # fmt: skip

    summaries = [deleted(1), deleted(3), deleted(4, "another"), deleted(2)]
    aws.answers("list_stacks", {"StackSummaries": summaries}, StackStatusFilter=["DELETE_COMPLETE"])

    skipped = {**event("RoundsTable", "DELETE_SKIPPED"), "PhysicalResourceId": "muster-rounds-1"}
    aws.answers("describe_stack_events", {"StackEvents": [event("Tick", "DELETE_COMPLETE")]}, StackName="arn/3")
    aws.answers("describe_stack_events", {"StackEvents": [event("Tick", "DELETE_COMPLETE"), skipped]}, StackName="arn/2")
    assert aws.stack.retained() == [("AWS::X", "muster-rounds-1")]
