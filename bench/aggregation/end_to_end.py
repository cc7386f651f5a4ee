"""From the object store to the checkpoint in the object store, beside the same GETs alone: `<runs> <store>`, where the store is
`moto` or `fast`.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np

from bench.aggregation import data
from bench.aggregation.muster_side import MEAN, REF
from bench.aggregation.store import PORT, client
from bench.aggregation.timing import measure
from chalicelib.rounds.phases.parts import StoredUpdates
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.spool import Spool
from muster.aggregation.assembly import MODEL, assemble
from muster.aggregation.manifest import Entry, Manifest, freeze
from muster.aggregation.replay import gradient
from muster.wire import gate
from muster.wire.admin import RoundConfig
from muster.wire.arrays import encode, schema_of
from muster.wire.magnitudes import packed

SHAPE = "100x1M"
CONNECTIONS = 4
SERVERS = {"moto": "bench.aggregation.moto_store", "fast": "bench.aggregation.loopback"}


@contextmanager
def serving(store: str) -> Iterator[Blobs]:
    """A store in a process of its own, filled."""
    updates, parameters = data.SHAPES[SHAPE]
    command = [sys.executable, "-m", SERVERS[store], str(PORT), str(updates), str(parameters)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or "ready" not in process.stdout.readline():
                raise RuntimeError(f"the store {store} did not start")
            yield Blobs(client(PORT), "bucket")
        finally:
            process.kill()


def manifest(blobs: Blobs) -> Manifest:
    """The frozen round. One update is measured; the others are made alike."""
    updates, parameters = data.SHAPES[SHAPE]
    file, schema = encode(data.update(0, parameters)), schema_of(data.update(0, parameters))
    found = gate.inspect(io.BytesIO(file), len(file), schema, hashlib.sha256(file).hexdigest())
    accepted = []
    for number, examples in enumerate(data.weights(updates)):
        stat = blobs.client.get_object(Bucket="bucket", Key=f"update-{number}", Range="bytes=0-0")
        accepted.append(
            Entry(
                client_id=f"client-{number:05d}",
                key=f"update-{number}",
                etag=stat["ETag"],
                sha256="",
                nbytes=len(file),
                examples=examples,
                norm=found.norm,
                header_bytes=found.header_bytes,
                magnitudes=packed(found.exponents, found.levels),
            )
        )
        stat["Body"].read()
    base = encode(data.update(updates, parameters))
    ref = replace(REF, sha256=hashlib.sha256(base).hexdigest(), nbytes=len(base))
    return freeze("bench.1", ref, RoundConfig(goal=updates, quorum=1, aggregator=MEAN), None, None, accepted)


def gets(blobs: Blobs, frozen: Manifest) -> int:
    """The same GETs, and nothing else."""
    reader = StoredUpdates(blobs, CONNECTIONS)
    size = frozen.entries[0].nbytes - frozen.entries[0].header_bytes
    memory = [np.empty(size, np.uint8).data for _ in range(2 * CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for number, entry in enumerate(frozen.entries):
            pool.submit(reader.read, entry, entry.header_bytes, memory[number % len(memory)])
    return len(frozen.entries)


def whole(blobs: Blobs, frozen: Manifest) -> str:
    """GETs, sums, checkpoint, PUT."""
    schema = schema_of(data.update(0, data.SHAPES[SHAPE][1]))
    with blobs.open("base", frozen.base.nbytes) as base, Spool(blobs, "staging") as spool:
        for name, piece in assemble(frozen, base, {}, gradient(frozen, schema, StoredUpdates(blobs, CONNECTIONS))):
            if name != MODEL:
                raise AssertionError(name)
            spool.write(piece)
        spool.keep_as(f"checkpoint-{uuid.uuid4()}")
        return spool.sha256


def main() -> None:
    """Measure both."""
    runs, store = int(sys.argv[1]), sys.argv[2]
    with serving(store) as blobs:
        frozen = manifest(blobs)
        measure(f"gets:{store}", runs, partial(gets, blobs, frozen), lambda count: [float(count)])
        measure(f"whole:{store}", runs, partial(whole, blobs, frozen), lambda sha256: [float(int(sha256[:8], 16))])


if __name__ == "__main__":
    main()
