"""Models whose adapters travel, on the whole server: what does not suit is refused, and a round is aggregated and replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chalicelib.storage import keys
from muster.aggregation.manifest import MANIFEST_LIMIT_BYTES, Manifest
from muster.aggregation.replay import replay
from muster.http.errors import Refused
from muster.wire.admin import RoundConfig, Rule
from muster.wire.arrays import Array, encode
from muster.wire.problems import Problem
from muster.wire.refs import digest
from tests.fleet import BASE, CONFIG, World
from tests.operator.replaying import offline
from tests.operator.terminal import Terminal

LORA = Rule(name="lora")
ADAPTERS: dict[str, Array] = {
    **BASE,
    **{name + ".A": np.linspace(-1, 1, 16, dtype=np.float32).reshape(2, 8) for name in ("q", "v")},
    **{name + ".B": np.zeros((6, 2), np.float32) for name in ("q", "v")},
}


@pytest.mark.parametrize(
    ("tensors", "config", "told"),
    [
        (BASE, {}, r"config.aggregator: the model's tensors \(expected pairs '<layer>.A' of .*, got none\)"),
        (
            {**ADAPTERS, "k.B": BASE["layer.bias"]},
            {},
            r"config.aggregator: tensor 'k.B' \(expected its other half 'k.A', got none\)",
        ),
        (ADAPTERS, {"optimizer": Rule(name="adam")}, "config.optimizer: lora replaces each pair as a whole"),
        (ADAPTERS, {"goal": 2000, "over_selection": 1.3}, "config.goal: lora takes at most 2000 updates"),
    ],
    ids=["no pair", "half a pair", "another optimizer", "too many"],
)
def test_a_model_that_lora_cannot_aggregate_is_not_created(
    world: World, tensors: dict[str, Array], config: dict[str, Any], told: str
) -> None:
    with pytest.raises(Refused, match=told) as refused:
        world.model(tensors=tensors, aggregator=LORA, **config)
    assert refused.value.problem is Problem.INVALID_BODY
    assert list(world.operator.models()) == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_model_without_adapters_is_not_configured_so_later_and_one_with_them_is(world: World, dry_run: bool) -> None:
    world.model("plain", rounds=0)
    world.model("adapted", rounds=0, tensors=ADAPTERS)
    config = RoundConfig(**{**CONFIG, "aggregator": LORA})
    with pytest.raises(Refused, match=r"config\.aggregator: the model's tensors"):
        world.operator.configure("plain", config, revision=1, dry_run=dry_run)
    assert world.operator.configure("adapted", config, revision=1, dry_run=dry_run).revision == 2


@pytest.mark.parametrize("settings", [{}, {"part_memory_bytes": 1, "part_reads": 2}], ids=["at once", "in parts"])
def test_a_round_of_adapters_is_aggregated_by_whoever_comes_and_replayed_by_whoever_asks(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    world = World(**settings)
    try:
        world.model(tensors=ADAPTERS, aggregator=LORA, goal=4, quorum=4, evaluators=1, keep_updates=True)
        devices = world.devices(5)
        world.tick()
        for number, device in enumerate(devices[:4]):
            world.update(device, step=0.1 + 0.1 * number, examples=10 + number)
        world.play(devices[4:])
        version = world.services.registry.newest("toy")
        assert version is not None
        assert version.number == 1
        rnd = world.services.rounds.get("toy", 1)
        assert rnd is not None
        assert rnd.manifest_sha256
        key = keys.MANIFEST.key(round=rnd.id, sha256=rnd.manifest_sha256)
        manifest = Manifest.from_bytes(world.services.blobs.read(key, MANIFEST_LIMIT_BYTES))
        files = {entry.key: bytes(world.services.blobs.read(entry.key, 1 << 20)) for entry in manifest.entries}
        made = replay(manifest, encode(ADAPTERS), {}, lambda entry: files[entry.key])["model"]
        assert digest(made) == version.checkpoint.sha256
        folder = tmp_path / "round"
        Terminal(world).text("round export toy.1 {}", folder)
        status, said, _ = offline(f"round replay {folder} --json")
        assert (status, json.loads(said)["equal"]) == (0, True)
    finally:
        world.close()
