"""A stack with stored clients and one model, what a device sends to it, and which rows that touches."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np

from bench.cost.meter import Meter, Touched
from bench.cost.run import memory_mb, untraced
from chalicelib.clients.client import Client, ClientState
from chalicelib.clients.credentials import Credential
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Put, Table
from chalicelib.storage.rows import to_item
from infra.memory import MemoryCloud
from infra.memory.cloud import API
from infra.memory.session import SESSION
from muster.operator import Operator
from muster.wire.admin import RoundConfig
from muster.wire.arrays import Array, encode

MODEL = "toy"
SECRET = "s" * 43
"""Of every stored client."""

BASE: Mapping[str, Array] = {"layer.weight": np.linspace(-1, 1, 8, dtype=np.float32)}
UPDATE = encode({name: np.full_like(array, 0.1) for name, array in BASE.items()})


RowUnits = defaultdict[tuple[str, str, str], float]
"""Units by table, partition key and sort key."""


class RowMeter(Meter):
    """Counts by phase, and by the rows that are read and written."""

    def __init__(self, cloud: MemoryCloud) -> None:
        super().__init__(cloud, memory_mb(), untraced())
        self.written: defaultdict[str, RowUnits] = defaultdict(lambda: defaultdict(float))
        self.read: defaultdict[str, RowUnits] = defaultdict(lambda: defaultdict(float))
        self.row_bytes: Counter[str] = Counter()

    def touch(self, touched: Touched) -> None:
        """Note whose units they are."""
        place = (touched.table, touched.partition, touched.row)
        (self.written if touched.is_write else self.read)[self.phase_now][place] += touched.units
        self.row_bytes[self.phase_now] += touched.nbytes


class FleetStack:
    """A cloud in this process in which a model trains, and so many clients are enrolled already."""

    def __init__(self, clients: int, config: RoundConfig) -> None:
        self.cloud = MemoryCloud(metering=False)  # it would add a fiftieth, now and then
        self.config = config
        self._http = self.cloud.http()
        self.operator = Operator(API, http=self._http)
        self.operator.create_model(MODEL, encode(BASE), config)
        self.operator.start(MODEL, 1_000)
        store_clients(self.cloud, [MODEL], clients)
        self.cloud.tick()
        self.meter = RowMeter(self.cloud)

    def __enter__(self) -> FleetStack:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the process back what stood in AWS's place."""
        self.cloud.close()

    @contextmanager
    def metered(self, phase: str) -> Iterator[None]:
        """Count under this name what is done inside the block; outside of any nothing is counted."""
        self.cloud.calls.observer = self.meter
        try:
            with self.meter.phase(phase):
                yield
        finally:
            self.cloud.calls.observer = None

    # ---- what a device sends

    def enrol(self, token: str, name: str) -> httpx.Response:
        """A device becomes a client."""
        body = {"token": token, "client_id": name, "proof": "p" * 43, "device_type": "phone", "sdk_version": "1.0.0"}
        return self._sent("POST", "/v1/clients", None, body)

    def heartbeat(self, number: int) -> httpx.Response:
        """A client says that it lives."""
        return self._sent("POST", "/v1/heartbeat", number, {"model": MODEL, "version": 0})

    def check_in(self, number: int) -> httpx.Response:
        """A client asks for work."""
        return self._sent("POST", f"/v1/models/{MODEL}/checkin", number, {})

    def grant(self, number: int, round_name: str) -> httpx.Response:
        """A client declares its update."""
        body = {"bytes": len(UPDATE), "sha256": hashlib.sha256(UPDATE).hexdigest(), "examples": 10}
        return self._sent("POST", f"/v1/rounds/{round_name}/upload", number, body)

    def put(self, granted: httpx.Response) -> None:
        """A client uploads what it has declared."""
        grant = granted.json()
        self._http.put(grant["url"], headers=grant["headers"], content=UPDATE).raise_for_status()

    def report(self, number: int, round_name: str) -> httpx.Response:
        """A client says that its update is there."""
        return self._sent(
            "POST", f"/v1/rounds/{round_name}/report", number, {"sha256": hashlib.sha256(UPDATE).hexdigest(), "metrics": {}}
        )

    def model(self, number: int) -> httpx.Response:
        """A client asks what it should run."""
        return self._sent("GET", f"/v1/models/{MODEL}", number, None)

    def statistics(self) -> httpx.Response:
        """An operator asks for the fleet's size."""
        return self._sent("GET", "/v1/admin/statistics", None, None)

    def _sent(self, method: str, path: str, number: int | None, body: Any) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        if number is not None:
            headers["Authorization"] = f"Bearer {client_id(number)}.{SECRET}"
        content = None if body is None else json.dumps(body)
        response = self._http.request(method, API + path, headers=headers, content=content)
        response.raise_for_status()
        return response


def store_clients(cloud: MemoryCloud, models: Sequence[str], count: int) -> None:
    """Put the rows of so many clients there, which run these models in turn."""
    now = cloud.clock()
    table = Table(SESSION.client("dynamodb"), cloud.settings.clients_table)
    key_hash = Credential("any", SECRET).hashed
    for number in range(count):
        client = Client(
            client_id=client_id(number), key_hash=key_hash, state=ClientState.ACTIVE, device_type="phone",
            sdk_version="1.0.0", enrolled_at=now, last_seen_at=now, model=models[number % len(models)], version=0,
        )  # fmt: skip
        table.put(Put(table=table, key=keys.client_key(client.client_id), item=to_item(client)))


def client_id(number: int) -> str:
    """The id of a stored client."""
    return f"client-{number:08d}"
