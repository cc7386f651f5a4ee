"""What a deployment holds, looked at before somebody takes it down: models, versions, clients, bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from infra.stack import Account
from muster import layout

MOST_PAGES = 100
"""Pages of a bucket's listing, of 1,000 object versions each, that are read to answer a question."""


@dataclass(frozen=True, slots=True)
class InventoryLine:
    """What one table or bucket holds, in words."""

    kind: str
    name: str
    what: str


def look(account: Account, data: Iterable[tuple[str, str]]) -> list[InventoryLine]:
    """What each of some tables, buckets and keys (type and name) holds. What may not be seen is said to be so."""
    return [InventoryLine(kind, name, _told(account, kind, name)) for kind, name in data]


def lines(held: Sequence[InventoryLine]) -> Iterator[str]:
    """A line each."""
    longest = max((len(one.name) for one in held), default=0)
    for one in held:
        yield f"  {one.name:<{longest}}  {one.what}"


def _told(account: Account, kind: str, name: str) -> str:
    try:
        match kind:
            case "AWS::DynamoDB::Table":
                return _of_table(account, name)
            case "AWS::S3::Bucket":
                return _of_bucket(account, name)
    except ClientError as error:
        code = error.response["Error"].get("Code", "an error")
        if code in ("ResourceNotFoundException", "NoSuchBucket", "404"):
            return "is not there any more"
        return f"what is in it cannot be seen with these credentials ({code})"
    return "the key that signs what devices are given to run"


def _of_table(account: Account, name: str) -> str:
    """Of models and their versions, and of clients, how many; of other tables how many rows, as DynamoDB last counted them."""
    table = account.resource("dynamodb").Table(name)
    models = [row["sk"].partition("#")[2] for row in _rows(table, layout.MODEL)]
    clients = sum(int(row.get("clients", 0)) for row in _rows(table, layout.TALLY))
    parts = []
    for model in models[:20]:
        versions = _count(table, layout.VERSION.partition(model=model), layout.VERSION.sk.partition("{")[0])
        parts.append(f"model {model} with {versions:,} version{'s' * (versions != 1)}")
    if len(models) > len(parts):
        parts.append(f"{len(models) - len(parts):,} more models")
    if clients:
        parts.append(f"{clients:,} clients, as last counted")
    return "; ".join(parts) or f"about {table.item_count:,} rows"


def _rows(table: Any, place: layout.RowPlace) -> Iterator[dict[str, Any]]:
    """The rows of a kind whose partition has no parts."""
    asked = {"KeyConditionExpression": Key("pk").eq(place.pk) & Key("sk").begins_with(place.sk.partition("{")[0])}
    while True:
        page = table.query(**asked)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _count(table: Any, partition: str, prefix: str) -> int:
    asked: dict[str, Any] = {
        "KeyConditionExpression": Key("pk").eq(partition) & Key("sk").begins_with(prefix),
        "Select": "COUNT",
    }
    found = 0
    while True:
        page = table.query(**asked)
        found += int(page["Count"])
        if "LastEvaluatedKey" not in page:
            return found
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _of_bucket(account: Account, name: str) -> str:
    """How many objects and bytes, every version of them counted."""
    count = nbytes = 0
    pages = account.client("s3").get_paginator("list_object_versions").paginate(Bucket=name)
    for number, page in enumerate(pages):
        if number == MOST_PAGES:
            return f"more than {count:,} objects, {nbytes:,} bytes"
        found = page.get("Versions", [])
        count, nbytes = count + len(found), nbytes + sum(one["Size"] for one in found)
    return f"{count:,} objects (each version of them), {nbytes:,} bytes"
