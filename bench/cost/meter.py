"""Counts what the functions use: an observer of every call, and of the CPU time that a function takes between them.

The services answer inside this process, so the time in which they do is taken off a function's; what the call would take in
AWS is assumed instead (`assumptions`).
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.cost import assumptions as guess
from bench.cost.units import billed_seconds, item_bytes, read_units, sqs_requests, write_units
from infra.memory.calls import Call, Observer
from infra.memory.cloud import MemoryCloud
from infra.memory.session import SESSION
from muster.pricing.guesses import HEADER_BYTES, LOG_BYTES
from muster.pricing.usage import GB, Usage, added, usage


@dataclass
class Work:
    """What one function did in a phase."""

    invocations: int = 0
    cpu_seconds: float = 0.0
    waiting_seconds: float = 0.0
    moved_bytes: int = 0
    """From and to S3."""
    gb_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """A row that a call to DynamoDB wrote, or rows of a partition that it read."""

    table: str
    partition: str
    row: str
    """The sort key; empty where a query read."""
    is_write: bool
    units: float
    nbytes: int
    """As long as what was read, or is there now."""


class Meter(Observer):
    """Counts by phase of a run."""

    def __init__(self, cloud: MemoryCloud, memory_mb: dict[str, int], untraced: set[str]) -> None:
        super().__init__()
        self._untraced = untraced
        self._cloud = cloud
        self._memory_mb = memory_mb
        self._dynamodb = SESSION.client("dynamodb")
        self.phase_now = "round"
        self.used: defaultdict[str, Usage] = defaultdict(Usage)
        self.work: defaultdict[str, defaultdict[str, Work]] = defaultdict(lambda: defaultdict(Work))
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.device_get_bytes: Counter[str] = Counter()
        self.device_put_bytes: Counter[str] = Counter()
        self.metrics: set[str] = set()
        self._away = 0.0
        self._waited = 0.0
        self._began = 0.0
        self._looks = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count under another name inside the block."""
        was, self.phase_now = self.phase_now, name
        try:
            yield
        finally:
            self.phase_now = was

    @contextmanager
    def invocation(self, function: str) -> Iterator[None]:
        """One invocation: its requests, its time, its log."""
        self._away = self._waited = 0.0
        self._began, self._looks = time.process_time(), 0
        yield
        cpu = self._cpu_seconds()
        work, memory = self.work[self.phase_now][function], self._memory_mb[function]
        seconds = billed_seconds(cpu, self._waited, memory) + guess.COLD_SHARE * guess.COLD_SECONDS
        work.invocations += 1
        work.cpu_seconds += cpu
        work.waiting_seconds += self._waited
        work.gb_seconds += seconds * memory / 1024
        self._use(lambda_requests=1, lambda_gb_seconds=seconds * memory / 1024, log_gb=LOG_BYTES / GB)
        self._use(traces=self._traces(function))
        if function == "api":
            self._use(api_requests=1, egress_gb=(self._cloud.replied_bytes + HEADER_BYTES) / GB)
        elif function.endswith("_worker"):
            self._use(sqs_requests=2)  # the event source receives a batch and deletes it

    def _cpu_seconds(self) -> float:
        return max(0.0, time.process_time() - self._began - self._away)

    def _traces(self, function: str) -> float:
        if function == "api":
            return guess.TRACED_SHARE
        return float(function not in self._untraced)

    # ---- the same time, as the functions see it that count for themselves

    def stopwatch(self) -> float:
        """Seconds that the invocation has been billed for; before the first look lies its share of cold starts."""
        self._looks += 1
        if self._looks == 1:
            return -guess.COLD_SHARE * guess.COLD_SECONDS
        return billed_seconds(self._cpu_seconds(), self._waited, self.memory_mb(None))

    def memory_mb(self, context: Any) -> int:
        """Of the function that runs now, as it is deployed."""
        return self._memory_mb[self._now]

    def traces(self) -> float:
        """As many as are assumed."""
        return self._traces(self._now)

    @property
    def _now(self) -> str:
        if self._cloud.calls.function is None:
            raise RuntimeError("no function runs")
        return self._cloud.calls.function

    def call(self, call: Call, proceed: Callable[[], Any]) -> Any:
        """One call: its units, and the time that it would take in AWS."""
        before = time.process_time()
        try:
            return self._counted(call, proceed)
        finally:
            self._away += time.process_time() - before

    def _counted(self, call: Call, proceed: Callable[[], Any]) -> Any:
        rows = self._rows(call)
        old = [self._size(*row) for row in rows]
        known = len(self.calls)
        try:
            answer = super().call(call, proceed)
        except BaseException:
            self._count(call, old, old, None)
            raise
        self._count(self.calls[known], old, [self._size(*row) for row in rows], answer)
        return answer

    def _count(self, call: Call, old: list[int], new: list[int], answer: Any) -> None:
        self.counts[self.phase_now][f"{call.function} {call.service}:{call.operation}"] += 1
        slow = call.operation.startswith(("Transact", "Put", "Upload", "Complete", "Create"))
        moved = call.sent_bytes + call.received_bytes
        if call.by_device:
            self._use(**_s3(call.operation))
            bytes_of = self.device_put_bytes if call.operation == "PutObject" else self.device_get_bytes
            bytes_of[self.phase_now] += moved
            self._use(egress_gb=call.received_bytes / GB)
            return
        factor = max(1.0, 1769 / self._memory_mb[call.function])
        self._waited += guess.LATENCY_SECONDS[call.service] * (2 if slow and call.service != "cloudwatch" else 1)
        self._waited += moved / guess.BYTES_PER_SECOND + guess.CLIENT_CPU_SECONDS * factor
        self.work[self.phase_now][call.function].moved_bytes += moved
        match call.service:
            case "dynamodb":
                for touched in self._touched(call, old, new, answer):
                    units = {"dynamodb_write_units" if touched.is_write else "dynamodb_read_units": touched.units}
                    self._use(**units)
                    self.touch(touched)
            case "s3":
                self._use(**_s3(call.operation))
            case "sqs":
                bodies = call.arguments.get("Entries") or [call.arguments]
                self._use(sqs_requests=sqs_requests(sum(len(entry.get("MessageBody", "")) for entry in bodies)))
            case "sns":
                self._use(sns_requests=1, kms_requests=1)
            case "kms":
                self._use(kms_signatures=1)  # to read the public key costs as much
            case "cloudwatch":
                self._use(metric_requests=1)
                self.metrics.update(str(datum["MetricName"]) for datum in call.arguments.get("MetricData", []))

    def touch(self, touched: Touched) -> None:
        """What else is to be done with each row that is read or written: nothing."""

    def _touched(self, call: Call, old: list[int], new: list[int], answer: Any) -> Iterator[Touched]:
        arguments = call.arguments
        match call.operation:
            case "GetItem":
                found = answer["Item"] if answer and "Item" in answer else None
                yield _read(arguments["TableName"], arguments["Key"], found, consistent=arguments["ConsistentRead"])
            case "BatchGetItem":
                for name, asked in arguments["RequestItems"].items():
                    items = answer["Responses"].get(name, []) if answer else []
                    there = {(item["pk"]["S"], item["sk"]["S"]): item for item in items}
                    for key in asked["Keys"]:
                        item = there.get((key["pk"]["S"], key["sk"]["S"]))
                        yield _read(name, key, item, consistent=asked["ConsistentRead"])
            case "Query":
                sizes = [item_bytes(item) for item in self._whole(call, answer)["Items"]]
                units = read_units(sizes, consistent=arguments["ConsistentRead"])
                partition = arguments["ExpressionAttributeValues"][":pk"]["S"]
                yield Touched(
                    table=arguments["TableName"], partition=partition, row="", is_write=False, units=units, nbytes=sum(sizes)
                )
            case _:
                both = call.operation == "TransactWriteItems"
                for (name, key), before, after in zip(self._rows(call), old, new, strict=True):
                    units = write_units(before, after, transactional=both)
                    partition, row = key["pk"]["S"], key["sk"]["S"]
                    yield Touched(table=name, partition=partition, row=row, is_write=True, units=units, nbytes=after)

    def _whole(self, call: Call, answer: Any) -> Any:
        """What a query read: whole rows, also where only some attributes were asked for."""
        if "ProjectionExpression" not in call.arguments:
            return answer
        names = {name: value for name, value in call.arguments["ExpressionAttributeNames"].items() if value in ("pk", "sk")}
        arguments = {name: value for name, value in call.arguments.items() if name != "ProjectionExpression"}
        return self._peek(lambda: self._dynamodb.query(**{**arguments, "ExpressionAttributeNames": names}))

    def _rows(self, call: Call) -> list[tuple[str, Any]]:
        """The rows that a call writes."""
        if call.service != "dynamodb" or call.operation in ("GetItem", "BatchGetItem", "Query"):
            return []
        if call.operation == "TransactWriteItems":
            writes = [write for item in call.arguments["TransactItems"] for write in item.values()]
        else:
            writes = [call.arguments]
        return [(w["TableName"], w.get("Key") or {name: w["Item"][name] for name in ("pk", "sk")}) for w in writes]

    def _size(self, table: str, key: Any) -> int:
        found = self._peek(lambda: self._dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True))
        return item_bytes(found.get("Item", {}))

    def _peek(self, look: Callable[[], Any]) -> Any:
        """A call that is the meter's own, and nobody's."""
        calls = self._cloud.calls
        was, calls.function = calls.function, None
        try:
            return look()
        finally:
            calls.function = was

    def _use(self, **amounts: float) -> None:
        self.used[self.phase_now] = added(self.used[self.phase_now], usage(**amounts))


def _read(table: str, key: Any, item: Any, *, consistent: bool) -> Touched:
    """One row that was asked for, and is there or not."""
    sizes = [item_bytes(item)] if item else []
    partition, row = key["pk"]["S"], key["sk"]["S"]
    units = read_units(sizes, consistent=consistent)
    return Touched(table=table, partition=partition, row=row, is_write=False, units=units, nbytes=sum(sizes))


def _s3(operation: str) -> dict[str, float]:
    """Deletions and aborted uploads are free."""
    if operation in ("DeleteObjects", "AbortMultipartUpload"):
        return {}
    return {"s3_get_requests" if operation in ("GetObject", "HeadObject") else "s3_put_requests": 1}
