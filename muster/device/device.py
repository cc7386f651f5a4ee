"""A device: it enrols once, then checks in, trains, uploads and reports, round after round.

    enrol ──▶ check in ──▶ train ──▶ grant ──▶ PUT ──▶ report ──▶ receipt
                 │  ▲                                                │
                 │  └──────────────── come back later ◀──────────────┘
                 └──▶ judge: candidate and deployed version on local data ──▶ metrics

    heartbeat ──▶ a rollout asks ──▶ measure the version that runs, have another one stand by ──▶ the next heartbeat tells

All it must remember is its identity. After a restart it checks in again, and the server gives it the same place. What it keeps
besides, checkpoints that it has downloaded, only saves it from downloading them again. What fails here is raised; what then
happens is for the loop to say (`muster.device.loop`). Here is what an app may call; how each is done is in a room of its own.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from muster import __version__
from muster.device import enrolment
from muster.device.answering import RolloutWork
from muster.device.checkpoints import CheckpointCache
from muster.device.contexts import Contexts
from muster.device.heartbeats import Heartbeats
from muster.device.identity import Identity
from muster.device.keys import Keys
from muster.device.loop import Loop
from muster.device.pace import Random, bounded
from muster.device.participation import Ability, Participation, StateReader
from muster.device.rollouts import RolloutAnswers
from muster.device.trainer import Trainer, TrainingContext
from muster.device.transport import DeviceTransport
from muster.device.trust import public_key
from muster.device.update import Feedback, feedback_file
from muster.device.variant import Variant
from muster.device.versions import DeviceVersions
from muster.http.transport import Transport
from muster.wire import messages as wire
from muster.wire.arrays import Array
from muster.wire.failures import FailureReason


class Device:
    """One device and one model. Not for several threads at once."""

    def __init__(
        self,
        *,
        transport: DeviceTransport,
        identity: Identity,
        model: str,
        folder: Path,
        can: Sequence[Ability] = ("train", "evaluate"),
        state: StateReader | None = None,
        clock: Callable[[], float] = time.monotonic,
        random: Random = random.random,
    ) -> None:
        """`clock` counts seconds from any beginning, and never goes back; `random` draws from 0 to 1."""
        self.clock = clock
        self.random = random
        self.rests = False
        """Whether the model does not train, as the server said last: then heartbeats are enough, and say when it does."""
        self.keys = Keys(identity, folder, transport)
        self._transport = transport
        self._model = model
        self._can = list(can)
        self._checkpoints = CheckpointCache(folder / f"{model}.checkpoints")
        self._versions = DeviceVersions(
            model=model, folder=folder, keys=self.keys, transport=transport, checkpoints=self._checkpoints
        )
        self._rollouts = RolloutAnswers(identity.client_id)
        now, draw = (lambda: self.clock()), (lambda: self.random())  # a simulation exchanges both later
        self._heartbeats = Heartbeats(
            model=model, keys=self.keys, versions=self._versions, rollouts=self._rollouts, clock=now, random=draw
        )
        self._contexts = Contexts(client_id=identity.client_id, folder=folder / f"{model}.training", clock=now)
        self._participation = Participation(
            keys=self.keys, transport=transport, versions=self._versions, feedback=Feedback(folder / feedback_file(model)),
            model=model, contexts=self._contexts, clock=now, state=state,
        )  # fmt: skip
        self._rollout_work = RolloutWork(self._rollouts, self._versions, self._contexts)

    @property
    def client_id(self) -> str:
        """The id under which it is enrolled."""
        return self._identity.client_id

    @property
    def signing_key(self) -> str | None:
        """The key that signs what this device may run, as it is pinned; None: the device believes its server."""
        return self._identity.signing_key

    @property
    def model_name(self) -> str:
        """The name of its model."""
        return self._model

    @property
    def variant(self) -> Variant | None:
        """The version that `model` gave last, also before this start; None when it never gave one. It asks nobody."""
        return self._versions.last.known

    @property
    def is_variant_fresh(self) -> bool:
        """Whether `variant` was given since this start."""
        return self._versions.last.is_fresh

    @property
    def newer_version(self) -> int | None:
        """The version that this device should run, as the server said last; None as long as it has not, since this start."""
        return self._versions.given

    @property
    def _identity(self) -> Identity:
        return self.keys.identity

    @property
    def seconds_to_heartbeat(self) -> float:
        """How long it is until the next heartbeat is due."""
        return self._heartbeats.seconds_left

    @property
    def heartbeat_seconds(self) -> float:
        """How long it is between two heartbeats, as the server said last."""
        return self._heartbeats.interval_seconds

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
        state: StateReader | None = None,
        http: httpx.Client | None = None,
        insecure_http: bool = False,
        signing_key: str | None = None,
    ) -> Device:
        """A device with a key: the stored one, or, the first time, one that the enrolment token obtains.

        `can` is the work that the device offers to do. `state` is asked at each check-in in what state the device is
        (`DeviceState`); what it raises is raised by `check_in`, and nothing is asked of the server. `state_dir` keeps the
        identity, and the last checkpoints, between starts. A lost reply, or a crash, costs nothing: the same enrolment has the
        same answer. A key that the disk does not take is used all the same, and written as soon as it does.

        The key that the server shows when the device enrols, if it shows one, is pinned: from then on the device runs only
        what was signed with it. With `signing_key` (a SubjectPublicKeyInfo of P-256 in DER, base64) it must be that one; a
        device that was enrolled before, and has pinned none, pins it now.

        Raises:
            ForeignKey: the server shows another key than `signing_key`, or another one is pinned; `pin` replaces it.
            Refused: `enrolment-refused`, `client-exists` or `fleet-full`.
            Unreachable: the server did not answer. Call again: it goes on where it was.
            OSError: the disk has no room for the identity; nothing was sent.
            Insecure: `url` is `http://` to another machine than this one. `insecure_http` allows that, and the like for the
                URLs of tensor files: keys and updates then travel in the clear.
            ValueError: `state_dir` holds the identity of another device or of another server; `signing_key` is no such key.
        """
        if signing_key is not None:
            public_key(signing_key)
        patient = Transport(url, http=http, insecure_http=insecure_http)  # for the enrolment: somebody waits for it
        transport = DeviceTransport(url, http=patient.http, insecure_http=insecure_http)
        folder = Path(state_dir)
        identity = enrolment.identity_of(folder, url=url, client_id=client_id, model=model)
        enrolled = None
        if identity.key is None:
            enrolled = enrolment.ask(
                patient, identity, token=token, device_type=device_type, capabilities=capabilities, signing_key=signing_key
            )
        device = cls(transport=transport, identity=identity, model=model, folder=folder, can=can, state=state)
        if enrolled is None:
            device.keys.insist(signing_key)
            device.keys.go_on_rotating()
        else:
            device._heartbeats.come_every(enrolled.heartbeat_seconds)
            device.keys.learn(enrolled.key, enrolled.signing_key)
        return device

    @staticmethod
    def move(state_dir: str | Path, url: str) -> None:
        """Say that the server of this folder's device is at `url` now, as after a restore into a new stack: the key stays.

        It takes effect at the next `enrol` with this URL. Only the device's owner can know; no server may redirect it.

        Raises:
            ValueError: `state_dir` holds no identity.
        """
        enrolment.move(Path(state_dir), url)

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    # ---- the loop

    def run(self, trainer: Trainer, stop: threading.Event | None = None) -> None:
        """Take part until `stop` is set (for ever without one). Whatever fails, whatever a trainer returns or throws, is logged
        and tried again later, less and less often (docs/device.md). Waits end when `stop` is set.

        Raises:
            Refused: `unauthenticated`: the key was refused again and again, over hours, and nothing but a new enrolment helps.
        """
        stop = stop or threading.Event()
        self._transport.stop = stop
        try:
            loop = Loop(self, trainer)
            while not stop.is_set():
                stop.wait(loop.turn())
        finally:
            self._transport.stop = threading.Event()

    def step(self, trainer: Trainer) -> float:
        """Do one thing: a heartbeat if it is due, then what the server has to do; and return the seconds to wait.
        Between the two it gets ready what a rollout asks in the heartbeat's answer.

        While the model rests, heartbeats are all. What fails is raised: `run` is what goes on.
        """
        if self.heartbeat_if_due() is not None:
            self.answer_rollout(trainer)
        if self.rests:
            return self.seconds_to_heartbeat
        assignment = self.check_in()
        if isinstance(assignment, wire.Wait):
            return bounded(assignment.retry_after_seconds)
        self.work(assignment, trainer)
        return 0.0

    def work(self, assignment: wire.TrainAssignment | wire.EvaluateAssignment, trainer: Trainer) -> None:
        """Do what a place in a round asks for."""
        if isinstance(assignment, wire.TrainAssignment):
            self.take_part(assignment, trainer)
        else:
            self.judge(assignment, trainer)

    # ---- its own

    def rotate_key(self) -> None:
        """Put a fresh key in the place of the present one. A lost reply, or a crash, costs nothing: the rotation goes on at
        the next call, when the old key is refused, in the loop, or at the next start.

        Raises:
            Refused: `unauthenticated`: the present key is not valid.
            Unreachable: the server did not answer.
            OSError: the disk has no room for what a rotation must remember; it has not begun.
        """
        self.keys.rotate()

    def pin(self, signing_key: str) -> None:
        """Run only what was signed with this key from now on, whatever key was pinned before. Only the device's owner can know
        which one it is; no server may exchange it.

        Raises:
            ValueError: it is no public key of P-256 (a SubjectPublicKeyInfo in DER, base64).
            OSError: the disk does not take it; nothing was pinned.
        """
        self.keys.pin(signing_key)

    def describe(self, capabilities: Mapping[str, bool | int | float | str]) -> wire.Profile:
        """Tell the server this SDK's version and what the device can do now, in the place of what it was told before."""
        profile = wire.ProfileUpdate(sdk_version=__version__, capabilities=dict(capabilities))
        return self.keys.call("PUT", "/v1/clients/me", wire.Profile, profile)

    # ---- one request each

    def heartbeat_if_due(self) -> wire.HeartbeatReply | None:
        """Say that the device lives, as often as the server asked for, whether or not the last time was answered. A server
        that is overloaded is left alone for one to two of these intervals. What a rollout asked for in an earlier answer goes
        along, once it is known.
        """
        reply = self._heartbeats.beat_if_due()
        if reply is not None:
            self.rests = self.rests and not reply.work
        return reply

    def beat_after(self, seconds: float) -> None:
        """Let the next heartbeat be due then."""
        self._heartbeats.come_after(seconds)

    def postpone_heartbeat(self) -> None:
        """Let the next heartbeat be due an interval from now at the earliest."""
        self._heartbeats.postpone()

    def check_in(self) -> wire.Assignment:
        """Ask for work."""
        assignment = self._participation.check_in(self._can)
        self.rests = isinstance(assignment, wire.Wait) and assignment.reason == "no-training"
        return assignment

    def take_part(self, assignment: wire.TrainAssignment, trainer: Trainer) -> wire.ReceiptReply:
        """Train from the round's base, and upload and report the difference. An update that was trained for this place and
        could not be delivered is delivered; it is not trained again.

        Raises:
            Untrusted: the base is not what was announced.
            UnfitResult: the trained model has another schema, or numbers that are not finite.
            TrainerFailed: the trainer threw, or returned what cannot be sent.
            Refused: the round takes no update from this device any more.
            Unreachable: the server or the store did not answer; the update is kept.
        """
        return self._participation.take_part(assignment, trainer)

    def context(self, assignment: wire.TrainAssignment | wire.EvaluateAssignment) -> TrainingContext:
        """What a trainer may know of a place. A server of before gives no seed, and a judge none at all: then it is drawn from
        the names of the round and of this device.
        """
        return self._contexts.of_place(assignment)

    def submit(self, round_id: str, update: bytes, examples: int, metrics: Mapping[str, float]) -> wire.ReceiptReply:
        """Upload an update (a tensor file) and report it. A grant that expires on the way is asked for once more."""
        return self._participation.submit(round_id, update, examples, metrics)

    def receipt(self, round_id: str) -> wire.ReceiptReply:
        """Where this device's update stands, and why."""
        return self._participation.receipt(round_id)

    def judge(self, assignment: wire.EvaluateAssignment, trainer: Trainer) -> None:
        """Measure the candidate and the deployed version on local data, and report both.

        Both are downloaded before either is measured: that may take longer than a URL lives. A measurement that an earlier,
        interrupted attempt has reported stands: a trainer need not measure the same twice.

        Raises:
            Untrusted: a version is not what was announced.
            TrainerFailed: the trainer threw, or did not measure the metric that decides (an accuracy from 0 to 1, unless the
                assignment names another) on at least one example.
            Refused: the round takes no measurement from this device any more.
            Unreachable: the server or the store did not answer.
        """
        self._participation.judge(assignment, trainer)

    def give_up(
        self, round_id: str, work: Ability, reason: FailureReason, error: str | None = None
    ) -> wire.FailureReply | None:
        """Give up the place in a round, and say why; `error` is the name of an exception's class. The loop does so by itself.

        None when the server does not have the route: one of an earlier release is left alone with it for a day.

        Raises:
            Refused: there is nothing to give up (any more), or something else was reported.
            Unreachable: the server did not answer.
        """
        return self._participation.give_up(round_id, work, reason, error)

    def model(self) -> tuple[int, Mapping[str, Array]]:
        """The version that this device should run, and runs from now on: its number, and its arrays.

        Raises:
            Undeployed: a key is pinned, and whoever holds it does not let this device run what the server gives. What ran
                before may go on running.
            Untrusted: the bytes are not what was announced.
            Refused: the server does not give a version.
            Unreachable: the server or the store did not answer.
        """
        return self._versions.current()

    # ---- rollouts

    def report(self, metrics: Mapping[str, float], *, version: int | None = None) -> None:
        """Say what was measured of the version that runs here: numbers by name, such as `{"latency_ms": 12.5}`. The last number
        of a name is the one that is told; those of another version than `version` are forgotten. Nothing is sent now: if a
        rollout asks for these names, a heartbeat tells them.

        `version` is the number that `model` gave with what was measured; when it is not given, the one that it gave last. Give
        it where another thread, or the loop, may have called `model` since. This method may be called from any thread.

        Raises:
            ValueError: a name that is none of a metric (`[a-z][a-z0-9_]{0,39}`), more than 16 of them, no number, an accuracy
                that is not from 0 to 1; or no version runs. NaN and infinities are taken: they are the worst there is.
        """
        of = self._versions.running if version is None else version
        if of is None:
            raise ValueError("report: expected a version that runs (`model` gives one), got none")
        self._rollouts.say(metrics, of)

    def answer_rollout(self, trainer: Trainer) -> None:
        """Get ready what a rollout asked for in the last answer to a heartbeat: let the trainer measure the version
        that the device should run, unless the app has said all that is asked for; and have the version that is to stand by on
        the disk. The next heartbeat tells it. The loop does so by itself.

        What fails of this work is logged; it is done again after the next heartbeat, at most three times for a rollout.

        Raises:
            Refused: the server does not give a version.
            Unreachable: the server or the store did not answer.
        """
        self._rollout_work.do(trainer, measures="evaluate" in self._can)
