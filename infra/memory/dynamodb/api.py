"""DynamoDB: tables, rows, conditions and queries. Transactions are in `transactions`.

What it does not do: throttle, delete expired rows, index, stream, or answer a read late. Calls are done one by one, so no write
is ever in conflict with a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from infra.memory.dynamodb import capacity, keyed, transactions, writes
from infra.memory.dynamodb.attributes import Item, copied_item, invalid
from infra.memory.dynamodb.expressions import Placeholders, projected, projection
from infra.memory.dynamodb.tables import StoredTable, TablePage
from infra.memory.dynamodb.writes import PlannedWrite
from infra.memory.service import ACCOUNT, REGION, Answer, Request, Service, ServiceError, only

BATCH = 25
"""Rows that one BatchWriteItem takes, of all tables (AWS: "BatchWriteItem")."""

BATCH_READ = 100
"""Rows that one BatchGetItem takes, of all tables (AWS: "BatchGetItem")."""

NO_TABLE = "Requested resource not found"

_WRITE = "TableName ConditionExpression ExpressionAttributeNames ExpressionAttributeValues ReturnValues \
ReturnValuesOnConditionCheckFailure ReturnConsumedCapacity"
_READ = "TableName ConsistentRead ExpressionAttributeNames ProjectionExpression ReturnConsumedCapacity"


class DynamoDB(Service):
    """All tables."""

    CALLS: ClassVar = {
        "CreateTable": "TableName AttributeDefinitions KeySchema BillingMode SSESpecification DeletionProtectionEnabled",
        "DescribeTable": "TableName",
        "UpdateTable": "TableName DeletionProtectionEnabled",
        "DeleteTable": "TableName",
        "ListTables": "",
        "UpdateTimeToLive": "TableName TimeToLiveSpecification",
        "DescribeTimeToLive": "TableName",
        "UpdateContinuousBackups": "TableName PointInTimeRecoverySpecification",
        "GetItem": f"Key {_READ}",
        "Query": f"{_READ} KeyConditionExpression ExpressionAttributeValues ScanIndexForward Limit ExclusiveStartKey",
        "Scan": f"{_READ} Limit ExclusiveStartKey Segment TotalSegments",
        "PutItem": f"Item {_WRITE}",
        "UpdateItem": f"Key UpdateExpression {_WRITE}",
        "DeleteItem": f"Key {_WRITE}",
        "BatchGetItem": "RequestItems ReturnConsumedCapacity",
        "BatchWriteItem": "RequestItems ReturnConsumedCapacity",
        "TransactWriteItems": "TransactItems ClientRequestToken ReturnConsumedCapacity",
        "TransactGetItems": "TransactItems ReturnConsumedCapacity",
    }

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._tables: dict[str, StoredTable] = {}
        self._about: dict[str, dict[str, Any]] = {}
        self._expiry: dict[str, dict[str, Any]] = {}
        self._tokens = transactions.IdempotencyTokens(now)

    # ---- tables

    def create_table(self, request: Request) -> Answer:
        name = request["TableName"]
        if name in self._tables:
            raise ServiceError("ResourceInUseException", f"Table already exists: {name}")
        schema = {part["KeyType"]: part["AttributeName"] for part in request["KeySchema"]}
        types = {part["AttributeName"]: part["AttributeType"] for part in request["AttributeDefinitions"]}
        if schema.keys() != {"HASH", "RANGE"} or types != dict.fromkeys(schema.values(), "S"):
            raise NotImplementedError("a table without a partition key and a sort key of text is not made in this process")
        if request.get("BillingMode") != "PAY_PER_REQUEST":
            raise NotImplementedError("a table with provisioned capacity is not made in this process")
        self._tables[name] = StoredTable(name, schema["HASH"], schema["RANGE"])
        self._about[name] = {
            "TableName": name,
            "TableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}",
            "TableStatus": "ACTIVE",
            "CreationDateTime": datetime.now(UTC),
            "AttributeDefinitions": request["AttributeDefinitions"],
            "KeySchema": request["KeySchema"],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "DeletionProtectionEnabled": request.get("DeletionProtectionEnabled", False),
        }
        return {"TableDescription": self._described(name)}

    def describe_table(self, request: Request) -> Answer:
        return {"Table": self._described(self._table(request["TableName"]).name)}

    def update_table(self, request: Request) -> Answer:
        name = self._table(request["TableName"]).name
        self._about[name]["DeletionProtectionEnabled"] = request["DeletionProtectionEnabled"]
        return {"TableDescription": self._described(name)}

    def delete_table(self, request: Request) -> Answer:
        name = self._table(request["TableName"]).name
        if self._about[name]["DeletionProtectionEnabled"]:
            says = (
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
            )
            raise invalid(says)
        described = self._described(name) | {"TableStatus": "DELETING"}
        for kept in (self._tables, self._about, self._expiry):
            kept.pop(name, None)
        return {"TableDescription": described}

    def list_tables(self, _: Request) -> Answer:
        return {"TableNames": sorted(self._tables)}

    def update_time_to_live(self, request: Request) -> Answer:
        name, wanted = self._table(request["TableName"]).name, request["TimeToLiveSpecification"]
        if wanted["Enabled"] == (name in self._expiry):
            raise invalid(f"TimeToLive is already {'enabled' if wanted['Enabled'] else 'disabled'}")
        if wanted["Enabled"]:
            self._expiry[name] = {"TimeToLiveStatus": "ENABLED", "AttributeName": wanted["AttributeName"]}
        else:
            del self._expiry[name]
        return {"TimeToLiveSpecification": wanted}

    def describe_time_to_live(self, request: Request) -> Answer:
        name = self._table(request["TableName"]).name
        return {"TimeToLiveDescription": self._expiry.get(name, {"TimeToLiveStatus": "DISABLED"})}

    def update_continuous_backups(self, request: Request) -> Answer:
        self._table(request["TableName"])
        enabled = request["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
        recovery = {"PointInTimeRecoveryStatus": "ENABLED" if enabled else "DISABLED"}
        return {
            "ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
        }

    # ---- reads

    def get_item(self, request: Request) -> Answer:
        table = self._table(request["TableName"])
        given = Placeholders.of(request, "ProjectionExpression")
        paths = projection(request, given)
        given.all_used()
        key = table.exact_key(request["Key"])
        found = table.get(key)
        units = capacity.reading(table.size(key), consistent=request.get("ConsistentRead", False))
        item: Answer = {} if found is None else {"Item": projected(found, paths) if paths else copied_item(found)}
        return item | capacity.consumed(request, table.name, units)

    def batch_get_item(self, request: Request) -> Answer:
        wanted = [(self._table(name), one) for name, one in request["RequestItems"].items()]
        keys = {table.name: [table.exact_key(key) for key in one["Keys"]] for table, one in wanted}
        if sum(map(len, keys.values())) > BATCH_READ:
            raise invalid("Too many items requested for the BatchGetItem call")
        found: dict[str, list[Item]] = {}
        said: list[Any] = []
        for table, one in wanted:
            only("BatchGetItem of a table", one, "Keys ConsistentRead")
            if len(set(keys[table.name])) < len(keys[table.name]):
                raise invalid("Provided list of item keys contains duplicates")
            rows = [(table.get(key), table.size(key)) for key in keys[table.name]]
            found[table.name] = [copied_item(row) for row, _ in rows if row is not None]
            units = sum(capacity.reading(nbytes, consistent=one.get("ConsistentRead", False)) for _, nbytes in rows)
            said += capacity.consumed(request, table.name, units).values()
        return {"Responses": found, "UnprocessedKeys": {}} | ({"ConsumedCapacity": said} if said else {})

    def query(self, request: Request) -> Answer:
        table = self._table(request["TableName"])
        given = Placeholders.of(request, "KeyConditionExpression", "ProjectionExpression")
        looked = keyed.where(table, request, given)
        paths = projection(request, given)
        given.all_used()
        forward = request.get("ScanIndexForward", True)
        page = table.query(looked.partition, looked.within, looked.after, forward=forward, limit=request.get("Limit"))
        return self._paged(request, table, page, paths)

    def scan(self, request: Request) -> Answer:
        table = self._table(request["TableName"])
        given = Placeholders.of(request, "ProjectionExpression")
        paths = projection(request, given)
        given.all_used()
        segment, segments = request.get("Segment"), request.get("TotalSegments")
        for one, other, name in ((segment, segments, "TotalSegments"), (segments, segment, "Segment")):
            if one is not None and other is None:
                raise invalid(f"The {name} parameter is required but was not present in the request when its pair is present")
        if segments is not None and segment >= segments:
            says = "The Segment parameter is zero-based and must be less than parameter TotalSegments"
            raise invalid(f"{says}: Segment: {segment} is not less than TotalSegments: {segments}")
        start = keyed.start_key(table, request["ExclusiveStartKey"]) if "ExclusiveStartKey" in request else None
        page = table.scan(start, request.get("Limit"), segment or 0, segments or 1)
        return self._paged(request, table, page, paths)

    @staticmethod
    def _paged(request: Request, table: StoredTable, page: TablePage, paths: list[Any]) -> Answer:
        items = [projected(item, paths) for item in page.items] if paths else page.items
        answer: Answer = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
        if page.last is not None:
            answer["LastEvaluatedKey"] = table.as_key(page.last)
        units = capacity.reading(page.nbytes, consistent=request.get("ConsistentRead", False))
        return answer | capacity.consumed(request, table.name, units)

    # ---- writes

    def put_item(self, request: Request) -> Answer:
        return self._written(request, writes.put(self._table(request["TableName"]), request), "NONE ALL_OLD")

    def update_item(self, request: Request) -> Answer:
        planned = writes.update(self._table(request["TableName"]), request)
        return self._written(request, planned, "NONE ALL_OLD ALL_NEW UPDATED_OLD UPDATED_NEW")

    def delete_item(self, request: Request) -> Answer:
        return self._written(request, writes.delete(self._table(request["TableName"]), request), "NONE ALL_OLD")

    @staticmethod
    def _written(request: Request, planned: PlannedWrite, allowed: str) -> Answer:
        wanted = request.get("ReturnValues", "NONE")
        if wanted not in allowed.split():
            raise invalid("Return values set to invalid value")
        before, after = planned.table.get(planned.key), planned.after()
        cost = planned.written(after) if capacity.is_wanted(request) else 0.0
        planned.table.put(planned.key, after)
        shown: Item | None = None
        if wanted != "NONE":
            shown = before if wanted.endswith("OLD") else after
        if shown is not None:
            shown = projected(shown, planned.paths) if wanted.startswith("UPDATED") else copied_item(shown)
        return ({"Attributes": shown} if shown else {}) | capacity.consumed(request, planned.table.name, cost)

    def batch_write_item(self, request: Request) -> Answer:
        wanted = [(self._table(name), one) for name, several in request["RequestItems"].items() for one in several]
        if not wanted:
            raise invalid("The batch write request list for a table cannot be null or empty")
        if len(wanted) > BATCH:
            raise invalid("Too many items requested for the BatchWriteItem call")
        planned = [
            writes.put(table, one["PutRequest"]) if "PutRequest" in one else writes.delete(table, one["DeleteRequest"])
            for table, one in wanted
        ]
        if len({(one.table.name, one.key) for one in planned}) < len(planned):
            raise invalid("Provided list of item keys contains duplicates")
        said: list[Any] = []
        for one in planned:
            units = one.written(one.item)
            one.table.put(one.key, one.item)
            said += capacity.consumed(request, one.table.name, units).values()
        return {"UnprocessedItems": {}} | ({"ConsumedCapacity": said} if said else {})

    def transact_write_items(self, request: Request) -> Answer:
        return transactions.write(self._table, request, self._tokens)

    def transact_get_items(self, request: Request) -> Answer:
        return transactions.read(self._table, request)

    # ---- parts

    def _table(self, name: str) -> StoredTable:
        if name not in self._tables:
            raise ServiceError("ResourceNotFoundException", NO_TABLE)
        return self._tables[name]

    def _described(self, name: str) -> dict[str, Any]:
        return {**self._about[name], "ItemCount": len(self._tables[name])}
