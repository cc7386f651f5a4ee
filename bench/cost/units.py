"""What AWS counts: request units, request classes, billed time. Pure arithmetic, each rule with its source."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

KIB = 1024


# ---- DynamoDB ("DynamoDB item sizes and formats", "Read and write operations")


def item_bytes(item: Mapping[str, Any]) -> int:
    """The size of an item in DynamoDB's JSON: names and values, in UTF-8."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":  # about a byte for two significant digits, and one more
            digits = content.lower().split("e")[0].replace(".", "").lstrip("-").strip("0")
            return math.ceil(len(digits) / 2) + 1 + int(content.startswith("-"))
        case "B":
            return len(content)
        case "BOOL" | "NULL":
            return 1
        case "SS" | "NS" | "BS":
            return sum(_value_bytes({kind[0]: one}) for one in content)
        case "L":
            return 3 + sum(1 + _value_bytes(one) for one in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_bytes(one) for name, one in content.items())
    raise NotImplementedError(kind)


def write_units(before: int, after: int, *, transactional: bool = False) -> float:
    """Of a write to an item that was, and is, so many bytes long; a write whose condition fails is one too."""
    return max(1, math.ceil(max(before, after) / KIB)) * (2 if transactional else 1)


def read_units(sizes: Iterable[int], *, consistent: bool) -> float:
    """Of a read of some items: what they take together, rounded up to 4 KiB; nothing found is read too."""
    return max(1, math.ceil(sum(sizes) / (4 * KIB))) * (1.0 if consistent else 0.5)


# ---- SQS ("Amazon SQS pricing": every 64 KB of a payload are a request)


def sqs_requests(payload_bytes: int) -> int:
    """Of one call with such a payload."""
    return max(1, math.ceil(payload_bytes / (64 * KIB)))


# ---- Lambda

VCPU_MB = 1769
"""Memory at which a function has one vCPU (AWS Lambda: "Configure Lambda function memory")."""


def billed_seconds(cpu_seconds: float, waiting_seconds: float, memory_mb: int) -> float:
    """Of an invocation: what takes a whole core `cpu_seconds` takes a part of one longer; waiting takes as long as it takes.
    A single thread gains nothing from more than one core. Billed by the millisecond, rounded up.
    """
    seconds = cpu_seconds * max(1.0, VCPU_MB / memory_mb) + waiting_seconds
    return math.ceil(round(seconds * 1000, 6)) / 1000
