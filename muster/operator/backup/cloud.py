"""DynamoDB and S3, as far as a backup and a restore need them. Rows stay in DynamoDB's JSON; reads are strongly consistent."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import IO, Any, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.session import Session
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from muster.layout import TableName
from muster.operator.backup.errors import DoesNotHold, NoStack
from muster.operator.backup.kinds import PREFIXES, Item

BATCH = 25
"""Rows that one BatchWriteItem takes."""

PIECE_BYTES = 64 << 20
"""What of an object is held in memory. A longer one is uploaded in such pieces, of which it may have 10,000."""

READ_BYTES = 1 << 20

In = TypeVar("In")
Out = TypeVar("Out")


class Conflict(Exception):
    """A transaction met another one at the same row."""


class _Unprocessed(Exception):
    """DynamoDB left some rows of a batch unwritten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a stack keeps everything: the names of its tables and of its bucket."""

    clients: str
    rounds: str
    versions: str
    monitoring: str
    bucket: str

    def table(self, name: TableName) -> str:
        """The name of a table."""
        return str(getattr(self, name))

    def as_dict(self) -> dict[str, str]:
        """All names."""
        return asdict(self)


OUTPUTS = {
    "clients": "ClientsTableName",
    "rounds": "RoundsTableName",
    "versions": "VersionsTableName",
    "monitoring": "MonitoringTableName",
    "bucket": "TensorBucketName",
}
"""The stack's outputs that say so."""


def connected(session: Session, service: str, region: str | None, connections: int) -> Any:
    """A client of a service that waits, and tries again, for as long as a long copy needs."""
    retries: Any = {"mode": "standard", "total_max_attempts": 10}
    config = Config(retries=retries, connect_timeout=5, read_timeout=60, max_pool_connections=max(10, connections))
    return session.create_client(service, region_name=region, config=config)


def places_of(cloudformation: Any, stack: str) -> Places:
    """Where a stack keeps everything, from its outputs.

    Raises:
        NoStack: there is no such stack, or an output is missing.
    """
    try:
        described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            raise NoStack(error.response["Error"]["Message"]) from error
        raise
    said = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    missing = sorted(set(OUTPUTS.values()) - set(said))
    if missing:
        raise NoStack(f"stack {stack} has no output {', '.join(missing)}")
    return Places(**{name: said[output] for name, output in OUTPUTS.items()})


class Cloud:
    """The tables and the bucket of one stack. With one connection, everything is done in turn, in the caller's thread."""

    def __init__(self, *, dynamodb: Any, s3: Any, places: Places, connections: int = 8, page_rows: int | None = None) -> None:
        self._dynamodb = dynamodb
        self._s3 = s3
        self.places = places
        self.connections = connections
        self._page: dict[str, Any] = {"Limit": page_rows} if page_rows else {}

    def spread(self, work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
        """Do something with each item, several at a time; the results in the items' order. Few items wait at any time."""
        if self.connections <= 1:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(self.connections) as pool:
            waiting = deque[Future[Out]]()
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * self.connections:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    # ---- rows

    def scan(self, table: TableName) -> Iterator[Item]:
        """All rows of a table, in no order; as many segments at a time as there are connections."""
        if self.connections <= 1:
            yield from self._pages(self._dynamodb.scan, TableName=self.places.table(table), ConsistentRead=True, **self._page)
            return
        request = {"TableName": self.places.table(table), "ConsistentRead": True, "TotalSegments": self.connections}
        requests = [{**request, **self._page, "Segment": segment} for segment in range(self.connections)]
        with ThreadPoolExecutor(self.connections) as pool:
            waiting = {pool.submit(self._dynamodb.scan, **one): one for one in requests}
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    one, page = waiting.pop(future), future.result()
                    if last := page.get("LastEvaluatedKey"):
                        following = {**one, "ExclusiveStartKey": last}
                        waiting[pool.submit(self._dynamodb.scan, **following)] = following
                    yield from page["Items"]

    def partition(self, table: TableName, pk: str, prefix: str = "", *, last: bool = False) -> Iterator[Item]:
        """The rows of a partition whose sort key begins with `prefix`, or only the last of them."""
        condition, values = "#pk = :pk", {":pk": {"S": pk}}
        names = {"#pk": "pk"}
        if prefix:
            condition, values[":prefix"], names["#sk"] = f"{condition} AND begins_with(#sk, :prefix)", {"S": prefix}, "sk"
        request = {
            "TableName": self.places.table(table),
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ConsistentRead": True,
        }
        if last:
            yield from self._dynamodb.query(**request, ScanIndexForward=False, Limit=1)["Items"]
            return
        yield from self._pages(self._dynamodb.query, **request, **self._page)

    def together(self, keys: Sequence[tuple[TableName, Item]]) -> list[Item | None]:
        """Some rows as they are at one instant; None for one that is not there.

        Raises:
            Conflict: one of them was just being written by a transaction.
        """
        gets = [{"Get": {"TableName": self.places.table(table), "Key": key}} for table, key in keys]
        try:
            answer = self._dynamodb.transact_get_items(TransactItems=gets)
        except ClientError as error:
            if error.response["Error"]["Code"] == "TransactionCanceledException":
                raise Conflict(error.response["Error"]["Message"]) from error
            raise
        return [response.get("Item") for response in answer["Responses"]]

    def get(self, table: TableName, key: Item) -> Item | None:
        """A row, or None."""
        answer = self._dynamodb.get_item(TableName=self.places.table(table), Key=key, ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    def put_new(self, table: TableName, item: Item) -> bool:
        """Write a row where there is none; False when there is one."""
        return self._conditional(
            self._dynamodb.put_item,
            TableName=self.places.table(table),
            Item=item,
            ConditionExpression="attribute_not_exists(pk)",
        )

    def update(self, table: TableName, key: Item, change: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
        """Set attributes of a row, if others are as expected; False when they are not."""
        values = {f":{name}": value for name, value in change.items()} | {f":was_{n}": value for n, value in expected.items()}
        return self._conditional(
            self._dynamodb.update_item,
            TableName=self.places.table(table),
            Key=key,
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in change),
            ConditionExpression=" AND ".join(f"#{name} = :was_{name}" for name in expected),
            ExpressionAttributeNames={f"#{name}": name for name in (*change, *expected)},
            ExpressionAttributeValues=values,
        )

    def put_all(self, rows: Sequence[tuple[TableName, Item]]) -> None:
        """Write rows, whatever was there; until DynamoDB has taken every one of them."""
        batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        deque(self.spread(self._put_batch, batches), maxlen=0)

    def _put_batch(self, rows: Sequence[tuple[TableName, Item]]) -> None:
        pending: dict[str, Any] = {}
        for table, item in rows:
            pending.setdefault(self.places.table(table), []).append({"PutRequest": {"Item": item}})

        def write() -> None:
            nonlocal pending
            pending = self._dynamodb.batch_write_item(RequestItems=pending).get("UnprocessedItems") or {}
            if pending:
                raise _Unprocessed

        Retrying(
            retry=retry_if_exception_type(_Unprocessed),
            stop=stop_after_attempt(12),
            wait=wait_random_exponential(multiplier=0.05, max=20.0),
            reraise=True,
        )(write)

    def is_empty(self, table: TableName, no_matter: Callable[[Item], bool]) -> bool:
        """Whether a table holds nothing but rows that are no matter."""
        pages = self._pages(self._dynamodb.scan, TableName=self.places.table(table), ConsistentRead=True, Limit=BATCH)
        return all(no_matter(item) for item in pages)

    def _pages(self, operation: Callable[..., Any], **request: Any) -> Iterator[Item]:
        while True:
            page = operation(**request)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _conditional(self, operation: Callable[..., Any], **request: Any) -> bool:
        try:
            operation(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    # ---- objects

    def keys(self) -> set[str]:
        """The keys of all objects that are Muster's."""
        pages = self._s3.get_paginator("list_objects_v2")
        found = (page for prefix in PREFIXES for page in pages.paginate(Bucket=self.places.bucket, Prefix=prefix))
        return {item["Key"] for page in found for item in page.get("Contents", [])}

    def has_objects(self) -> str | None:
        """The key of some object of Muster's, or None when there is none."""
        for prefix in PREFIXES:
            listed = self._s3.list_objects_v2(Bucket=self.places.bucket, Prefix=prefix, MaxKeys=1)
            for item in listed.get("Contents", []):
                return str(item["Key"])
        return None

    def download(self, key: str, sha256: str, file: IO[bytes]) -> None:
        """Write an object into a file, and hold it against its digest on the way.

        Raises:
            DoesNotHold: it is not there, or has another digest.
        """

        def read() -> None:
            file.seek(0)
            file.truncate()
            seen = hashlib.sha256()
            with closing(self._s3.get_object(Bucket=self.places.bucket, Key=key)["Body"]) as body:
                while piece := body.read(READ_BYTES):
                    seen.update(piece)
                    file.write(piece)
            if seen.hexdigest() != sha256:
                raise DoesNotHold(f"{key} in bucket {self.places.bucket}: expected that SHA-256, got {seen.hexdigest()}")

        try:
            _patiently(read)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise DoesNotHold(f"{key} is not in bucket {self.places.bucket}, though a row names it") from error
            raise

    def upload(self, key: str, sha256: str, file: IO[bytes], nbytes: int) -> None:
        """Make an object of a file, unless there is one under this key.

        Raises:
            DoesNotHold: the file has another digest; no object was made.
        """
        where = {"Bucket": self.places.bucket, "Key": key}
        if nbytes > PIECE_BYTES:
            self._upload_in_pieces(where, sha256, file)
            return
        data = file.read(PIECE_BYTES + 1)
        _hold(key, hashlib.sha256(data).hexdigest(), sha256)
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        _unless_there(self._s3.put_object, **where, Body=data, IfNoneMatch="*", ChecksumSHA256=checksum)

    def _upload_in_pieces(self, where: Mapping[str, str], sha256: str, file: IO[bytes]) -> None:
        upload = {**where, "UploadId": self._s3.create_multipart_upload(**where)["UploadId"]}
        seen, parts = hashlib.sha256(), list[Any]()
        try:
            while piece := file.read(PIECE_BYTES):
                seen.update(piece)
                number = len(parts) + 1
                parts.append(
                    {"PartNumber": number, "ETag": self._s3.upload_part(**upload, PartNumber=number, Body=piece)["ETag"]}
                )
            _hold(where["Key"], seen.hexdigest(), sha256)
            done = _unless_there(
                self._s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except Exception:
            self._s3.abort_multipart_upload(**upload)
            raise
        if not done:
            self._s3.abort_multipart_upload(**upload)


def _hold(key: str, got: str, expected: str) -> None:
    if got != expected:
        raise DoesNotHold(f"{key} in the folder: expected that SHA-256, got {got}")


def _unless_there(operation: Callable[..., Any], **request: Any) -> bool:
    try:
        operation(**request)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
            return False
        raise
    return True


def _patiently(read: Callable[[], None]) -> None:
    """Read, and read again when the connection breaks: botocore repeats a request, but not one whose answer breaks off."""
    retrying = Retrying(
        retry=retry_if_exception_type((HTTPClientError, IncompleteReadError)),
        stop=stop_after_attempt(4),
        wait=wait_random_exponential(multiplier=0.1, max=5.0),
        reraise=True,
    )
    retrying(read)
