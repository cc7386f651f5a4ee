"""What the demo's devices do with an assignment. Honest ones train, judge, and sometimes disappear; hostile ones send garbage.

Both speak through `muster.Device`, and each is one thread's own.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Mapping, Sequence
from http.client import TOO_MANY_REQUESTS
from typing import Protocol

import numpy as np

from examples.digits.place import Pace
from muster.device import Ability, Device, Overloaded, Refused, Trainer, Unreachable
from muster.wire import messages as wire
from muster.wire.arrays import Array, encode
from muster.wire.problems import Problem

log = logging.getLogger(__name__)

DROP_OUT = 0.1
"""Probability that an honest device disappears from a round after its check-in."""

HOSTILE_SECONDS = 0.5
"""How often a hostile device knocks: more often than asked to, so that it is seldom too late to be inspected. Where a client's
requests are counted, it is soon refused for that, and comes when it is told."""

LONGEST_SECONDS = 60.0
"""A device of the demo stays away no longer, whatever it is told."""

HOSTILE_CLAIM = 1000
"""Examples that a hostile device says it trained on: far more weight than any honest one has."""


class Behaviour(Protocol):
    """What one device does."""

    client_id: str
    can: Sequence[Ability]
    hasty: bool
    """Whether it comes sooner than it is told to, so that it is no news when it is refused for that."""

    def step(self, device: Device, stop: threading.Event) -> float:
        """Do one thing, and return the seconds to wait before the next."""
        ...


class Honest:
    """Trains and judges; but in some rounds, drawn from the seed, it checks in and is not heard of until they are over."""

    can: Sequence[Ability] = ("train", "evaluate")
    hasty = False

    def __init__(self, client_id: str, trainer: Trainer, *, seed: int, pace: Pace) -> None:
        self.client_id = client_id
        self.disappeared: set[str] = set()
        self._trainer = trainer
        self._seed = seed
        self._pace = pace

    def step(self, device: Device, stop: threading.Event) -> float:
        """Do what the server has to do, if this round is not one to disappear from."""
        if device.heartbeat_if_due():
            device.answer_rollout(self._trainer)
        assignment = device.check_in()
        if isinstance(assignment, wire.Wait):
            return assignment.retry_after_seconds
        if isinstance(assignment, wire.EvaluateAssignment):
            device.judge(assignment, self._trainer)
        elif self._disappears(assignment.round):
            self.disappeared.add(assignment.round)
            while device.receipt(assignment.round).state == "assigned" and not stop.wait(self._pace.again):
                pass
        else:
            device.take_part(assignment, self._trainer)
        return 0.0

    def _disappears(self, round_id: str) -> bool:
        return random.Random(f"{self._seed}/{self.client_id}/{round_id}").random() < DROP_OUT


class Hostile:
    """Uploads the same garbage in every round that admits it, and notes what the server says; it never judges."""

    can: Sequence[Ability] = ("train",)
    hasty = True

    def __init__(self, client_id: str, update: bytes, expected_reason: str) -> None:
        self.client_id = client_id
        self.expected_reason = expected_reason
        self.receipts: dict[str, wire.ReceiptReply] = {}
        self._update = update

    def step(self, device: Device, stop: threading.Event) -> float:
        """Send garbage if there is a place, and wait for the server's word on it."""
        assignment = device.check_in()
        if not isinstance(assignment, wire.TrainAssignment):
            return HOSTILE_SECONDS
        try:
            self.receipts[assignment.round] = device.submit(assignment.round, self._update, HOSTILE_CLAIM, {})
        finally:
            # Also when the upload was refused: the round was joined, and its receipt says how that ended.
            self.receipts[assignment.round] = _last_word(device, assignment.round, stop)
        return 0.0


def not_a_number(base: Mapping[str, Array]) -> bytes:
    """An update of the right form with one NaN in it: averaged, it would make the whole model NaN."""
    update = {name: np.zeros_like(array) for name, array in base.items()}
    _largest(update).reshape(-1)[0] = np.nan
    return encode(update)


def wrong_shape(base: Mapping[str, Array]) -> bytes:
    """An update with one tensor transposed: as long as an honest one, so that only a look inside tells."""
    update = {name: np.zeros_like(array) for name, array in base.items()}
    name = max((name for name, array in update.items() if array.ndim == 2), key=lambda name: update[name].size)
    return encode({**update, name: np.ascontiguousarray(update[name].T)})


def live(device: Device, behaviour: Behaviour, stop: threading.Event, pace: Pace) -> None:
    """Behave until told to stop, or until an operator has revoked the device's key. A round that closed first, or a server out
    of reach, is no reason to end.

    Raises:
        Refused: for any other reason.
    """
    while not stop.is_set():
        try:
            seconds = min(behaviour.step(device, stop), pace.wait)
        except Refused as refused:
            if refused.unauthenticated:
                log.warning("%s: its key is good no more, so it leaves", behaviour.client_id)
                return
            if refused.problem is not Problem.ROUND_CLOSED:
                raise
            seconds = 0.0
        except Overloaded as overloaded:
            expected = behaviour.hasty and overloaded.status == TOO_MANY_REQUESTS
            log.log(logging.DEBUG if expected else logging.WARNING, "%s: %s", behaviour.client_id, overloaded)
            seconds = min(overloaded.retry_after_seconds or pace.again, LONGEST_SECONDS)
        except Unreachable as unreachable:
            log.warning("%s: %s", behaviour.client_id, unreachable)
            seconds = pace.again
        stop.wait(seconds)


def _largest(tensors: Mapping[str, Array]) -> Array:
    return max(tensors.values(), key=lambda array: array.size)


def _last_word(device: Device, round_id: str, stop: threading.Event) -> wire.ReceiptReply:
    receipt = device.receipt(round_id)
    while receipt.state in ("assigned", "reported") and not stop.wait(HOSTILE_SECONDS):
        receipt = device.receipt(round_id)
    return receipt
