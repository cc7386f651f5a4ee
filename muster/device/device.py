"""A device: it enrols once, then checks in, trains, uploads and reports, round after round.

    enrol ──▶ check in ──▶ train ──▶ grant ──▶ PUT ──▶ report ──▶ receipt
                 │  ▲                                                │
                 │  └──────────────── come back later ◀──────────────┘
                 └──▶ judge: candidate and deployed version on local data ──▶ metrics

All it must remember is its identity. After a restart it checks in again, and the server gives it the same place. What it keeps
besides, checkpoints that it has downloaded, only saves it from downloading them again.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import httpx
from pydantic import TypeAdapter

from muster import __version__
from muster.device.checkpoints import Checkpoints
from muster.device.errors import DeviceError, Expired, Refused, Untrusted
from muster.device.identity import Identity, fresh_proof
from muster.device.trainer import Trainer
from muster.device.transport import Reply, Transport
from muster.device.update import Feedback, changes, delta
from muster.wire import messages as wire
from muster.wire.arrays import Array, decode
from muster.wire.encodings import ENCODINGS
from muster.wire.problems import Problem
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit

log = logging.getLogger(__name__)

_ASSIGNMENT: TypeAdapter[wire.Assignment] = TypeAdapter(wire.Assignment)

Ability = Literal["train", "evaluate"]
"""The kinds of work that a device may be given."""

JITTER = 0.25
"""Every wait is stretched by up to this fraction, so that a fleet does not come back all at once."""


class Device:
    """One device and one model. Not for several threads at once."""

    def __init__(
        self,
        transport: Transport,
        identity: Identity,
        model: str,
        folder: Path,
        *,
        can: Sequence[Ability] = ("train", "evaluate"),
    ) -> None:
        self._transport = transport
        self._transport.patient = False
        self._identity = identity
        self._model = model
        self._folder = folder
        self._can = list(can)
        self._next_heartbeat = 0.0
        self._rests = False
        """Whether the model does not train, as the server said last: then heartbeats are enough, and say when it does."""
        self._running: int | None = None
        self._reported: str | None = None
        self._judged: str | None = None
        self._served: tuple[str, wire.ModelReply] | None = None
        self._checkpoints = Checkpoints(folder / f"{model}.checkpoints")

    @property
    def client_id(self) -> str:
        """The id under which it is enrolled."""
        return self._identity.client_id

    @classmethod
    def enrol(
        cls,
        url: str,
        token: str,
        client_id: str,
        *,
        model: str,
        state_dir: str | Path,
        device_type: str = "edge",
        capabilities: Mapping[str, bool | int | float | str] | None = None,
        can: Sequence[Ability] = ("train", "evaluate"),
        http: httpx.Client | None = None,
        insecure_http: bool = False,
    ) -> Device:
        """A device with a key: the stored one, or, the first time, one that the enrolment token obtains.

        `can` is the work that the device offers to do. `state_dir` keeps the identity, and the last checkpoints,
        between starts. A lost reply, or a
        crash, costs nothing: the same enrolment has the same answer.

        Raises:
            Refused: `enrolment-refused`, `client-exists` or `fleet-full`.
            Unreachable: the server did not answer.
            Insecure: `url` is `http://` to another machine than this one. `insecure_http` allows that, and the like for the
                URLs of tensor files: keys and updates then travel in the clear.
            ValueError: `state_dir` holds the identity of another device or of another server.
        """
        transport = Transport(url, http=http, insecure_http=insecure_http)
        folder = Path(state_dir)
        identity = Identity.load(folder) or Identity.fresh(url, client_id)
        if (identity.url, identity.client_id) != (url, client_id):
            raise ValueError(
                f"{folder} belongs to {identity.client_id} at {identity.url}, not to {client_id} at {url} (Device.move says "
                "that the server has moved)"
            )
        if identity.key is None:
            identity.save(folder)
            enrolment = wire.Enrolment(
                token=token,
                client_id=client_id,
                proof=identity.proof,
                device_type=device_type,
                sdk_version=__version__,
                capabilities=dict(capabilities or {}),
            )
            enrolled = transport.call("POST", "/v1/clients", wire.Enrolled, enrolment)
            identity = identity.model_copy(update={"key": enrolled.key})
            identity.save(folder)
        device = cls(transport, identity, model, folder, can=can)
        if identity.next_proof is not None:
            device.rotate_key()
        return device

    @staticmethod
    def move(state_dir: str | Path, url: str) -> None:
        """Say that the server of this folder's device is at `url` now, as after a restore into a new stack: the key stays.

        It takes effect at the next `enrol` with this URL. Only the device's owner can know; no server may redirect it.

        Raises:
            ValueError: `state_dir` holds no identity.
        """
        identity = Identity.load(Path(state_dir))
        if identity is None:
            raise ValueError(f"{state_dir} holds no identity")
        identity.model_copy(update={"url": url}).save(Path(state_dir))

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    # ---- the loop

    def run(self, trainer: Trainer, stop: threading.Event | None = None) -> None:
        """Take part until `stop` is set (for ever without one). What fails is logged and tried again later.

        Raises:
            Refused: `unauthenticated`: the key is no longer valid, and nothing but a new enrolment would help.
        """
        stop = stop or threading.Event()
        while not stop.is_set():
            try:
                seconds = self.step(trainer)
            except Refused as refused:
                if refused.problem is Problem.UNAUTHENTICATED:
                    raise
                log.warning("%s: %s", self.client_id, refused)
                seconds = 1.0
            except DeviceError as error:
                log.warning("%s: %s", self.client_id, error)
                seconds = 5.0
            if seconds:
                stop.wait(_stretched(seconds))

    def step(self, trainer: Trainer) -> float:
        """Do one thing: a heartbeat if it is due, then what the server has to do; and return the seconds to wait.

        While the model rests, heartbeats are all.
        """
        self.heartbeat_if_due()
        if self._rests:
            return max(0.0, self._next_heartbeat - time.monotonic())
        assignment = self.check_in()
        if isinstance(assignment, wire.TrainAssignment):
            self.take_part(assignment, trainer)
            return 0.0
        if isinstance(assignment, wire.EvaluateAssignment):
            self.judge(assignment, trainer)
            return 0.0
        return assignment.retry_after_seconds

    # ---- its own

    def rotate_key(self) -> None:
        """Put a fresh key in the place of the present one. A lost reply, or a crash, costs nothing: the rotation goes on at
        the next try, or at the next start.

        Raises:
            Refused: `unauthenticated`: the present key is not valid.
            Unreachable: the server did not answer.
        """
        proof = self._identity.next_proof or fresh_proof()
        self._keep(self._identity.model_copy(update={"next_proof": proof}))
        reply = self._call("POST", "/v1/clients/me/key", wire.Enrolled, wire.KeyRotation(proof=proof))
        self._keep(self._identity.model_copy(update={"key": reply.key, "next_proof": None}))

    def describe(self, capabilities: Mapping[str, bool | int | float | str]) -> wire.Profile:
        """Tell the server this SDK's version and what the device can do now, in the place of what it was told before."""
        profile = wire.ProfileUpdate(sdk_version=__version__, capabilities=dict(capabilities))
        return self._call("PUT", "/v1/clients/me", wire.Profile, profile)

    def _keep(self, identity: Identity) -> None:
        identity.save(self._folder)
        self._identity = identity

    # ---- one request each

    def heartbeat_if_due(self) -> wire.HeartbeatReply | None:
        """Say that the device lives, as often as the server asked for."""
        now = time.monotonic()
        if now < self._next_heartbeat:
            return None
        beat = wire.Heartbeat(model=self._model, version=self._running)
        reply = self._call("POST", "/v1/heartbeat", wire.HeartbeatReply, beat)
        self._next_heartbeat = now + _stretched(reply.next_heartbeat_seconds)
        self._rests = self._rests and not reply.work
        return reply

    def check_in(self) -> wire.Assignment:
        """Ask for work."""
        request = wire.CheckIn(
            can=self._can,
            encodings=list(ENCODINGS),
            reported=self._reported,
            judged=self._judged,
            have=self._checkpoints.held,
        )
        assignment = self._call("POST", f"/v1/models/{self._model}/checkin", _ASSIGNMENT, request)
        self._rests = isinstance(assignment, wire.Wait) and assignment.reason == "no-training"
        return assignment

    def take_part(self, assignment: wire.TrainAssignment, trainer: Trainer) -> wire.ReceiptReply:
        """Train from the round's base, and upload and report the difference.

        Raises:
            Untrusted: the base is not what was announced, or the trained model is unfit (another schema, or not finite).
            Refused: the round takes no update from this device any more.
        """
        base = self._arrays(assignment.base)
        result = trainer.train(base, assignment.hyperparameters)
        if assignment.encoding != "int8":
            return self.submit(assignment.round, delta(base, result, assignment.encoding), result.examples, result.metrics)
        feedback = Feedback(self._folder / f"{self._model}.feedback.safetensors")
        update, left = feedback.encoded(changes(base, result), base)
        receipt = self.submit(assignment.round, update, result.examples, result.metrics)
        feedback.keep(left)
        return receipt

    def submit(self, round_id: str, update: bytes, examples: int, metrics: Mapping[str, float]) -> wire.ReceiptReply:
        """Upload an update (a tensor file) and report it. A grant that expires on the way is asked for once more."""
        sha256 = hashlib.sha256(update).hexdigest()
        request = wire.UploadRequest(bytes=len(update), sha256=sha256, examples=examples)
        try:
            self._upload(round_id, request, update)
        except Expired:
            self._upload(round_id, request, update)
        report = wire.UpdateReport(sha256=sha256, metrics=dict(metrics))
        receipt = self._call("POST", f"/v1/rounds/{round_id}/report", wire.ReceiptReply, report)
        self._reported = round_id
        return receipt

    def _upload(self, round_id: str, request: wire.UploadRequest, update: bytes) -> None:
        grant = self._call("POST", f"/v1/rounds/{round_id}/upload", wire.UploadGrant, request)
        self._transport.upload(grant, update)

    def receipt(self, round_id: str) -> wire.ReceiptReply:
        """Where this device's update stands, and why."""
        return self._call("GET", f"/v1/rounds/{round_id}/report", wire.ReceiptReply)

    def judge(self, assignment: wire.EvaluateAssignment, trainer: Trainer) -> None:
        """Measure the candidate and the deployed version on local data, and report both.

        Both are downloaded before either is measured: that may take longer than a URL lives. A measurement that an earlier,
        interrupted attempt has reported stands: a trainer need not measure the same twice.
        """
        versions = [(checkpoint, self._arrays(checkpoint)) for checkpoint in (assignment.deployed, assignment.candidate)]
        for checkpoint, arrays in versions:
            measured = trainer.evaluate(arrays)
            report = wire.EvaluationReport(round=assignment.round, examples=measured.examples, metrics=dict(measured.metrics))
            path = f"/v1/models/{self._model}/versions/{checkpoint.version}/metrics"
            try:
                self._call("POST", path, wire.EvaluationReply, report)
            except Refused as refused:
                if refused.problem is not Problem.REPORT_CONFLICT:
                    raise
                log.info("%s: an earlier measurement of version %d stands", self.client_id, checkpoint.version)
        self._judged = assignment.round

    def model(self) -> tuple[int, Mapping[str, Array]]:
        """The version that this device should run: its number, and its arrays."""
        if self._served and self._checkpoints.find(self._served[1].checkpoint.sha256) is None:
            self._served = None  # where to read it is asked for again, whether or not it is another one
        have = ",".join(self._checkpoints.held)
        path = f"/v1/models/{self._model}" + (f"?have={have}" if have else "")
        self._served = self._transport.call_again(path, wire.ModelReply, self._served, self._authorization)
        checkpoint = self._served[1].checkpoint
        self._running = checkpoint.version
        return checkpoint.version, self._arrays(checkpoint)

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._identity.key}"}

    def _call(self, method: str, path: str, reply: type[Reply] | TypeAdapter[Reply], body: wire.Request | None = None) -> Reply:
        return self._transport.call(method, path, reply, body, self._authorization)

    def _arrays(self, checkpoint: wire.Checkpoint) -> dict[str, Array]:
        """A version's arrays; downloaded once, then kept for a while."""
        data = self._checkpoints.get(checkpoint, self._transport)
        try:
            return decode(data, HEADER_LIMIT_BYTES)
        except Unfit as unfit:
            raise Untrusted(f"version {checkpoint.version}: {unfit}") from unfit


def _stretched(seconds: float) -> float:
    return seconds * (1.0 + JITTER * random.random())  # noqa: S311 (spreading load, not secrets)
