"""What a warm function remembers is bounded, whatever devices ask for."""

from __future__ import annotations

import numpy as np
import pytest

from chalicelib import recent
from chalicelib.recent import MOST, Recent
from muster.wire.refs import CheckpointRef
from tests.fleet import World


def test_a_memory_holds_so_much_and_forgets_what_was_not_asked_for_the_longest() -> None:
    memory: Recent[str, int] = Recent()
    for number in range(MOST):
        memory.put(str(number), number)
    assert memory.get("0") == 0
    memory.put("one more", -1)
    assert len(memory) == MOST
    assert (memory.get("0"), memory.get("1"), memory.get("one more")) == (0, None, -1)


def test_names_of_models_that_do_not_exist_fill_no_memory(world: World) -> None:
    world.model()
    (device,) = world.devices(1)
    key = world.key_of(device)
    for number in range(MOST + 20):
        assert world.services.current.round.get(f"no-model-{number}") is None
    for path, body in (("/v1/models/never-heard-of/checkin", {}), ("/v1/heartbeat", {"model": "nor-of-this"})):
        assert world.request("POST", path, key=key, body=body).status_code == 404
    current = world.services.current
    assert [len(memory._known) for memory in (current.round, current._models, current._deployments)] == [MOST, 1, 1]


def test_schemas_are_remembered_and_read_again_when_they_were_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST", 1)
    world.model("one")
    world.model("two", tensors={"layer.bias": np.zeros(3, "f4")})
    refs: list[CheckpointRef] = []
    for name in ("one", "two"):
        deployment = world.services.registry.deployment(name)
        assert deployment
        refs.append(deployment.stable)
    schemas = world.services.schemas
    with world.calls.count() as calls:
        found = [schemas.of(ref) for ref in (refs[0], refs[0], refs[1], refs[0])]
    assert calls == ["GetObject"] * 3
    assert found[0] == found[1] == found[3] != found[2]
