"""The device: what it keeps on its disk, and the loop of heartbeat, check-in, training and judging.

Everything may be repeated, and everything may fail. So each step is short, what must survive is on the disk before it is
needed, and after any trouble the device checks in again: it gets the same place.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from examples.raw_device import deltas
from examples.raw_device.learning import EXAMPLES, HELD_OUT, Learner
from examples.raw_device.tensors import ENCODINGS, Tensor, decoded, encoded, read_file, write_file
from examples.raw_device.web import Overloaded, Refused, Unreachable, Web

JSON = dict[str, Any]
KEPT = 2
"""Checkpoints on the disk: a judge needs two."""

HOPELESS = ("enrolment-refused", "client-exists")
"""Refusals that no waiting mends."""

DOUBTS_SECONDS = (60.0, 600.0, 3600.0, 21_600.0)
"""Waits before a refused key is tried again: a server may be wrong for a moment, and a device for good."""

LONGEST_SECONDS = 900.0
"""No wait after trouble is longer."""


class Untrusted(Exception):
    """What was downloaded is not what was announced."""


class Device:
    """One device and one model."""

    def __init__(
        self,
        *,
        url: str,
        token: str,
        client_id: str,
        model: str,
        folder: Path,
        web: Web | None = None,
        trouble_seconds: float = 5.0,
    ) -> None:
        self._url = url.rstrip("/")  # paths are appended to it, whatever path it has itself
        self._token, self._client_id, self._model, self._folder = token, client_id, model, folder
        self._web = web or Web()
        self._trouble_seconds = trouble_seconds
        self._learner = Learner(client_id)
        self._identity: JSON = self._read("identity.json")
        self._rounds: JSON = {}
        """The last rounds in which it `reported` and `judged`."""
        self._reported: str | None = None
        """The round whose receipt is to be read."""
        self._left: dict[str, list[float]] = {}
        """What the last int8 update left out: it goes into the next one."""
        self._heartbeat_at = 0.0
        self._rests = False
        self._is_quiet = False
        """Whether the server wants fewer requests: then heartbeats are all, until one is answered."""
        self._interval = 60.0
        self._trouble = self._doubts = 0

    # ---- the loop

    def run(self) -> None:
        """Take part for as long as the key is good.

        Raises:
            Refused: the token, or for hours the key, is not valid: only a person can help.
        """
        while True:
            try:
                seconds = self.step()
                self._trouble = self._doubts = 0
            except Overloaded as overloaded:
                seconds = _stretched(self._leave_alone(overloaded))
            except Refused as refused:
                if refused.word in HOPELESS or (refused.word == "unauthenticated" and self._doubts == len(DOUBTS_SECONDS)):
                    raise
                seconds = _stretched(self._doubt()) if refused.word == "unauthenticated" else self._after(refused)
            except (Unreachable, Untrusted, ValueError, LookupError, OSError) as error:
                seconds = self._after(error)
            self._web.pause(seconds)

    def step(self) -> float:
        """Do one thing, and return for how many seconds there is nothing to do."""
        self.enrol()
        self.heartbeat_if_due()
        if self._rests or self._is_quiet:  # heartbeats are all; the next one says whether that has changed
            return max(0.0, self._heartbeat_at - time.monotonic())
        work = self.check_in()
        if work["kind"] == "train":
            self.take_part(work)
        elif work["kind"] == "evaluate":
            self.judge(work)
        else:
            self._rests = work["reason"] == "no-training"
            self.read_receipt()
            seconds = float(work["retry_after_seconds"])
            return 0.0 if self._rests else seconds if work.get("drawn") else _stretched(seconds)
        return 0.0

    def _after(self, error: Exception) -> float:
        """How long to wait after trouble: drawn below a bound that doubles each time."""
        self._trouble += 1
        print(f"{self._client_id}: {error}", flush=True)
        return random.uniform(self._trouble_seconds, min(LONGEST_SECONDS, self._trouble_seconds * 2.0**self._trouble))

    def _leave_alone(self, overloaded: Overloaded) -> float:
        """The server wants fewer requests: nothing for as long as it says, and then heartbeats, further apart."""
        print(f"{self._client_id}: {overloaded}", flush=True)
        self._is_quiet = True
        self._heartbeat_at = time.monotonic() + max(overloaded.seconds, self._interval * random.uniform(1.0, 2.0))
        return overloaded.seconds

    def _doubt(self) -> float:
        """A key that was refused is not given up at once."""
        self._doubts += 1
        print(f"{self._client_id}: the key was refused, time {self._doubts}", flush=True)
        return DOUBTS_SECONDS[self._doubts - 1]

    # ---- enrolment and heartbeat

    def enrol(self) -> None:
        """Get a key, once. The proof is on the disk before it is sent, and the key before it is used."""
        if "key" in self._identity:
            return
        if "proof" not in self._identity:
            self._keep("identity.json", {"proof": self.proof()})
        body = {
            "token": self._token,
            "client_id": self._client_id,
            "proof": self._identity["proof"],
            "device_type": "raw",
            "sdk_version": "raw-device 1",
        }
        enrolled = self._call("POST", "/v1/clients", body)
        self._keep("identity.json", {**self._identity, "key": enrolled["key"]})
        self._interval = float(enrolled["heartbeat_seconds"])
        self._is_quiet, self._heartbeat_at = False, 0.0

    def proof(self) -> str:
        """32 random bytes, base64url without padding."""
        return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")

    def heartbeat_if_due(self) -> None:
        """Say that it lives, as often as the server asked for."""
        if time.monotonic() < self._heartbeat_at:
            return
        said = self._call("POST", "/v1/heartbeat", {"model": self._model})
        self._interval = float(said["next_heartbeat_seconds"])
        self._heartbeat_at = time.monotonic() + (self._interval if said.get("drawn") else _stretched(self._interval))
        self._rests = self._rests and not said["work"]
        self._is_quiet = False

    # ---- work

    def check_in(self) -> JSON:
        """Ask for work."""
        body = {"encodings": ENCODINGS, "have": [path.stem for path in self._kept()], **self._rounds}
        return self._call("POST", f"/v1/models/{self._model}/checkin", body)

    def take_part(self, work: JSON) -> None:
        """Train, upload, report."""
        base = read_file(self.checkpoint(work["base"]))
        trained, metrics = self._learner.train(base, work["hyperparameters"])
        file, left = self.update(base, trained, work["encoding"])
        self.submit(work["round"], file, metrics)
        self._left = left

    def update(
        self, base: Mapping[str, Tensor], trained: Mapping[str, Tensor], encoding: str
    ) -> tuple[bytes, dict[str, list[float]]]:
        """The file that says what training changed, and what rounding has left out of it."""
        changes: dict[str, Tensor] = {}
        for name, tensor in base.items():
            if tensor.dtype == "BOOL":
                continue
            before = self._left.get(name) if tensor.is_float and encoding == "int8" else None
            more = before if before and len(before) == len(tensor.values) else [0] * len(tensor.values)
            values = [new - old + left for new, old, left in zip(trained[name].values, tensor.values, more, strict=True)]
            changes[name] = Tensor(tensor.dtype, tensor.shape, values)
        written = encoded(changes, encoding)
        file = write_file(written)
        left = {
            name: [wanted - got for wanted, got in zip(change.values, decoded(written, name), strict=True)]
            for name, change in changes.items()
            if change.is_float and encoding == "int8"
        }
        return file, left

    def submit(self, round_id: str, file: bytes, metrics: Mapping[str, float]) -> None:
        """Grant, PUT, report. A grant whose URL has expired is asked for again."""
        sha256 = hashlib.sha256(file).hexdigest()
        declared = {"bytes": len(file), "sha256": sha256, "examples": EXAMPLES}
        for attempt in range(3):
            grant = self._call("POST", f"/v1/rounds/{round_id}/upload", declared)
            try:
                self._web.exchange(grant["method"], grant["url"], grant["headers"], file, also=(412,))  # 412: it is there
                break
            except Unreachable as unreachable:
                if unreachable.status not in (400, 403) or attempt == 2:
                    raise
        self._call("POST", f"/v1/rounds/{round_id}/report", {"sha256": sha256, "metrics": dict(metrics)})
        self._rounds["reported"] = self._reported = round_id

    def read_receipt(self) -> None:
        """See, once in each wait until it is known, what became of the last update. Only a person can learn from it."""
        if self._reported is None:
            return
        receipt = self._call("GET", f"/v1/rounds/{self._reported}/report")
        if receipt["state"] not in ("assigned", "reported"):
            print(f"{self._client_id}: {receipt['round']} {receipt['state']} {receipt.get('reason') or ''}", flush=True)
            self._reported = None

    def judge(self, work: JSON) -> None:
        """Measure both versions on the same data. A measurement that was stored before stands.

        Raises:
            LookupError: it does not measure the metric that decides, so it has nothing to report.
        """
        decides = work.get("metric") or "accuracy"
        versions = [work["deployed"], work["candidate"]]
        models = [read_file(self.checkpoint(version)) for version in versions]
        for version, model in zip(versions, models, strict=True):
            metrics = self._learner.evaluate(model)
            if decides not in metrics:
                raise LookupError(f"expected to judge by one of {', '.join(metrics)}, was asked for {decides}")
            body = {"round": work["round"], "examples": HELD_OUT, "metrics": metrics}
            try:
                self._call("POST", f"/v1/models/{self._model}/versions/{version['version']}/metrics", body)
            except Refused as refused:
                if refused.word != "report-conflict":
                    raise
        self._rounds["judged"] = work["round"]

    # ---- checkpoints

    def checkpoint(self, wanted: JSON) -> bytes:
        """A checkpoint of the announced length and digest: from the disk, by a delta, or whole.

        Raises:
            Untrusted: it is another.
        """
        data = self._from_disk(wanted["sha256"])
        if data is not None:
            return data
        data = self._by_delta(wanted)
        if data is None:
            data = self._web.exchange("GET", wanted["url"], {}, limit=wanted["bytes"]).body
            if not self.is_as_announced(data, wanted):
                raise Untrusted(f"version {wanted['version']} is not what was announced")
        self._write(f"{wanted['sha256']}.safetensors", data)
        for path in self._kept()[KEPT:]:
            path.unlink()
        return data

    def is_as_announced(self, data: bytes, wanted: JSON) -> bool:
        """Whether length and digest are those of the assignment."""
        return bool(len(data) == wanted["bytes"] and hashlib.sha256(data).hexdigest() == wanted["sha256"])

    def _from_disk(self, sha256: str) -> bytes | None:
        path = self._folder / f"{sha256}.safetensors"
        if not path.exists():
            return None
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            path.unlink()  # damaged
            return None
        path.touch()
        return data

    def _by_delta(self, wanted: JSON) -> bytes | None:
        delta = wanted.get("delta")
        base = self._from_disk(delta["base_sha256"]) if delta else None
        if not delta or base is None:
            return None
        try:
            file = self._web.exchange("GET", delta["url"], {}, limit=delta["bytes"]).body
            if len(file) != delta["bytes"]:
                raise deltas.BadDelta("it is not as long as it should be")
            return deltas.apply(base, file, delta["base_sha256"], wanted["sha256"], wanted["bytes"])
        except (deltas.BadDelta, Unreachable) as error:
            print(f"{self._client_id}: version {wanted['version']} is read whole: {error}", flush=True)
            return None

    def _kept(self) -> list[Path]:
        """Checkpoints on the disk, the newest first."""
        return sorted(self._folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns, reverse=True)

    # ---- files, and the API

    def _read(self, name: str) -> JSON:
        path = self._folder / name
        found: JSON = json.loads(path.read_bytes()) if path.exists() else {}
        return found

    def _keep(self, name: str, value: JSON) -> None:
        self._write(name, json.dumps(value).encode())
        self._identity = value

    def _write(self, name: str, data: bytes) -> None:
        """A whole file or none, for the owner only, and durable."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f".{name}.new"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._folder / name)

    def _call(self, method: str, path: str, body: JSON | None = None) -> JSON:
        """One request to the API. Members of the reply that are not known here are left aside."""
        headers = {"Content-Type": "application/json"}
        if "key" in self._identity:
            headers["Authorization"] = f"Bearer {self._identity['key']}"
        content = None if body is None else json.dumps(body).encode()
        answer = self._web.exchange(method, self._url + path, headers, content)
        try:
            reply = json.loads(answer.body)
        except ValueError as error:
            raise Unreachable("an answer that is no JSON", answer.status) from error
        if not isinstance(reply, dict):
            raise Unreachable("an answer that is no object", answer.status)
        return reply


def _stretched(seconds: float) -> float:
    """Up to a quarter longer, so that a fleet does not come back all at once."""
    return seconds * random.uniform(1.0, 1.25)
