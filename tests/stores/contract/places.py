"""The stores that are held to the contract, and how a test speaks to one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from infra.local import signing
from infra.memory.stores import Stores

LOCAL = os.environ.get("MUSTER_DYNAMODB_LOCAL")
"""The endpoint of a DynamoDB Local, if there is one. `python -m tests.stores` fetches one and runs it."""

ALL = ("memory", "moto")
EMULATORS = ("dynamodb-local",) if LOCAL else ()
OF_ROWS = (*ALL, *EMULATORS)
"""Without an endpoint, the tests of a DynamoDB Local are not collected."""

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})


@dataclass(frozen=True, slots=True)
class Place:
    """One store: its name, and its clients."""

    name: str
    client: Callable[[str], Any]


@contextmanager
def opened(name: str) -> Iterator[Place]:
    """A store, empty but for what others put into a DynamoDB Local."""
    if name == "memory":
        with Stores().in_place_of_aws():
            yield Place(name, lambda service: _client(service, None))
    elif name == "moto":
        signing.sign_digests()  # as in the local cloud: it stays in this process, whichever test comes first
        # Only botocore speaks to it; to be ready for `requests` too takes longer than most tests.
        with patch("moto.core.models.RESPONSES_METHODS", []), mock_aws():
            yield Place(name, lambda service: _client(service, None))
    else:
        yield Place(name, lambda service: _client(service, LOCAL))


@cache
def _client(service: str, endpoint: str | None) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing",
        config=ONCE,
    )  # fmt: skip


@dataclass
class Rows:
    """A new table of a store, and short ways to speak to it. A row is named by its sort key; all lie in partition `p`."""

    place: Place
    table: str = field(default_factory=lambda: f"t-{uuid4().hex}")

    def __post_init__(self) -> None:
        self.dynamodb = self.place.client("dynamodb")
        self.dynamodb.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """Make a call on the table."""
        answer: dict[str, Any] = getattr(self.dynamodb, operation)(TableName=self.table, **request)
        return answer

    def put(self, sort: str = "a", /, **rest: Any) -> dict[str, Any]:
        """Put a row; keywords in lower case are attributes, the others parameters of the call."""
        attributes = {name: value for name, value in rest.items() if name[0].islower()}
        request = {name: value for name, value in rest.items() if name not in attributes}
        return self.call("put_item", Item=key(sort) | attributes, **request)

    def update(self, expression: str, sort: str = "a", /, **request: Any) -> dict[str, Any]:
        """Update a row."""
        return self.call("update_item", Key=key(sort), UpdateExpression=expression, **request)

    def get(self, sort: str = "a") -> dict[str, Any] | None:
        """A row without its key, or None."""
        item: dict[str, Any] | None = self.call("get_item", Key=key(sort), ConsistentRead=True).get("Item")
        return item and {name: value for name, value in item.items() if name not in ("pk", "sk")}

    def meets(self, condition: str, sort: str = "a", /, **request: Any) -> bool:
        """Whether a row meets a condition; nothing is changed."""
        check = {"TableName": self.table, "Key": key(sort), "ConditionExpression": condition, **request}
        try:
            self.dynamodb.transact_write_items(TransactItems=[{"ConditionCheck": check}])
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            return False
        return True

    def sorts(self) -> list[str]:
        """The sort keys of all rows, in order."""
        return sorted(item["sk"]["S"] for item in self.call("scan", ConsistentRead=True)["Items"])

    def action(self, kind: str, sort: str, **request: Any) -> dict[str, Any]:
        """An action of a transaction."""
        where = {"Item": key(sort) | request.pop("Item", {})} if kind == "Put" else {"Key": key(sort)}
        return {kind: {"TableName": self.table, **where, **request}}

    def transact(self, *actions: dict[str, Any], **request: Any) -> dict[str, Any]:
        """Do some actions together."""
        answer: dict[str, Any] = self.dynamodb.transact_write_items(TransactItems=list(actions), **request)
        return answer


def key(sort: str, partition: str = "p") -> dict[str, Any]:
    """A key."""
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def n(number: object) -> dict[str, Any]:
    """A number as an attribute."""
    return {"N": str(number)}


def s(text: str) -> dict[str, Any]:
    """A text as an attribute."""
    return {"S": text}


def values(**attributes: Any) -> dict[str, Any]:
    """Values for placeholders."""
    return {"ExpressionAttributeValues": {f":{name}": value for name, value in attributes.items()}}


def names(*placed: str) -> dict[str, Any]:
    """Names for placeholders."""
    return {"ExpressionAttributeNames": {f"#{name}": name for name in placed}}


def refusal(call: Callable[[], object], code: str, says: str = "", status: int = 400) -> dict[str, Any]:
    """Make a call that is refused with this code, this status, and words in which `says` (a pattern) is found; the answer."""
    with pytest.raises(ClientError, match=says or None) as caught:
        call()
    answer: dict[str, Any] = dict(caught.value.response)
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status), answer
    return answer


INVALID = "ValidationException"
FAILED = "ConditionalCheckFailedException"
CANCELLED = "TransactionCanceledException"
