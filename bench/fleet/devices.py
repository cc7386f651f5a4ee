"""What each device of a simulated fleet knows and means to do: an array for each thing, a device a place in it (numpy).

It is the state of the SDK's loop (`muster.device.loop`, `muster.device.heartbeats`), as far as its requests depend on it.
"""

from __future__ import annotations

import numpy as np

from bench.fleet.awake import Nights
from bench.fleet.vectors import Devices, Flags, Numbers, back_offs, returns, spreads, stretches
from muster.device.loop import TroubleKind
from muster.device.pace import HEARTBEAT_SECONDS, LONGEST_BACK_OFF_SECONDS
from muster.device.transport import ATTEMPTS

NEVER = np.inf
NOBODY = np.zeros(0, np.int64)


class SimulatedDevices:
    """A fleet. Seconds count from a midnight."""

    def __init__(self, devices: int, nights: Nights, dice: np.random.Generator) -> None:
        self._nights = nights
        self._dice = dice
        self.names = [f"device-{number:07d}" for number in range(devices)]
        self.next_at = np.full(devices, NEVER)
        """When it does something of its own again; never, while it works or is not enrolled."""
        self.beat_at = np.full(devices, NEVER)
        self.ask_at = np.full(devices, NEVER)
        self.beat_every = np.full(devices, HEARTBEAT_SECONDS)
        self.told = np.full(devices, np.nan)
        """How long the server asked it last to wait between check-ins."""
        self.failures = np.zeros(devices, np.int64)
        """Of the network, in a row."""
        self.refusals = np.zeros(devices, np.int64)
        self.was_answered = np.ones(devices, np.bool_)
        self.only_heartbeats = np.zeros(devices, np.bool_)
        self.enrolled_at = np.full(devices, NEVER)
        self.seen_at = np.full(devices, -NEVER)
        """When the server heard of it last."""
        self.place_in = np.zeros(devices, np.int64)
        """The number of the round in which it has, or had last, a place to train."""
        self.trained = np.zeros(devices, np.int64)
        """The round for which it has an update that is not delivered yet."""
        self.reported = np.zeros(devices, np.int64)
        self.credited = np.zeros(devices, np.int64)
        """The last round in which its update was accepted; 0: none."""
        self.judges_in = np.zeros(devices, np.int64)
        self.judged = np.zeros(devices, np.int64)
        self.is_rash = np.zeros(devices, np.bool_)
        """Whether it ignores the pace: then it asks by a clock of its own."""
        self.sent = np.zeros(devices, np.int64)
        """Requests, within the day that is looked at."""

    def draws(self, devices: Devices) -> Numbers:
        """A draw for each."""
        return self._dice.random(len(devices))

    def settle(self, devices: Devices) -> None:
        """Say when they do something again, once they know when they mean to beat and to ask."""
        asks = np.where(self.only_heartbeats[devices], NEVER, self.ask_at[devices])
        at = self._nights.awake_from(devices, np.minimum(self.beat_at[devices], asks))
        self.next_at[devices] = np.where(self.is_rash[devices], NEVER, at)

    # ---- what the server answers

    def beaten(self, devices: Devices, now: float, interval: float) -> None:
        """Their heartbeats were answered: when the next one is due is drawn."""
        self.beat_every[devices] = spreads(interval, self.draws(devices))
        self.beat_at[devices] = now + self.beat_every[devices]
        self.only_heartbeats[devices] = False
        self._answered(devices, now)

    def told_to_wait(self, devices: Devices, now: float, seconds: Numbers) -> None:
        """Their check-ins found nothing to do, and a heartbeat would have heard nothing."""
        self.beat_at[devices] = np.maximum(self.beat_at[devices], now + self.beat_every[devices])
        self.told[devices] = seconds
        self.ask_at[devices] = now + seconds
        self.failures[devices] = self.refusals[devices] = 0
        self._answered(devices, now)

    def worked(self, devices: Devices, now: float) -> None:
        """What they had at hand is done: they ask again at once."""
        self.ask_at[devices] = now
        self.failures[devices] = self.refusals[devices] = 0
        self._answered(devices, now)
        self.settle(devices)

    def refused(self, devices: Devices, now: float) -> None:
        """What they had at hand is not taken: its round is over."""
        self._answered(devices, now)
        self.refusals[devices] += 1
        first = TroubleKind.REFUSED.value[0]
        self.ask_at[devices] = now + back_offs(first, LONGEST_BACK_OFF_SECONDS, self.refusals[devices], self.draws(devices))
        self.settle(devices)

    def _answered(self, devices: Devices, now: float) -> None:
        self.seen_at[devices] = now
        self.was_answered[devices] = True

    # ---- what goes wrong

    def attempts(self, devices: Devices) -> Devices:
        """How many requests each sends that nobody answers."""
        return np.where(self.was_answered[devices], ATTEMPTS, 1)

    def unanswered(self, devices: Devices, now: float, beat: Flags, at_work: Flags) -> None:
        """Nobody answered: a heartbeat, something at hand, or, where neither is said, a check-in."""
        draws, told = self.draws(devices), self.told[devices]
        first = TroubleKind.NETWORK.value[0]
        self.was_answered[devices] = False
        self.failures[devices] += 1
        late = devices[beat]
        self.beat_at[late] = now + stretches(self.beat_every[late], self.draws(late))
        told_one = np.maximum(told, first)
        patient = np.where(
            self.failures[devices] == 1, spreads(told_one, draws), returns(told_one, self.beat_every[devices], draws)
        )
        quick = back_offs(first, LONGEST_BACK_OFF_SECONDS, self.failures[devices], draws)
        self.ask_at[devices] = now + np.where(at_work | np.isnan(told), quick, patient)
        self.settle(devices)

    def overloaded(self, devices: Devices, now: float, at_work: Flags) -> None:
        """The server, or the gateway before it, answered 429 without saying when to come again."""
        self.was_answered[devices] = False
        idle, busy = devices[~at_work], devices[at_work]
        told = np.nan_to_num(self.told[idle])
        self.only_heartbeats[idle] = True
        self.beat_at[idle] = now + returns(told, self.beat_every[idle], self.draws(idle))
        self.ask_at[idle] = now
        first = TroubleKind.OVERLOADED.value[0]
        self.failures[busy] += 1
        self.ask_at[busy] = now + back_offs(first, LONGEST_BACK_OFF_SECONDS, self.failures[busy], self.draws(busy))
        self.settle(devices)
