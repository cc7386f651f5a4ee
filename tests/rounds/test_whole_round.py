"""One round from enrolment to deployment, and what its published bytes must be."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest

from chalicelib.aggregation.manifest import Manifest
from chalicelib.aggregation.mean import Grids, Sums, apply
from chalicelib.aggregation.plan import plan
from chalicelib.storage import keys
from muster.wire.arrays import decode, encode
from muster.wire.tensors import HEADER_LIMIT_BYTES, parse_header, update_schema
from tests.fleet import BASE, World

STEPS = [0.1, 0.25, 0.4]
EXAMPLES = [10, 20, 70]


def run_round(world: World, **config: object) -> str:
    """A round of three updates; the SHA-256 of the version that it published."""
    world.model(**config)
    world.tick()
    devices = world.devices(3)
    for device, step, examples in zip(devices, STEPS, EXAMPLES, strict=True):
        world.update(device, step=step, examples=examples)
    world.play(devices)
    return world.operator.version("toy", 1).checkpoint.sha256


def fetch(world: World, key: str) -> bytes:
    return world.s3.get_object(Bucket=world.settings.bucket, Key=key)["Body"].read()


def test_a_round_runs_from_enrolment_to_deployment(world: World) -> None:
    sha256 = run_round(world)

    status = world.operator.status("toy")
    assert status.round is not None
    assert (status.round.phase, status.round.accepted, status.round.late, status.round.rejected) == ("completed", 3, 0, {})
    assert status.deployed_version == 1
    assert status.round.deployed
    assert status.round.gain == pytest.approx(0.11, abs=0.1)
    data = world.operator.download(world.operator.version("toy", 1).checkpoint)
    assert hashlib.sha256(data).hexdigest() == sha256


def test_the_checkpoint_is_the_plain_float64_weighted_mean(world: World) -> None:
    run_round(world)
    published = decode(world.operator.download(world.operator.version("toy", 1).checkpoint), HEADER_LIMIT_BYTES)

    for name, base in BASE.items():
        if base.dtype.kind != "f":
            continue
        wave = np.cos(np.arange(base.size, dtype=np.float64)).reshape(base.shape)
        trained = [base.astype(np.float64) + step * wave for step in STEPS]
        mean = sum(n * w for n, w in zip(EXAMPLES, trained, strict=True)) / sum(EXAMPLES)
        assert np.abs(published[name] - mean).max() <= 1e-6
    assert published["norm.num_batches_tracked"] == BASE["norm.num_batches_tracked"] + round(max(STEPS) * 10)
    assert (published["mask"] == BASE["mask"]).all()


def test_a_round_replayed_from_its_manifest_gives_the_same_bytes_in_any_order_and_any_number_of_parts(world: World) -> None:
    sha256 = run_round(world, keep_updates=True)
    version = world.operator.version("toy", 1)
    assert version.manifest_sha256
    manifest = Manifest.from_bytes(fetch(world, keys.MANIFEST.key(round="toy.1", sha256=version.manifest_sha256)))
    base = fetch(world, keys.CHECKPOINT.key(sha256=manifest.base.sha256))
    schema = update_schema(parse_header(base, HEADER_LIMIT_BYTES).specs)
    grids = Grids.of(manifest, schema)

    for part_bytes in (1, 2 * manifest.entries[0].nbytes, 1 << 30):
        parts = [Sums.empty(schema) for _ in plan(manifest, part_bytes)]
        for sums, part in zip(parts, plan(manifest, part_bytes), strict=True):
            entries = list(part.entries(manifest))
            random.Random(part.index).shuffle(entries)
            for entry in entries:
                update = fetch(world, entry.key)
                assert hashlib.sha256(update).hexdigest() == entry.sha256
                sums.add(decode(update, HEADER_LIMIT_BYTES), manifest.weight(entry), grids)
        random.Random(part_bytes).shuffle(parts)
        total = Sums.empty(schema)
        for sums in parts:
            total.merge(sums)
        replayed = encode(apply(decode(base, HEADER_LIMIT_BYTES), total, manifest.total_weight, manifest.server_learning_rate))
        assert hashlib.sha256(replayed).hexdigest() == sha256


def test_many_parts_through_the_workers_publish_the_same_bytes_as_one_part() -> None:
    published = []
    for part_bytes in (1 << 30, 1):
        world = World(part_bytes=part_bytes)
        try:
            published.append(run_round(world))
        finally:
            world.close()
    assert published[0] == published[1]
