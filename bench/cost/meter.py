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
from bench.cost.units import GB, Usage, added, billed_seconds, item_bytes, read_units, sqs_requests, usage, write_units
from infra.memory.calls import Call, Observer
from infra.memory.cloud import MemoryCloud
from infra.memory.session import SESSION


@dataclass
class Work:
    """What one function did in a phase."""

    invocations: int = 0
    cpu_seconds: float = 0.0
    waiting_seconds: float = 0.0
    moved_bytes: int = 0
    """From and to S3."""
    gb_seconds: float = 0.0


class Meter(Observer):
    """Counts by phase of a run."""

    def __init__(self, cloud: MemoryCloud, memory_mb: dict[str, int], untraced: set[str]) -> None:
        super().__init__()
        self._untraced = untraced
        self._cloud = cloud
        self._memory_mb = memory_mb
        self._dynamodb = SESSION.client("dynamodb")
        self._phase = "round"
        self.used: defaultdict[str, Usage] = defaultdict(Usage)
        self.work: defaultdict[str, defaultdict[str, Work]] = defaultdict(lambda: defaultdict(Work))
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.device_get_bytes: Counter[str] = Counter()
        self.device_put_bytes: Counter[str] = Counter()
        self.metrics: set[str] = set()
        self._away = 0.0
        self._waited = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count under another name inside the block."""
        was, self._phase = self._phase, name
        try:
            yield
        finally:
            self._phase = was

    @contextmanager
    def invocation(self, function: str) -> Iterator[None]:
        """One invocation: its requests, its time, its log."""
        self._away = self._waited = 0.0
        before = time.process_time()
        yield
        cpu = max(0.0, time.process_time() - before - self._away)
        work, memory = self.work[self._phase][function], self._memory_mb[function]
        seconds = billed_seconds(cpu, self._waited, memory) + guess.COLD_SHARE * guess.COLD_SECONDS
        work.invocations += 1
        work.cpu_seconds += cpu
        work.waiting_seconds += self._waited
        work.gb_seconds += seconds * memory / 1024
        self._use(lambda_requests=1, lambda_GB_seconds=seconds * memory / 1024, log_GB=guess.LOG_BYTES / GB)
        if function == "api":
            self._use(api_requests=1, egress_GB=guess.REPLY_BYTES / GB, traces=guess.TRACED_SHARE)
        elif function.endswith("_worker"):
            self._use(sqs_requests=2, traces=1)  # the event source receives a batch and deletes it
        elif function not in self._untraced:
            self._use(traces=1)

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
        self.counts[self._phase][f"{call.function} {call.service}:{call.operation}"] += 1
        slow = call.operation.startswith(("Transact", "Put", "Upload", "Complete", "Create"))
        moved = call.sent_bytes + call.received_bytes
        if call.by_device:
            self._use(**_s3(call.operation))
            bytes_of = self.device_put_bytes if call.operation == "PutObject" else self.device_get_bytes
            bytes_of[self._phase] += moved
            self._use(egress_GB=call.received_bytes / GB)
            return
        factor = max(1.0, 1769 / self._memory_mb[call.function])
        self._waited += guess.LATENCY_SECONDS[call.service] * (2 if slow and call.service != "cloudwatch" else 1)
        self._waited += moved / guess.BYTES_PER_SECOND + guess.CLIENT_CPU_SECONDS * factor
        self.work[self._phase][call.function].moved_bytes += moved
        match call.service:
            case "dynamodb":
                self._use(**self._dynamodb_units(call, old, new, answer))
            case "s3":
                self._use(**_s3(call.operation))
            case "sqs":
                bodies = call.arguments.get("Entries") or [call.arguments]
                self._use(sqs_requests=sqs_requests(sum(len(entry["MessageBody"]) for entry in bodies)))
            case "sns":
                self._use(sns_requests=1, kms_requests=1)
            case "kms":
                self._use(kms_signatures=1)  # to read the public key costs as much
            case "cloudwatch":
                self._use(metric_requests=1)
                self.metrics.update(str(datum["MetricName"]) for datum in call.arguments.get("MetricData", []))

    def _dynamodb_units(self, call: Call, old: list[int], new: list[int], answer: Any) -> dict[str, float]:
        match call.operation:
            case "GetItem":
                sizes = [item_bytes(answer["Item"])] if answer and "Item" in answer else []
                return {"dynamodb_read_units": read_units(sizes, consistent=call.arguments["ConsistentRead"])}
            case "BatchGetItem":
                units = 0.0
                for name, asked in call.arguments["RequestItems"].items():
                    found = [item_bytes(item) for item in answer["Responses"].get(name, [])] if answer else []
                    sizes_of_each = [[size] for size in found] + [[]] * (len(asked["Keys"]) - len(found))
                    units += sum(read_units(size, consistent=asked["ConsistentRead"]) for size in sizes_of_each)
                return {"dynamodb_read_units": units}
            case "Query":
                sizes = [item_bytes(item) for item in self._whole(call, answer)["Items"]]
                return {"dynamodb_read_units": read_units(sizes, consistent=call.arguments["ConsistentRead"])}
            case _:
                both = call.operation == "TransactWriteItems"
                written = (write_units(b, a, transactional=both) for b, a in zip(old, new, strict=True))
                return {"dynamodb_write_units": sum(written)}

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
        self.used[self._phase] = added(self.used[self._phase], usage(**amounts))


def _s3(operation: str) -> dict[str, float]:
    """Deletions and aborted uploads are free."""
    if operation in ("DeleteObjects", "AbortMultipartUpload"):
        return {}
    return {"s3_get_requests" if operation in ("GetObject", "HeadObject") else "s3_put_requests": 1}
