"""One round from enrolment to deployment, and what its published bytes must be."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from chalicelib.storage import keys
from muster.aggregation.manifest import Entry, Manifest
from muster.aggregation.plan import NO_LIMITS, Limits
from muster.aggregation.replay import replay
from muster.wire.admin import Clipping, Rule
from muster.wire.arrays import decode
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.fleet import BASE, World
from tests.rounds.playing import EXAMPLES, STEPS, run_round


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


def test_the_same_round_on_moto_publishes_the_same_bytes() -> None:
    published = []
    for store in ("memory", "moto"):
        world = World(store=store)
        try:
            published.append(run_round(world))
        finally:
            world.close()
    assert published[0] == published[1]


def test_the_checkpoint_is_the_plain_float64_weighted_mean(world: World) -> None:
    run_round(world, max_claim_ratio="none")
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


RULES: list[dict[str, Any]] = [
    {},
    {"optimizer": {"name": "sgd", "parameters": {"learning_rate": 0.5, "momentum": 0.9, "nesterov": True}}},
    {"optimizer": {"name": "adam"}, "clipping": {"norm": 0.3}},
    {"aggregator": {"name": "median"}, "optimizer": {"name": "yogi"}},
    {"aggregator": {"name": "trimmed-mean", "parameters": {"trim": 1}}, "clipping": {"norm": 0.3, "adaptive": True}},
    {"aggregator": {"name": "krum", "parameters": {"byzantine": 0}}},
    {"aggregator": {"name": "multi-krum", "parameters": {"byzantine": 0, "keep": 1}}, "optimizer": {"name": "adagrad"}},
]


@pytest.mark.parametrize(
    "rules", RULES, ids=lambda rules: "-".join([*rules, *(str(r.get("name", "")) for r in rules.values())])
)
def test_a_round_replayed_from_its_manifest_gives_the_same_bytes_in_any_number_of_parts(
    world: World, rules: dict[str, Any]
) -> None:
    config: dict[str, Any] = {name: (Clipping if name == "clipping" else Rule)(**value) for name, value in rules.items()}
    run_round(world, rounds=2, keep_updates=True, quorum=3, **config)
    if "optimizer" in rules:
        run_round(world, number=2)
    newest = world.services.registry.newest("toy")
    assert newest
    assert newest.manifest_sha256
    manifest = Manifest.from_bytes(fetch(world, keys.MANIFEST.key(round=f"toy.{newest.round}", sha256=newest.manifest_sha256)))
    base = fetch(world, keys.CHECKPOINT.key(sha256=manifest.base.sha256))
    files = {file.letter: file.sha256 for file in manifest.state.files} if manifest.state else {}
    state = {letter: fetch(world, keys.STATE.key(sha256=sha256)) for letter, sha256 in files.items()}
    assert (manifest.state is None) == (newest.number == 1)

    def update(entry: Entry) -> bytes:
        data = fetch(world, entry.key)
        assert hashlib.sha256(data).hexdigest() == entry.sha256
        return data

    published = {"model": newest.checkpoint.sha256}
    if newest.optimizer:
        published |= {file.letter: file.sha256 for file in newest.optimizer.files}
    for limits in (Limits(1, 1, 1), Limits(1 << 30, 1 << 30, 2), NO_LIMITS):
        found = replay(manifest, base, state, update, limits)
        assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == published
    if newest.optimizer:
        assert newest.optimizer.step == newest.number, "published steps are counted"


@pytest.mark.parametrize("name", ["mean", "median", "krum"])
def test_many_parts_through_the_workers_publish_the_same_bytes_as_one_part(name: str) -> None:
    rule = Rule(name=name, parameters={"byzantine": 0} if name == "krum" else {})
    published = []
    for reads in (1000, 2, 1):
        world = World(part_reads=reads)
        try:
            published.append(run_round(world, quorum=3, aggregator=rule))
        finally:
            world.close()
    assert published[0] == published[1] == published[2]
