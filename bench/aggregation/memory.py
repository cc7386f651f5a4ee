"""Muster's peak memory beyond its imports, as updates stream in from a file: `<updates> <parameters>`."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence

from bench.aggregation import data
from bench.aggregation.muster_side import REF
from muster.aggregation.manifest import Entry, freeze
from muster.aggregation.registry import Update
from muster.aggregation.replay import gradient
from muster.wire.admin import RoundConfig
from muster.wire.arrays import decode, encode, schema_of
from muster.wire.tensors import HEADER_LIMIT_BYTES, update_schema


def main() -> None:
    """Measure one aggregation in this process, and print bytes a parameter."""
    updates, parameters = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryFile() as file:
        schema = update_schema(_write(file, parameters))
        size = file.tell()
        entries = [(Entry(f"client-{n:06d}", "", "", "", size, 1 + n % 999, 1.0), (0,) * len(schema)) for n in range(updates)]
        manifest = freeze("bench.1", REF, RoundConfig(goal=100_000, quorum=1), None, None, entries)

        def fetch(wanted: Sequence[Entry]) -> Iterator[Update]:
            for entry in wanted:
                buffer = bytearray(size)
                file.seek(0)
                file.readinto(buffer)
                yield entry, decode(buffer, HEADER_LIMIT_BYTES)

        before = _now()
        gradient(manifest, schema, fetch, 1 << 62)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(json.dumps({"updates": updates, "parameters": parameters, "bytes": grown, "per_parameter": grown / parameters}))


def _write(file: object, parameters: int) -> object:
    made = data.update(0, parameters)
    file.write(encode(made))  # type: ignore[attr-defined]
    return schema_of(made)


def _now() -> int:
    """Resident bytes at this moment."""
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
