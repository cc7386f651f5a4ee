"""Muster's peak memory beyond its imports, as updates stream in from a file: `<updates> <parameters>`."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from bench.aggregation import data
from bench.aggregation.muster_side import REF
from muster.aggregation.manifest import Entry, freeze
from muster.aggregation.replay import gradient
from muster.wire.admin import RoundConfig
from muster.wire.arrays import encode, schema_of
from muster.wire.magnitudes import packed
from muster.wire.tensors import Schema, build_header


@dataclass(frozen=True)
class FileReader:
    """Every update is the same file."""

    file: IO[bytes]
    concurrency: int = 4

    def read(self, entry: Entry, begin: int, scratch: memoryview) -> memoryview:
        """A ranged read."""
        if os.preadv(self.file.fileno(), [scratch], begin) != len(scratch):
            raise EOFError(entry.key)
        return scratch


def main() -> None:
    """Measure one aggregation in this process, and print bytes a parameter."""
    updates, parameters = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryFile() as file:
        schema = _write(file, parameters)
        size, header = file.tell(), len(build_header(schema))
        magnitudes = packed((0,) * len(schema), (-16,) * len(schema))
        entries = [
            Entry(
                client_id=f"client-{n:06d}",
                key="",
                etag="",
                sha256="",
                nbytes=size,
                examples=1 + n % 999,
                norm=1.0,
                header_bytes=header,
                magnitudes=magnitudes,
            )
            for n in range(updates)
        ]
        manifest = freeze("bench.1", REF, RoundConfig(goal=100_000, quorum=1), None, None, entries)
        before = _now()
        for _ in gradient(manifest, schema, FileReader(file)):
            pass
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(json.dumps({"updates": updates, "parameters": parameters, "bytes": grown, "per_parameter": grown / parameters}))


def _write(file: IO[bytes], parameters: int) -> Schema:
    made = data.update(0, parameters)
    file.write(encode(made))
    file.flush()
    return schema_of(made)


def _now() -> int:
    """Resident bytes at this moment."""
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
