"""Nothing that a device can send makes an operator's command, a tick or another device's request answer 500."""

from __future__ import annotations

import hashlib
import json

import httpx
import numpy as np
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from muster import Device
from muster.wire.arrays import encode
from muster.wire.failures import FailureReason
from tests.fleet import World
from tests.refusals import UPDATE
from tests.rounds.hostile import requests, updates

EXAMPLES = 40
ROUNDS = 20


class Hostile:
    """A device that sends what it likes, with a key that is good."""

    def __init__(self, world: World) -> None:
        self._world = world
        (self._device,) = world.devices(1)
        self._key = world.key_of(self._device)

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str | None], own: bool) -> None:
        """One request, which may be answered with anything but a failure."""
        answer = self._world.request(method, path, key=self._key if own else None, body=body or None, **headers)
        assert answer.status_code < 500, (method, path, body, headers, answer.text)
        if path == "/v1/clients/me/key" and answer.status_code == 200:
            self._key = answer.json()["key"]

    def take_part(self, data: bytes, examples: int) -> None:
        """Check in, and upload and report an update, as far as it is let."""
        sha256 = hashlib.sha256(data).hexdigest()
        assignment = self._post("/v1/models/toy/checkin", {})
        if assignment.json().get("kind") != "train":
            return
        round_id = assignment.json()["round"]
        grant = self._post(f"/v1/rounds/{round_id}/upload", {"bytes": len(data), "sha256": sha256, "examples": examples})
        if grant.status_code == 200:
            with self._world.http() as http:
                http.put(grant.json()["url"], content=data, headers=grant.json()["headers"])
            self._post(f"/v1/rounds/{round_id}/report", {"sha256": sha256})

    def give_up(self, number: int, work: str, reason: str) -> None:
        """Say that the work of the place that it has, or has not, has failed."""
        self._post(f"/v1/rounds/toy.{number}/failure", {"work": work, "reason": reason})

    def judge(self, examples: int, accuracy: float, other: float) -> None:
        """Check in, and measure whatever is asked for."""
        assignment = self._post("/v1/models/toy/checkin", {"can": ["evaluate"]}).json()
        for role in ("candidate", "deployed"):
            if role in assignment:
                path = f"/v1/models/toy/versions/{assignment[role]['version']}/metrics"
                metrics = {"accuracy": accuracy, "loss": other}
                self._post(path, {"round": assignment["round"], "examples": examples, "metrics": metrics})

    def _post(self, path: str, body: object) -> httpx.Response:
        answer = self._world.request("POST", path, key=self._key, body=json.dumps(body).encode())
        assert answer.status_code < 500, (path, body, answer.text)
        return answer


def everybody_else_goes_on(world: World, witness: Device) -> None:
    """What operators, schedules and other devices do succeeds; each of these raises when it does not."""
    world.tick()
    world.deliver()
    world.monitor()
    world.operator.status("toy")
    for rnd in world.operator.rounds("toy"):
        world.operator.round("toy", rnd.number)
    assert {client.client_id for client in world.operator.clients()} >= {witness.client_id}
    world.operator.statistics()
    list(world.operator.versions("toy"))
    key = world.key_of(witness)
    for path, body in (("/v1/heartbeat", {"model": "toy"}), ("/v1/models/toy/checkin", {})):
        assert world.request("POST", path, key=key, body=body).status_code == 200


sizes = st.integers(1, 10**9)
moves = st.one_of(
    requests().map(lambda sent: ("send", sent)),
    requests().map(lambda sent: ("send", sent)),
    st.tuples(updates(), sizes).map(lambda given_: ("take_part", given_)),
    st.tuples(sizes, st.floats(0, 1), st.floats(-1e30, 1e30)).map(lambda given_: ("judge", given_)),
    st.tuples(st.integers(1, 3), st.sampled_from(["train", "evaluate"]), st.sampled_from([*FailureReason])).map(
        lambda given_: ("give_up", given_)
    ),
)


def test_nothing_that_a_device_sends_makes_anybody_elses_request_fail() -> None:
    world = World()
    try:
        world.model(goal=1, quorum=1, over_selection=2.0, evaluators=1, rounds=10**6, report_seconds=300.0)
        world.tick()
        (witness,), hostile = world.devices(1), Hostile(world)

        # What fails may fail because of what was sent before, so a failure cannot be made smaller.
        @settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.reuse, Phase.generate])
        @given(st.lists(moves, min_size=1, max_size=8), st.sampled_from([0, 3, 61, 400]))
        def holds(sent: list[tuple[str, tuple[object, ...]]], seconds: int) -> None:
            for what, arguments in sent:
                getattr(hostile, what)(*arguments)
            world.clock.advance(seconds)
            everybody_else_goes_on(world, witness)

        holds()
        rounds = list(world.operator.rounds("toy"))
        assert {"completed", "abandoned"} & {rnd.phase for rnd in rounds}, "rounds have been through with what was sent"
    finally:
        world.close()


anything = st.floats(width=32) | st.sampled_from([0.0, 1e-45, 1e19, 1e30, 1e38, 3.4e38, -3.4e38])


def test_no_update_of_any_size_makes_anybody_elses_request_fail() -> None:
    """Each update has a round of its own, so each is inspected; strikes would end that soon."""
    world = World(quarantine_seconds=0.0)
    try:
        world.model(goal=1, quorum=1, over_selection=2.0, evaluators=0, rounds=10**6, report_seconds=300.0, max_norm=1e30)
        (witness,), hostile = world.devices(1), Hostile(world)

        @settings(max_examples=ROUNDS, phases=[Phase.explicit, Phase.generate])
        @given(st.lists(anything, min_size=3, max_size=3), st.integers(-(2**63), 2**63 - 1))
        @example([1e38] * 3, 0)
        def holds(bias: list[float], steps: int) -> None:
            world.clock.advance(400)
            world.tick()
            world.clock.advance(world.settings.memory_seconds)
            counters = np.array(steps, "i8")
            hostile.take_part(encode({**UPDATE, "layer.bias": np.array(bias, "f4"), "norm.num_batches_tracked": counters}), 1)
            everybody_else_goes_on(world, witness)

        holds()
        settled = [rnd.accepted + sum(rnd.rejected.values()) for rnd in world.operator.rounds("toy")]
        assert sum(settled) >= 0.75 * ROUNDS, "the updates were inspected"
    finally:
        world.close()
