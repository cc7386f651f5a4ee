"""The loop of a device, and what it does in trouble. Nothing but a key that is refused for hours ends it.

    heartbeat, if it is due ──▶ check in ──▶ train or judge ──▶ check in again
          │ a rollout asks:        │               │
          │ measure, stand by      │               │
          └────────── failed ──────┴───────────────┘──▶ logged; then a wait that is longer each time

| trouble | the first wait | what ends it |
|---|---|---|
| the network: no answer, 5xx, of work at hand | 5 s | an answer without work, or work that is done |
| overload (429, 503) of work at hand | 60 s | the same |
| a refusal | 5 s | the same |
| training: the trainer, its result, the base | 30 s | an update that is delivered |
| judging: the trainer, its result, the versions | 30 s | a candidate that is judged |
| the disk: an identity that it does not take | 60 s | a disk that takes it |
| anything else: an error of this SDK | 30 s | an answer without work, or work that is done |

Each wait is drawn between the first one and a bound that doubles, up to 15 minutes. Four cases have a clock of their own:

* **Overload** (429, 503) of a check-in or a heartbeat: only heartbeats go out, until one is answered. The next one comes after
  a wait that is drawn between half and one and a half of the interval at which the device came last, of 15 minutes at the
  least, or that of its heartbeats, if it is shorter. So an overloaded fleet asks no more often than when all is well, and comes
  back spread. A `Retry-After` is obeyed, up to an hour, before anything else is sent.
* **No answer, 5xx** to a check-in of a device that was told to wait: the first time it comes again as it would have anyway;
  from then on as after an overload.
* **A refused key** (401): asked again after a minute, ten minutes, an hour and six hours; then it is believed.
* **A place in a round** whose work has failed three times, or once for a reason that does not pass, or was refused, is left
  alone until there is another one. Failures of the network and overload do not count: an update that is trained waits in
  memory.

A place that is left alone because its work failed is given up: the server is told why, at once, and then twice more before
check-ins if it does not answer. After that, or whatever it answers, the matter is over: the place lapses by itself.

What a rollout asks is got ready right after the heartbeat that heard it, and told by the next one. Work for it that fails is
done again after the next heartbeat, at most three times a rollout, and then left alone; its waits are those of heartbeats.

Heartbeats go on at their own interval in all other trouble. `turn` takes no time but what its requests and the trainer take,
and the clock and the dice are the device's: a simulation can drive it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

from muster.device.errors import DeviceError, TrainerFailed
from muster.device.failures import LASTING, name_of, reason_of
from muster.device.pace import BackOff, bounded, returning, spread, stretched
from muster.http.errors import Overloaded, Refused, Unreachable
from muster.wire import messages as wire
from muster.wire.failures import FailureReason
from muster.wire.problems import Problem

if TYPE_CHECKING:
    from muster.device.device import Device
    from muster.device.trainer import Trainer

log = logging.getLogger(__name__)

TRIES = 3
"""How often a device does the work of one place, whether it fails or is asked for once more."""

TOLD_TRIES = 3
"""How often the server is told that a place is given up, until it answers."""

LEFT_ALONE_SECONDS = 60.0
"""The shortest wait while a place is left alone: another round may begin."""

DOUBTS_SECONDS = (60.0, 600.0, 3600.0, 21_600.0)
"""Waits before a refused key is tried again: five tries within 7.2 to 9 hours."""

LONGEST_RETRY_AFTER_SECONDS = 3600.0

ROTATION_SECONDS = 900.0
"""How often a rotation of the key that did not end is tried again, unless the old key is refused."""


class TroubleKind(Enum):
    """A kind of trouble; its value is the first wait in seconds and its name in the log."""

    NETWORK = (5.0, "the network")
    OVERLOADED = (60.0, "overload")
    REFUSED = (5.0, "a refusal")
    TRAINING = (30.0, "training")
    JUDGING = (30.0, "judging")
    DISK = (60.0, "the disk")
    OTHER = (30.0, "an error")


GENERAL = (TroubleKind.NETWORK, TroubleKind.OVERLOADED, TroubleKind.REFUSED, TroubleKind.OTHER)
"""Ended by an answer without work, as by work that is done."""


UNDELIVERABLE = (Problem.WRONG_LENGTH, Problem.INVALID_BODY, Problem.BODY_TOO_LARGE, Problem.TOO_MANY_GRANTS)
"""Refusals of work that is done and cannot be taken: its place is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _GivenUp:
    """A place that is left alone because its work failed, and why."""

    round: str
    work: Literal["train", "evaluate"]
    reason: FailureReason
    error: str | None
    """The name of the exception's class."""


class Loop:
    """Drives one device and its trainer, turn by turn."""

    def __init__(self, device: Device, trainer: Trainer) -> None:
        self._device = device
        self._trainer = trainer
        self._back_offs = {kind: BackOff(kind.value[0]) for kind in TroubleKind}
        self._ask_at = self._silent_until = self._rotate_at = self._save_at = device.clock()
        self._only_heartbeats = False
        """Whether the server is overloaded, as far as is known."""
        self._told: float | None = None
        """How long the server asked it last to wait between check-ins; None before that."""
        self._doubts = 0
        """How often in a row the key was refused."""
        self._at_work: TroubleKind | None = None
        self._tries = {TroubleKind.TRAINING: ("", 0), TroubleKind.JUDGING: ("", 0)}
        """The last place to train and to judge, and how often its work was done."""
        self._untold: _GivenUp | None = None
        """What the server is still to be told."""
        self._told_tries = 0

    def turn(self) -> float:
        """Do what is due, and return the seconds until something is due again.

        Raises:
            Refused: the key was refused for hours.
        """
        if self._device.clock() >= self._silent_until:
            self._at_work = None
            try:
                self._do_what_is_due()
            except Refused as refused:
                self._refused(refused)
            except Overloaded as overloaded:
                self._overloaded(overloaded)
            except Exception as error:  # noqa: BLE001 (it is logged, and nothing may end the loop)
                self._failed(error)
        return self._seconds_left()

    def _do_what_is_due(self) -> None:
        device = self._device
        now = device.clock()
        self._save(now)
        if not device.seconds_to_heartbeat:
            device.heartbeat_if_due()
            self._doubts, self._only_heartbeats = 0, False
            device.answer_rollout(self._trainer)
        if self._only_heartbeats:
            return
        if self._untold is not None and (not self._told_tries or now >= self._ask_at):
            self._tell(self._untold)
        if device.rests or now < self._ask_at:
            return
        if device.keys.is_rotating and now >= self._rotate_at:
            self._rotate_at = now + ROTATION_SECONDS
            device.rotate_key()
        assignment = device.check_in()
        self._doubts = 0
        if not isinstance(assignment, wire.Wait):
            self._work(assignment)
            return
        self._succeeded(*GENERAL)
        if not assignment.heartbeat:
            device.postpone_heartbeat()
        # A device whose model rests is told by a heartbeat that there is work; then it may ask at once.
        seconds = self._told = bounded(assignment.retry_after_seconds)
        if not assignment.drawn:
            seconds = stretched(seconds, device.random)
        self._ask_at = device.clock() + (0.0 if device.rests else seconds)

    def _work(self, assignment: wire.TrainAssignment | wire.EvaluateAssignment) -> None:
        """Do the work of a place, unless it was tried often enough."""
        device = self._device
        if isinstance(assignment, wire.TrainAssignment):
            kind, place = TroubleKind.TRAINING, f"{assignment.round} from {assignment.base.sha256}"
        else:
            kind, place = TroubleKind.JUDGING, f"{assignment.round} of {assignment.candidate.sha256}"
        if self._tries[kind][0] != place:
            self._tries[kind] = (place, 0)
        if self._tries[kind][1] >= TRIES:
            seconds = max(LEFT_ALONE_SECONDS, self._back_offs[kind].seconds(device.random))
            self._ask_at = device.clock() + stretched(seconds, device.random)
            return
        self._at_work = kind
        device.work(assignment, self._trainer)
        self._count_try()
        self._succeeded(kind, *GENERAL)
        self._ask_at = device.clock()

    def _count_try(self, tries: int = 1) -> None:
        if self._at_work:
            place, before = self._tries[self._at_work]
            self._tries[self._at_work] = (place, before + tries)

    def _tell(self, given_up: _GivenUp) -> None:
        """Tell the server that a place is given up. What it answers is no trouble; no answer is, a few times."""
        self._told_tries += 1
        if self._told_tries >= TOLD_TRIES:
            self._untold = None
        try:
            self._device.give_up(given_up.round, given_up.work, given_up.reason, given_up.error)
        except Refused as refused:
            if refused.unauthenticated:
                raise
            log.info("%s: gave up a place in round %s in vain: %s", self._device.client_id, given_up.round, refused)
        self._untold = None

    # ---- trouble

    def _refused(self, refused: Refused) -> None:
        self._count_try(TRIES if refused.is_final else 1)
        if refused.problem in UNDELIVERABLE:
            self._give_up(FailureReason.BAD_RESULT, None)
        if refused.unauthenticated:
            self._doubt(refused)
        else:
            self._back_off(TroubleKind.REFUSED, refused)

    def _doubt(self, refused: Refused) -> None:
        """A key that is refused may be good all the same: a server, or its store, may be wrong for a while."""
        device = self._device
        if self._doubts == len(DOUBTS_SECONDS):
            log.error(
                "%s: gives up: its key was refused %d times in more than %.0f hours, so it is wrong or revoked. What helps: "
                "enrol this device again, with a fresh token, another client id and an empty state_dir (%s)",
                device.client_id, self._doubts + 1, sum(DOUBTS_SECONDS) / 3600, refused,
            )  # fmt: skip
            raise refused
        seconds = stretched(DOUBTS_SECONDS[self._doubts], device.random)
        self._doubts += 1
        self._silent_until = device.clock() + seconds
        device.beat_after(seconds)
        log.warning(
            "%s: its key was refused (time %d of %d before it gives up); it is tried again in %.0f s: %s",
            device.client_id, self._doubts, len(DOUBTS_SECONDS) + 1, seconds, refused,
        )  # fmt: skip

    def _overloaded(self, overloaded: Overloaded) -> None:
        device = self._device
        if overloaded.retry_after_seconds is not None:
            seconds = min(overloaded.retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS)
            self._silent_until = device.clock() + stretched(seconds, device.random)
        self._only_heartbeats = self._at_work is None
        if self._only_heartbeats and not device.rests:
            device.beat_after(returning(self._told or 0.0, device.heartbeat_seconds, device.random))
        self._back_off(TroubleKind.OVERLOADED, overloaded)

    def _failed(self, error: Exception) -> None:
        """Anything but a refusal or an overload: of the network, of the work, of the disk, or an error of this SDK."""
        if isinstance(error, Unreachable):
            self._back_off(TroubleKind.NETWORK, error)
        elif self._at_work:
            reason = error.reason if isinstance(error, TrainerFailed) else reason_of(error)
            self._count_try(TRIES if reason in LASTING else 1)
            self._back_off(self._at_work, error)
            cause = error.__cause__ if isinstance(error, TrainerFailed) else error
            self._give_up(reason, None if cause is None else name_of(cause))
        else:
            self._back_off(TroubleKind.DISK if isinstance(error, OSError) else TroubleKind.OTHER, error)

    def _give_up(self, reason: FailureReason, error: str | None) -> None:
        """Let the server be told, if this was the last try."""
        if self._at_work is None or self._tries[self._at_work][1] < TRIES:
            return
        name = self._tries[self._at_work][0].split()[0]
        work: Literal["train", "evaluate"] = "train" if self._at_work is TroubleKind.TRAINING else "evaluate"
        self._untold, self._told_tries = _GivenUp(round=name, work=work, reason=reason, error=error), 0
        log.warning("%s: gives up its place in round %s (%s): %s", self._device.client_id, name, work, reason)

    def _back_off(self, kind: TroubleKind, error: Exception) -> None:
        device, back_off = self._device, self._back_offs[kind]
        back_off.failed()
        self._ask_at = device.clock() + self._seconds_after(kind, back_off)
        place = ""
        if self._at_work:
            name, tries = self._tries[self._at_work]
            place = f" in round {name.split()[0]}, {'which is left alone' if tries >= TRIES else f'{tries} of {TRIES} tries'}"
        known = isinstance(error, (DeviceError, OSError)) and not isinstance(error, TrainerFailed)
        log.warning(
            "%s: trouble with %s%s; goes on in %.0f s: %s",
            device.client_id, kind.value[1], place, self._seconds_left(), error, exc_info=None if known else error,
        )  # fmt: skip

    def _seconds_after(self, kind: TroubleKind, back_off: BackOff) -> float:
        """How long to wait after trouble; a device that has nothing at hand has time."""
        random, beat = self._device.random, self._device.heartbeat_seconds
        if self._only_heartbeats:
            return 0.0  # the next heartbeat says when
        if self._at_work is None and kind is TroubleKind.NETWORK and self._told is not None:
            seconds = max(self._told, back_off.first)
            return spread(seconds, random) if back_off.failures == 1 else returning(seconds, beat, random)
        return back_off.seconds(random)

    def _save(self, now: float) -> None:
        """Write an identity that the disk did not take when it was learnt."""
        if self._device.keys.is_saved or now < self._save_at:
            return
        back_off = self._back_offs[TroubleKind.DISK]
        try:
            self._device.keys.save()
            back_off.succeeded()
        except OSError as error:
            back_off.failed()
            self._save_at = now + back_off.seconds(self._device.random)
            log.warning("%s: the disk still does not take its key: %s", self._device.client_id, error)

    # ---- time

    def _succeeded(self, *kinds: TroubleKind) -> None:
        for kind in kinds:
            self._back_offs[kind].succeeded()

    def _seconds_left(self) -> float:
        device = self._device
        now = device.clock()
        due = now + device.seconds_to_heartbeat
        if not (self._only_heartbeats or device.rests):
            due = min(due, self._ask_at)
        if self._untold is not None and not (self._only_heartbeats or self._told_tries):
            due = now
        if not device.keys.is_saved:
            due = min(due, self._save_at)
        return max(0.0, max(due, self._silent_until) - now)
