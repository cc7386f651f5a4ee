"""One table: its rows by partition, in the order of their sort keys, and the pages in which they are read.

Keys are a partition key and a sort key, both text: no table here has others.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.memory.dynamodb.attributes import Attribute, Item, copied_item, invalid, size_of, taken

PAGE_BYTES = 1 << 20
"""What a Query or Scan looks at before it ends a page (AWS: "Paginating table query results")."""

PARTITION_KEY_BYTES, SORT_KEY_BYTES = 2048, 1024
"""AWS: "Service, account, and table quotas in Amazon DynamoDB", Partition keys and sort keys."""

Key = tuple[str, str]


@dataclass(slots=True)
class Partition:
    """The rows of one partition key."""

    order: list[str] = field(default_factory=list)
    rows: dict[str, Item] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Of rows that were measured."""

    def size(self, sort: str) -> int:
        """Bytes of a row; 0 when it is not there."""
        if sort not in self.sizes and sort in self.rows:
            self.sizes[sort] = size_of(self.rows[sort])
        return self.sizes.get(sort, 0)

    def between(self, low: str | None, high: str | None, *, open_low: bool = False, open_high: bool = False) -> range:
        """Where the sort keys from `low` to `high` lie, without the ends that are open."""
        first, last = 0, len(self.order)
        if low is not None:
            first = (bisect_right if open_low else bisect_left)(self.order, low)
        if high is not None:
            last = (bisect_left if open_high else bisect_right)(self.order, high)
        return range(first, max(first, last))

    def beginning(self, prefix: str) -> range:
        """Where the sort keys lie that begin so."""
        first = bisect_left(self.order, prefix)
        return range(first, bisect_left(self.order, True, first, key=lambda sort: not sort.startswith(prefix)))


@dataclass(slots=True)
class TablePage:
    """Some rows that were read together, and the key of the last of them if there may be more."""

    items: list[Item]
    nbytes: int
    last: Key | None


class StoredTable:
    """Rows. An item that lies here is never changed, only replaced."""

    def __init__(self, name: str, partition_key: str, sort_key: str) -> None:
        self.name = name
        self.names = (partition_key, sort_key)
        self._partitions: dict[str, Partition] = {}
        self._scan_order: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return sum(len(partition.order) for partition in self._partitions.values())

    def get(self, key: Key) -> Item | None:
        """The row under a key, or None."""
        partition = self._partitions.get(key[0])
        return partition.rows.get(key[1]) if partition else None

    def size(self, key: Key) -> int:
        """Bytes of the row under a key; 0 when there is none."""
        return self.partition(key[0]).size(key[1])

    def put(self, key: Key, item: Item | None) -> None:
        """Put a row in the place of what was there; None deletes it."""
        partition = self._partitions.get(key[0])
        if partition is None:
            if item is None:
                return
            partition = self._partitions[key[0]] = Partition()
            insort(self._scan_order, (_hash(key[0]), key[0]))
        partition.sizes.pop(key[1], None)
        if item is None:
            if partition.rows.pop(key[1], None) is not None:
                del partition.order[bisect_left(partition.order, key[1])]
            return
        if key[1] not in partition.rows:
            insort(partition.order, key[1])
        partition.rows[key[1]] = item

    def partition(self, key: str) -> Partition:
        """The rows of a partition key."""
        return self._partitions.get(key) or Partition()

    def query(self, key: str, within: range, start: str | None, *, forward: bool, limit: int | None) -> TablePage:
        """Rows of a partition, in either direction, after the sort key `start`."""
        partition = self.partition(key)
        if start is not None:
            first, last = bisect_right(partition.order, start), bisect_left(partition.order, start)
            within = range(max(within.start, first), within.stop) if forward else range(within.start, min(within.stop, last))
        places = within if forward else reversed(within)
        return _page(((key, partition, partition.order[at]) for at in places), limit)

    def scan(self, start: Key | None, limit: int | None, segment: int = 0, segments: int = 1) -> TablePage:
        """All rows, in the order of their partition keys' hashes, after the key `start`; of several segments only one."""
        return _page(self._scanned(start, segment, segments), limit)

    def _scanned(self, start: Key | None, segment: int, segments: int) -> Iterator[tuple[str, Partition, str]]:
        begin = bisect_left(self._scan_order, (_hash(start[0]), start[0])) if start else 0
        for hashed, key in self._scan_order[begin:]:
            if hashed * segments >> 64 != segment:
                continue
            partition = self._partitions[key]
            after = bisect_right(partition.order, start[1]) if start and key == start[0] else 0
            yield from ((key, partition, sort) for sort in partition.order[after:])

    # ---- keys

    def key_of(self, item: Mapping[str, Any]) -> Key:
        """The key of an item that is to be written.

        Raises:
            ServiceError: a part of it is missing, of another type, empty or too long.
        """
        for name in self.names:
            if name not in item:
                raise invalid(f"One or more parameter values were invalid: Missing the key {name} in the item")
            if "S" not in item[name]:
                says = f"Type mismatch for key {name} expected: S actual: {next(iter(item[name]))}"
                raise invalid(f"One or more parameter values were invalid: {says}")
        return self._bounded(item)

    def exact_key(self, given: Mapping[str, Any]) -> Key:
        """A key by itself.

        Raises:
            ServiceError: it has other parts, or a part is of another type, empty or too long.
        """
        parts = {name: taken(value) for name, value in given.items()}
        if parts.keys() != set(self.names) or not all("S" in value for value in parts.values()):
            raise invalid("The provided key element does not match the schema")
        return self._bounded(parts)

    def _bounded(self, item: Mapping[str, Attribute]) -> Key:
        key = (item[self.names[0]]["S"], item[self.names[1]]["S"])
        for name, part in zip(self.names, key, strict=True):
            filled(name, part)
        if len(key[0].encode()) > PARTITION_KEY_BYTES:
            says = f"Size of hashkey has exceeded the maximum size limit of{PARTITION_KEY_BYTES} bytes"
            raise invalid(f"One or more parameter values were invalid: {says}")
        if len(key[1].encode()) > SORT_KEY_BYTES:
            says = f"Aggregated size of all range keys has exceeded the size limit of {SORT_KEY_BYTES} bytes"
            raise invalid(f"One or more parameter values were invalid: {says}")
        return key

    def as_key(self, key: Key) -> Item:
        """A key as DynamoDB answers it."""
        return {name: {"S": part} for name, part in zip(self.names, key, strict=True)}


def filled(name: str, part: str) -> None:
    """No part of a key is empty."""
    if not part:
        says = "The AttributeValue for a key attribute cannot contain an empty string value"
        raise invalid(f"One or more parameter values are not valid. {says}. Key: {name}")


def _page(rows: Iterator[tuple[str, Partition, str]], limit: int | None) -> TablePage:
    """At most `limit` rows; after the row with which a megabyte is reached, no other."""
    items: list[Item] = []
    nbytes = 0
    for key, partition, sort in rows:
        items.append(copied_item(partition.rows[sort]))
        nbytes += partition.size(sort)
        if len(items) == limit:
            return TablePage(items, nbytes, (key, sort))
        if nbytes >= PAGE_BYTES:
            return TablePage(items, nbytes, (key, sort) if next(rows, None) else None)
    return TablePage(items, nbytes, None)


def _hash(partition_key: str) -> int:
    return int.from_bytes(hashlib.sha256(partition_key.encode()).digest()[:8])
