"""What a rollout or an experiment costs a device's requests: nothing, but a write for the one heartbeat that answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import httpx
import pytest

from chalicelib.clients.client import Client, ClientState
from infra.memory.calls import Observer
from muster.wire.admin import Arm, CohortRule, StartExperiment, Strategy
from tests.fleet import World, checkpoint

COUNTED = {"UpdateItem", "PutItem", "GetItem", "Query", "TransactWriteItems", "BatchGetItem", "Scan", "GetObject", "HeadObject"}


EXPERIMENT = "an experiment among some device types"


def begun(world: World, newest: int, what: Strategy | str | None) -> int:
    """The revision in which something begins, of which the device is a part; the present one, of nothing."""
    operator = world.operator
    if isinstance(what, Strategy):
        return operator.deploy("toy", newest, strategy=what, revision=1).revision
    if what is None:
        return 1
    operator.set_cohort("edges", CohortRule(device_types=["edge", "generic"]), revision=0)
    arms = [Arm(name="a", version=str(newest), weight=99.99), Arm(name="b", version="0", weight=0.01)]
    wanted = StartExperiment(name="trial", arms=arms, cohort="edges", revision=1)
    return operator.start_experiment("toy", wanted).revision


def calls_of(clients: int, versions: int, what: Strategy | str | None) -> dict[str, Counter[str]]:
    """The calls to stores of a warm function, by what a device asks: a heartbeat, one that answers, and its model."""
    with closing(World(memory_seconds=3600.0)) as world:
        world.model(rounds=0)
        for number in range(1, versions):
            world.operator.register("toy", checkpoint(float(number)))
        now = world.clock()
        one = Client(
            client_id="many-0", key_hash="h", state=ClientState.ACTIVE, device_type="edge", sdk_version="1", enrolled_at=now,
            last_seen_at=now,
        )  # fmt: skip
        for number in range(clients):
            world.add(replace(one, client_id=f"many-{number}"))
        revision = begun(world, versions - 1, what)
        device = world.devices(1)[0]
        key, observer = world.key_of(device), Observer()
        version = device.model()[0]
        beat = {"model": "toy", "version": version}
        report = {"rollout": f"toy.r{revision}", "metrics": {"accuracy": 0.5}}
        world.request("POST", "/v1/heartbeat", key=key, body=beat)  # so that the function is warm
        world.calls.observer = observer
        found = {}
        asked: dict[str, Callable[[], httpx.Response]] = {
            "heartbeat": lambda: world.request("POST", "/v1/heartbeat", key=key, body=beat),
            "answer": lambda: world.request("POST", "/v1/heartbeat", key=key, body={**beat, "report": report}),
            "model": lambda: world.request("GET", "/v1/models/toy", key=key),
        }
        for what, ask in asked.items():
            observer.calls.clear()
            world.clock.advance(world.settings.request_seconds)
            assert ask().status_code == 200
            found[what] = Counter(call.operation for call in observer.calls if call.operation in COUNTED)
        return found


@pytest.mark.parametrize("what", [None, Strategy(kind="canary", steps=[99.0]), Strategy(kind="blue-green"), EXPERIMENT])
def test_a_heartbeat_is_one_write_and_a_model_one_read_whatever_fleet_versions_and_rollout(what: Strategy | str | None) -> None:
    small, large = calls_of(5, 2, what), calls_of(200, 20, what)
    assert small == large
    warming = Counter({"PutItem": 1}) if isinstance(what, Strategy) and what.kind == "blue-green" else Counter[str]()
    answering = Counter({"PutItem": 1}) if what is not None else Counter[str]()
    assert small["heartbeat"] == Counter({"UpdateItem": 1}) + warming
    assert small["answer"] == Counter({"UpdateItem": 1}) + answering
    assert small["model"] == Counter({"GetItem": 1})
