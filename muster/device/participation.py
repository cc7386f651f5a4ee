"""Taking part in rounds: what a device does with the place that a check-in gives it.

    check in ──▶ to train ──▶ base ──▶ trainer ──▶ difference ──▶ grant ──▶ PUT ──▶ report ──▶ receipt
             └─▶ to judge ──▶ candidate and deployed version ──▶ trainer ──▶ a report of each
             └─▶ either of them fails ──▶ the place is given up

An update that is trained waits in memory until it is delivered, or its round takes it no more. After a restart the device
checks in again, and the server gives it the same place.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import TypeAdapter

from muster import telemetry
from muster.device.contexts import Contexts
from muster.device.keys import Keys
from muster.device.results import begun, measured, trained
from muster.device.trainer import Trainer
from muster.device.transport import DeviceTransport
from muster.device.update import Feedback, Ready, changes, delta
from muster.device.versions import DeviceVersions
from muster.http.errors import Expired, Refused, Unreachable
from muster.wire import messages as wire
from muster.wire.encodings import ENCODINGS
from muster.wire.failures import FailureReason
from muster.wire.problems import Problem

log = logging.getLogger(__name__)

_ASSIGNMENT: TypeAdapter[wire.Assignment] = TypeAdapter(wire.Assignment)

DEAF_SECONDS = 86_400.0
"""How long a server that takes no reports of failures is not sent any."""

Ability = Literal["train", "evaluate"]
"""The kinds of work that a device may be given."""

StateReader = Callable[[], wire.DeviceState]
"""Says in what state the device is at this moment."""


class Participation:
    """One device in the rounds of one model."""

    def __init__(
        self,
        *,
        model: str,
        keys: Keys,
        transport: DeviceTransport,
        versions: DeviceVersions,
        feedback: Feedback,
        contexts: Contexts,
        clock: Callable[[], float],
        state: StateReader | None,
    ) -> None:
        self._model = model
        self._path = f"/v1/models/{model}"
        self._keys = keys
        self._transport = transport
        self._versions = versions
        self._feedback = feedback
        self._contexts = contexts
        self._clock = clock
        self._state = state
        self._reported: str | None = None
        """The last round in which an update was reported, or training given up."""
        self._judged: str | None = None
        """The last round whose candidate was judged, or judging given up."""
        self._ready: Ready | None = None
        self._heard: tuple[str, str] | None = None
        """The last round and the last state of which a receipt told."""
        self._deaf_until: float | None = None
        """Until then the server is not told of failures: it has no route for them."""

    def check_in(self, can: Sequence[Ability]) -> wire.Assignment:
        """Ask for work of these kinds."""
        request = wire.CheckIn(
            can=list(can),
            encodings=list(ENCODINGS),
            reported=self._reported,
            judged=self._judged,
            have=self._versions.held,
            state=self._state() if self._state else None,
        )
        with telemetry.span("check_in", model=self._model) as step:
            assignment = self._keys.call("POST", f"{self._path}/checkin", _ASSIGNMENT, request)
            step.note(work=assignment.kind, round=getattr(assignment, "round", None))
        self._contexts.heard(self._transport.said_date)
        return assignment

    # ---- to train

    def take_part(self, assignment: wire.TrainAssignment, trainer: Trainer) -> wire.ReceiptReply:
        """Train, unless an update for this very place waits for its delivery; and deliver it.

        Raises:
            Untrusted, UnfitResult, TrainerFailed: there is no update.
            Refused: the round takes no update from this device any more: it is forgotten.
            Unreachable: the update is kept.
        """
        ready = self._ready
        if ready is not None and ready.place != (assignment.round, assignment.base.sha256):
            ready = self._ready = None
        within = ready.trace if ready else None
        with telemetry.span("take_part", within=within, model=self._model, round=assignment.round) as step:
            if ready is None:
                ready = self._ready = self._trained(assignment, trainer, step)
            try:
                receipt = self.submit(assignment.round, ready.update, ready.examples, ready.metrics)
            except Refused as refused:
                if refused.is_final:
                    self._ready = None
                raise
        self._ready = None
        if ready.left is not None:
            self._feedback.keep(ready.left)
        return receipt

    def _trained(self, assignment: wire.TrainAssignment, trainer: Trainer, step: telemetry.Step) -> Ready:
        base = self._versions.arrays(assignment.base)
        began = self._clock()
        with telemetry.span("train", model=self._model, round=assignment.round, version=assignment.base.version) as training:
            begun(trainer, self._contexts.of_place(assignment))
            result = trained(trainer, base, assignment.hyperparameters)
            training.note(examples=result.examples)
        telemetry.trained(self._clock() - began, self._model)
        if assignment.encoding == "int8":
            update, left = self._feedback.encoded(changes(base, result), base)
        else:
            update, left = delta(base, result, assignment.encoding), None
        telemetry.count("rounds", model=self._model)
        return Ready(
            place=(assignment.round, assignment.base.sha256),
            update=update,
            examples=result.examples,
            metrics=result.metrics,
            left=left,
            trace=step.place,
        )

    def submit(self, round_id: str, update: bytes, examples: int, metrics: Mapping[str, float]) -> wire.ReceiptReply:
        """Upload an update and report it. A grant that expires on the way is asked for once more."""
        sha256 = hashlib.sha256(update).hexdigest()
        request = wire.UploadRequest(bytes=len(update), sha256=sha256, examples=examples)
        with telemetry.span("upload", model=self._model, round=round_id, bytes=len(update)):
            try:
                self._upload(round_id, request, update)
            except Expired:
                self._upload(round_id, request, update)
        telemetry.count("bytes", len(update), direction="up")
        report = wire.UpdateReport(sha256=sha256, metrics=dict(metrics))
        with telemetry.span("report", model=self._model, round=round_id) as step:
            receipt = self._keys.call("POST", f"/v1/rounds/{round_id}/report", wire.ReceiptReply, report)
            step.note(state=receipt.state)
        self._reported = round_id
        self._count(receipt)
        return receipt

    def _upload(self, round_id: str, request: wire.UploadRequest, update: bytes) -> None:
        grant = self._keys.call("POST", f"/v1/rounds/{round_id}/upload", wire.UploadGrant, request)
        self._transport.upload(grant, update)

    def receipt(self, round_id: str) -> wire.ReceiptReply:
        """Where this device's update stands, and why."""
        receipt = self._keys.call("GET", f"/v1/rounds/{round_id}/report", wire.ReceiptReply)
        self._count(receipt)
        return receipt

    def _count(self, receipt: wire.ReceiptReply) -> None:
        """Count what became of an update, once, however often it is asked for."""
        heard = (receipt.round, receipt.state)
        if heard != self._heard:
            self._heard = heard
            telemetry.count("updates", model=self._model, state=receipt.state, reason=receipt.reason)

    # ---- to judge

    def judge(self, assignment: wire.EvaluateAssignment, trainer: Trainer) -> None:
        """Measure the candidate and the deployed version, and report both.

        Both are downloaded before either is measured: that may take longer than a URL lives. A measurement that an earlier,
        interrupted attempt has reported stands.

        Raises:
            Untrusted, TrainerFailed: there is no measurement.
            Refused: the round takes none from this device any more.
            Unreachable: the server or the store did not answer.
        """
        with telemetry.span("judge", model=self._model, round=assignment.round, version=assignment.candidate.version):
            versions = [
                (checkpoint, self._versions.arrays(checkpoint)) for checkpoint in (assignment.deployed, assignment.candidate)
            ]
            begun(trainer, self._contexts.of_place(assignment))
            for checkpoint, arrays in versions:
                report = measured(trainer, arrays, assignment.round, assignment.metric)
                path = f"{self._path}/versions/{checkpoint.version}/metrics"
                try:
                    self._keys.call("POST", path, wire.EvaluationReply, report)
                except Refused as refused:
                    if refused.problem is not Problem.REPORT_CONFLICT:
                        raise
                    log.info("%s: an earlier measurement of version %d stands", self._client_id, checkpoint.version)
        self._judged = assignment.round

    # ---- to give up

    def give_up(self, round_id: str, work: Ability, reason: FailureReason, error: str | None) -> wire.FailureReply | None:
        """Give up a place, and say why; None when the server does not have the route, which is then left alone for a day.

        Raises:
            Refused: there is nothing to give up (any more), or something else was reported.
            Unreachable: the server did not answer.
        """
        if self._deaf_until is not None and self._clock() < self._deaf_until:
            return None
        report = wire.FailureReport(work=work, reason=reason, error=error)
        try:
            reply = self._keys.call("POST", f"/v1/rounds/{round_id}/failure", wire.FailureReply, report)
        except (Refused, Unreachable) as answer:
            if not _knows_no_route(answer):
                raise
            self._deaf_until = self._clock() + DEAF_SECONDS
            log.info("%s: this server takes no reports of failures: %s", self._client_id, answer)
            return None
        if work == "train":
            self._reported = round_id
        else:
            self._judged = round_id
        return reply

    @property
    def _client_id(self) -> str:
        return self._keys.identity.client_id


def _knows_no_route(answer: Refused | Unreachable) -> bool:
    """Whether a server, or the gateway before it, does not have the route that was asked for."""
    if isinstance(answer, Refused):
        return answer.problem is Problem.FORBIDDEN or (answer.problem is None and answer.document.status in (403, 404, 405))
    return answer.status in (403, 404, 405)
