"""What calls cost in capacity units (AWS: "DynamoDB read and write operations", on-demand read and write request units)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

READ_BYTES, WRITE_BYTES = 4096, 1024
"""What one unit reads, strongly consistent, and writes."""

TRANSACTION = 2
"""Units of a transaction for each of a single call."""


def is_wanted(request: Mapping[str, Any]) -> bool:
    """Whether a request asks what it cost."""
    return bool(request.get("ReturnConsumedCapacity", "NONE") != "NONE")


def reading(nbytes: int, *, consistent: bool) -> float:
    """Units of one read of so many bytes; that nothing is there costs a unit too."""
    units = max(1, -(-nbytes // READ_BYTES))
    return float(units) if consistent else units / 2


def writing(before: int, after: int) -> float:
    """Units of one write of a row that had so many bytes, and then has."""
    return float(max(1, -(-max(before, after) // WRITE_BYTES)))


def consumed(request: Mapping[str, Any], table: str, units: float) -> dict[str, Any]:
    """What an answer says of it, if it was asked to."""
    if not is_wanted(request):
        return {}
    said: dict[str, Any] = {"TableName": table, "CapacityUnits": units}
    if request["ReturnConsumedCapacity"] == "INDEXES":
        said["Table"] = {"CapacityUnits": units}
    return {"ConsumedCapacity": said}
