"""A CloudFormation stack: what it is, what would change, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, WaiterError

from infra.errors import Stopped

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
"""A role a function; and SAM's transform."""

WAIT = {"Delay": 5, "MaxAttempts": 720}
"""How often a stack is looked at, and for how long: an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would become of one resource."""

    action: str
    logical_id: str
    kind: str
    replacement: str


class Account:
    """An AWS account and region, as the environment names them (or a profile, and a region, that are given).

    Raises:
        Stopped: there are no credentials, or no region, or AWS refuses them.
    """

    def __init__(self, profile: str | None = None, region: str | None = None) -> None:
        self.profile = profile
        try:
            self._session = boto3.Session(profile_name=profile, region_name=region)
            if not self._session.region_name:  # STS would answer without one
                raise Stopped("no AWS region: give --region, or set AWS_DEFAULT_REGION, or `aws configure set region …`")
            self.id: str = self.client("sts").get_caller_identity()["Account"]
        except NoCredentialsError as error:
            raise Stopped("no AWS credentials: give --profile, or set AWS_PROFILE, or run `aws configure`") from error
        except (BotoCoreError, ClientError) as error:
            raise Stopped(f"AWS does not take these credentials: {error}") from error
        self.region: str = self._session.region_name

    def client(self, service: str) -> Any:
        """A boto3 client."""
        return self._session.client(service)  # type: ignore[call-overload]

    def resource(self, service: str) -> Any:
        """A boto3 resource, which speaks of values and not of their types."""
        return self._session.resource(service)  # type: ignore[call-overload]


class Stack:
    """One stack of an account."""

    def __init__(self, account: Account, name: str) -> None:
        self.account = account
        self.name = name
        self._cloudformation = account.client("cloudformation")

    def described(self) -> dict[str, Any] | None:
        """What CloudFormation says of it, or None when there is no such stack."""
        try:
            found: dict[str, Any] = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if found["StackStatus"] == "REVIEW_IN_PROGRESS" else found

    def outputs(self) -> dict[str, str]:
        """Its outputs, by key."""
        found = self.described() or {}
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def resources(self) -> dict[str, tuple[str, str]]:
        """Type and physical id of its resources, by logical id."""
        pages = self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return {
            resource["LogicalResourceId"]: (resource["ResourceType"], resource["PhysicalResourceId"])
            for page in pages
            for resource in page["StackResourceSummaries"]
            if resource.get("PhysicalResourceId") and resource["ResourceStatus"] != "DELETE_COMPLETE"
        }

    def retained(self) -> list[tuple[str, str]]:
        """Type and physical id of what the last deleted stack of this name left behind, whether or not it is still there.

        Stacks that left nothing are passed over. CloudFormation remembers the events of deleted stacks for 90 days.
        """
        pages = self._cloudformation.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
        gone = [stack for page in pages for stack in page["StackSummaries"] if stack["StackName"] == self.name]
        for stack in sorted(gone, key=lambda stack: stack["CreationTime"], reverse=True):
            skipped = [event for event in self._events(stack["StackId"]) if event["ResourceStatus"] == "DELETE_SKIPPED"]
            if skipped:
                return sorted({(event["ResourceType"], event["PhysicalResourceId"]) for event in skipped})
        return []

    def propose(self, template_url: str, parameters: Mapping[str, str]) -> str | None:
        """Make a change set, and return its id, or None when nothing would change. An existing stack keeps its parameters.

        Raises:
            Stopped: CloudFormation does not take the template or a parameter.
        """
        before = self.described()
        kept = {parameter["ParameterKey"] for parameter in before.get("Parameters", [])} - set(parameters) if before else set()
        given: list[dict[str, Any]] = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        given += [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)]
        try:
            change_set: str = self._cloudformation.create_change_set(
                StackName=self.name,
                ChangeSetName=f"muster-{uuid4().hex}",
                ChangeSetType="UPDATE" if before else "CREATE",
                TemplateURL=template_url,
                Parameters=given,
                Capabilities=CAPABILITIES,
            )["Id"]
        except ClientError as error:
            raise Stopped(f"CloudFormation does not take it: {error.response['Error'].get('Message', error)}") from error
        try:
            self._cloudformation.get_waiter("change_set_create_complete").wait(ChangeSetName=change_set, WaiterConfig=WAIT)
        except WaiterError as error:
            reason = self._cloudformation.describe_change_set(ChangeSetName=change_set).get("StatusReason", str(error))
            self.withdraw(change_set)
            if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                return None
            raise Stopped(f"CloudFormation does not take it: {reason}") from error
        return change_set

    def changes(self, change_set: str) -> Iterator[Change]:
        """What a change set would do."""
        pages = self._cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
        for page in pages:
            for change in page["Changes"]:
                found = change["ResourceChange"]
                replacement = found.get("Replacement", "False")
                yield Change(
                    action=found["Action"],
                    logical_id=found["LogicalResourceId"],
                    kind=found["ResourceType"],
                    replacement=replacement,
                )

    def withdraw(self, change_set: str) -> None:
        """Drop a change set, and the empty stack that it made, if it did."""
        self._cloudformation.delete_change_set(ChangeSetName=change_set)
        if self.described() is None:
            self._cloudformation.delete_stack(StackName=self.name)

    def execute(self, change_set: str) -> None:
        """Do what a change set says, and wait for it.

        Raises:
            Stopped: a resource failed, and everything was rolled back; the message says which, and why.
        """
        what = "update" if self.described() else "create"
        token = uuid4().hex
        self._cloudformation.execute_change_set(ChangeSetName=change_set, ClientRequestToken=token)
        try:
            self._cloudformation.get_waiter(f"stack_{what}_complete").wait(StackName=self.name, WaiterConfig=WAIT)
        except WaiterError as error:
            found = self.described() or {}
            raise Stopped(
                f"{self.name} could not be {what}d and is {found.get('StackStatus', 'gone')}: {self._failure(token)}"
            ) from error

    def delete(self) -> None:
        """Delete it, and wait until it is gone. What is retained stays.

        Raises:
            Stopped: a resource could not be deleted.
        """
        found = self.described()
        if found is None:
            return
        token = uuid4().hex
        self._cloudformation.delete_stack(StackName=found["StackId"], ClientRequestToken=token)
        try:
            self._cloudformation.get_waiter("stack_delete_complete").wait(StackName=found["StackId"], WaiterConfig=WAIT)
        except WaiterError as error:
            raise Stopped(f"{self.name} could not be deleted: {self._failure(token)}") from error

    def _failure(self, token: str) -> str:
        """The first resource that failed since a request, and why; the others failed because of it."""
        failed = [
            event
            for event in self._events(self.name)
            if event["ResourceStatus"].endswith("_FAILED") and event.get("ClientRequestToken", token) == token
        ]
        if not failed:
            return "CloudFormation does not say why"
        first = failed[-1]  # events come newest first
        return f"{first['LogicalResourceId']} ({first['ResourceType']}): {first.get('ResourceStatusReason', 'no reason given')}"

    def _events(self, stack: str) -> Iterator[dict[str, Any]]:
        """What happened to a stack, by its name or id, newest first."""
        for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack):
            yield from page["StackEvents"]
