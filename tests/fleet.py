"""A language for tests: a world with a clock of its own, in which the whole cloud lives in this process.

    world = World()
    world.model(goal=3)                      # a model that trains
    devices = world.devices(4)
    world.play(devices)                      # until nothing more happens

Devices are the real SDK; their HTTP goes through the local cloud's gateway and their presigned URLs to the store's S3. Nothing
moves unless a test says so: `tick()` fires the schedule, `deliver()` hands queued messages to the workers, `clock.advance()`
lets time pass. `world.calls` is where a test stands between the server and AWS. What many tests begin with happens once in a
process, and then lies behind each of their worlds: `world.relive(past)`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import unquote

import httpx
import numpy as np
from boto3.dynamodb.types import TypeDeserializer

from chalicelib.clients.client import Client
from chalicelib.clients.segments import TallyChange
from chalicelib.clients.tally import Tally
from chalicelib.settings import Settings
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Put, Table
from chalicelib.storage.rows import Unreadable, to_item
from infra.local import resources
from infra.memory import MemoryCloud
from infra.memory.calls import Killed as Killed
from infra.memory.cloud import API as API
from infra.memory.cloud import SCHEDULED as SCHEDULED
from infra.memory.session import SESSION as SESSION
from infra.memory.session import client_of as client_of
from infra.memory.stores import Stores
from muster import Device
from muster.device import Evaluation, TrainingResult
from muster.operator import Operator
from muster.wire.admin import RoundConfig
from muster.wire.arrays import Array, encode
from tests import contract
from tests.aws import STORE, Moto
from tests.pasts import Past

BASE: dict[str, Array] = {
    "layer.weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "layer.bias": np.zeros(3, np.float32),
    "norm.num_batches_tracked": np.array(5, np.int64),
    "mask": np.array([True, False]),
}
"""A model with one of everything: parameters, a counter, and a tensor that is never sent."""


def checkpoint(bias: float) -> bytes:
    """A checkpoint of the toy model; another one for each `bias`."""
    return encode({**BASE, "layer.bias": np.full(3, bias, np.float32)})


Row = TypeVar("Row")
Told = TypeVar("Told")


def readable(rows: Iterable[Row | Unreadable]) -> list[Row]:
    """Rows, each of which can be read."""
    found: list[Row] = []
    for row in rows:
        assert not isinstance(row, Unreadable), row
        found.append(row)
    return found


CONFIG: dict[str, Any] = {
    "goal": 3, "quorum": 2, "over_selection": 2.0, "report_seconds": 3600.0, "grace_seconds": 120.0,
    "evaluators": 2, "evaluation_quorum": 1, "evaluation_level": 0.5, "evaluate_seconds": 600.0,
}  # fmt: skip
"""Small rounds, in which one judge's word is enough: `evaluation_level` says so."""


COMING = ("last_seen_at", "heartbeat_arrival", "checkin_arrival", "readiness", "op_id")
"""What a client's row says of how it came; a request that is refused for another reason than its key changes that."""

IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where devices keep what they know. They wait for the disk after every write, which takes longer than most of a test."""

_deserializer = TypeDeserializer()


@dataclass
class Drift:
    """A trainer without a framework: it moves every number by `step`, and a model is as good as its mean is high."""

    step: float
    examples: int = 10
    spoil: Callable[[dict[str, Array]], dict[str, Array]] | None = None

    def train(self, base: Mapping[str, Array], hyperparameters: Mapping[str, Any]) -> TrainingResult:
        moved: dict[str, Array] = {}
        for name, array in base.items():
            if array.dtype.kind == "f":
                moved[name] = array + np.float32(self.step) * np.cos(np.arange(array.size, dtype=np.float32)).reshape(
                    array.shape
                )
            else:
                moved[name] = array + array.dtype.type(round(self.step * 10)) if array.dtype.kind == "i" else array
        return TrainingResult(self.spoil(moved) if self.spoil else moved, self.examples, {"train_loss": 1.0 - self.step})

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        return Evaluation(self.examples, {"accuracy": float(np.clip(0.5 + weights["layer.bias"].mean(), 0, 1))})


class World(MemoryCloud):
    """The cloud in this process, its operator and its devices. What the API answers is held against its document."""

    _pasts: ClassVar[dict[str, Past]] = {}
    alive: ClassVar[list[World]] = []
    """Worlds that were not closed: a test that fails leaves them behind, and its successors must not find them."""

    def __init__(self, *, store: str = STORE, **settings: Any) -> None:
        World.alive.append(self)
        self._stores = Stores() if {"memory": True, "moto": False}[store] else None
        quiet = {
            "metering": False
        }  # that functions count what they use has tests of its own, and changes rows beside all others
        super().__init__(backend=self._stores or Moto(), **quiet | settings)
        self._folder = tempfile.TemporaryDirectory(dir=IN_MEMORY)
        self._enrolled = 0
        self.operator = Operator(API, http=self.http())

    def draw(self) -> float:
        """Nobody comes sooner or later than on average."""
        return 0.5

    def close(self) -> None:
        World.alive.remove(self)
        super().close()
        self._folder.cleanup()

    def relive(self, past: Callable[..., Told], **options: Any) -> Told:
        """Let something happen in a world in which nothing has: `past(self, **options)`. It happens once in a process; other
        worlds begin with what it left. The functions start anew, and so do the devices, if those are what it returns. Nothing
        that it uses may be patched.
        """
        assert not self.calls.seen, "something has happened here"
        known, folder = f"{past.__module__}.{past.__qualname__} {options} {self.settings}", Path(self._folder.name)
        kept = self._pasts.get(known)
        if kept is None:
            kept = Past.of(past(self, **options), self.clock.now, self._enrolled, folder, self._stores)
        elif self._stores and kept.stores:
            self._stores.become(kept.stores)
            self.clock.now, self._enrolled = kept.now, kept.enrolled
            kept.write(folder)
        if self._stores:
            self._pasts[known] = kept
        self.calls.seen.clear()
        self.restart()
        told: Any = [self.device("", *device) for device in kept.devices] or kept.told
        return told  # type: ignore[no-any-return]

    def second_stack(self, name: str = "second") -> Settings:
        """Empty tables and an empty bucket, beside those that the server uses."""
        names: dict[str, Any] = {f"{kind}_table": f"{name}-{kind}" for kind in ("clients", "rounds", "versions", "monitoring")}
        properties = resources.template()["Resources"]["ClientsTable"]["Properties"]
        wanted = {part: properties[part] for part in ("BillingMode", "AttributeDefinitions", "KeySchema")}
        for table in names.values():
            SESSION.client("dynamodb").create_table(TableName=table, **wanted)
        self.s3.create_bucket(Bucket=f"{name}-tensors")
        return replace(self.settings, **names, bucket=f"{name}-tensors")

    def move_to(self, settings: Settings) -> None:
        """The server works with other tables and another bucket from now on."""
        self.settings = settings
        self.restart()

    # ---- people

    def model(self, name: str = "toy", *, rounds: int = 1, tensors: Mapping[str, Array] | None = None, **config: Any) -> str:
        """A model that trains until so many rounds have completed."""
        self.operator.create_model(name, encode(tensors or BASE), RoundConfig(**{**CONFIG, **config}))
        if rounds:
            self.operator.start(name, rounds)
        return name

    def token(self, uses: int = 100) -> str:
        return self.operator.mint_token(uses).token

    def add(self, client: Client) -> None:
        """The row of a client, as if a token had let it in. The fleet does not count it."""
        table = Table(SESSION.client("dynamodb"), self.settings.clients_table)
        table.put(Put(table=table, key=keys.client_key(client.client_id), item=to_item(client)))

    def devices(self, count: int, model: str = "toy") -> list[Device]:
        token = self.token()
        self._enrolled += count
        return [self.device(token, f"device-{number:03d}", model) for number in range(self._enrolled - count, self._enrolled)]

    def device(self, token: str, name: str, model: str = "toy", **told: Any) -> Device:
        folder = Path(self._folder.name) / name
        return Device.enrol(API, token, name, model=model, state_dir=folder, http=self.http(), **told)

    def update(self, device: Device, **drift: Any) -> None:
        """Let a device check in, train and report."""
        assignment = device.check_in()
        assert assignment.kind == "train", assignment
        device.take_part(assignment, Drift(**{"step": 0.1, **drift}))

    def judge(self, devices: Sequence[Device]) -> None:
        """Let those devices judge that are asked to."""
        for device in devices:
            assignment = device.check_in()
            if assignment.kind == "evaluate":
                device.judge(assignment, Drift(0.0))

    def counted(self, **tally: Any) -> None:
        """A census has just counted this, all in the first shard."""
        found = Tally(shard=0, counted_at=self.clock(), **tally)
        before = next((row for row in self.services.tallies.all() if (row.shard, row.begins) == (0, found.begins)), None)
        assert self.services.tallies.change([TallyChange(before, found)])

    # ---- what happens

    def play(self, devices: Sequence[Device] = (), minutes: int = 12) -> None:
        """Let minutes pass, with a tick in each, until the model's present round has ended and was finalised."""
        current = self.services.rounds.latest("toy")
        number = current.number if current else 1
        for _ in range(minutes):
            self.tick()
            self.deliver()
            self.judge(devices)
            rnd = self.services.rounds.get("toy", number)
            if rnd and rnd.summary:
                return
            self.clock.advance(60)
        raise AssertionError(f"the round has not ended after {minutes} minutes: {rnd}")

    def everything(self) -> tuple[dict[str, Any], set[str]]:
        """All rows of all tables, without when a client came last, and the keys of all objects."""
        rows: dict[str, Any] = {}
        for name in (
            self.settings.clients_table,
            self.settings.rounds_table,
            self.settings.versions_table,
            self.settings.monitoring_table,
        ):
            for item in SESSION.client("dynamodb").scan(TableName=name)["Items"]:
                row = {attribute: _deserializer.deserialize(value) for attribute, value in item.items()}
                if "last_seen_at" in row:
                    row = {attribute: value for attribute, value in row.items() if attribute not in COMING}
                rows[f"{name}/{row['pk']}/{row['sk']}"] = row
        listed = self.s3.list_objects_v2(Bucket=self.settings.bucket).get("Contents", [])
        return rows, {found["Key"] for found in listed}

    def held(self) -> bytes | None:
        """All that AWS holds, to be compared with what it held before; None where that cannot be seen."""
        return self._stores.written() if self._stores else None

    def key_of(self, device: Device) -> str:
        """A device's whole credential."""
        key = device._identity.key
        assert key
        return key

    def request(
        self, method: str, path: str, *, key: str | None = None, body: Any = None, **headers: str | None
    ) -> httpx.Response:
        """One raw request to the API; `body` is JSON, or bytes as they are; a header that is None is not sent."""
        given = {"Content-Type": "application/json", **headers} | ({"Authorization": f"Bearer {key}"} if key else {})
        sent = {name: value for name, value in given.items() if value is not None}
        content: dict[str, Any] = {} if body is None else {"content": body if isinstance(body, bytes) else json.dumps(body)}
        with self.http() as http:
            return http.request(method, API + path, headers=sent, **content)

    def serve(self, request: httpx.Request) -> httpx.Response:
        response = super().serve(request)
        path = request.url.raw_path.decode()
        said = unquote(path) + request.content.decode(errors="replace") + str(request.headers)
        contract.check(request.method, path.partition("?")[0], response, said)
        return response
