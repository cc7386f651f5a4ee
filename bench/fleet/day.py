"""A day of a fleet, second by second: who comes, what the server answers, and what its devices then mean to do.

    due ──▶ heartbeat ──▶ check in ──▶ a wait ──▶ due
                              ├──▶ train ──▶ grant ──▶ report ──▶ due at once
                              └──▶ judge ──▶ two measurements ──▶ due at once

The day begins at a midnight; some hours before that are lived through first, so that it is one of many. Within a second all
comes at its beginning. What a device sends again because nobody answered, it sends in the same second.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from bench.fleet.awake import Nights
from bench.fleet.counting import SimulatedCensus
from bench.fleet.devices import NEVER, NOBODY, SimulatedDevices
from bench.fleet.plans import DayPlan
from bench.fleet.rounds import SimulatedRounds, instant
from bench.fleet.traffic import Traffic
from bench.fleet.vectors import Devices, Numbers, admitted, waits
from chalicelib.rounds.devices.pacing import OFTENER, judges_later, need_of
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from muster.pacing.intervals import TICK_SECONDS, Intervals, intervals
from muster.pacing.waits import WaitReason

REQUESTS_OF_A_NEW_ONE = 3
"""Its enrolment, its first heartbeat, its first check-in."""

BLOCK = 60
"""Seconds for which the devices that are due are found at once."""

TRAINS = (30.0, 240.0)
"""Seconds that training and judging take, drawn evenly."""
DROPS_OUT = 0.05
"""Of those who have a place, who never report: their training dies, and they ask again after so long:"""
GONE = (600.0, 3600.0)
INSPECTED_AFTER = 2.0
RASH_SECONDS = 3.0
"""Between two check-ins of a device that ignores the pace."""


class FleetDay:
    """Lives through it."""

    def __init__(self, plan: DayPlan) -> None:
        self.plan = plan
        self._dice = np.random.default_rng(plan.seed)
        total = plan.clients + plan.fresh
        self.nights = Nights(total, self._dice)
        self.devices = SimulatedDevices(total, self.nights, self._dice)
        self.rounds = SimulatedRounds(plan.config, plan.seed, plan.rules)
        self.traffic = Traffic(-plan.before, plan.seconds)
        self.rash_sent = self.rash_refused = 0
        self._census = SimulatedCensus(plan.rules, plan.clients, plan.clients)
        self._soon: dict[int, list[Devices]] = defaultdict(list)
        self._work: dict[int, list[tuple[str, Devices, int]]] = defaultdict(list)
        self._let = 1.0
        """The share of this second's requests that the gateway lets through."""
        self._down = False
        self._block_ends = -plan.before
        self._begin()

    def _begin(self) -> None:
        plan, devices = self.plan, self.devices
        self._rash = np.sort(self._dice.permutation(plan.clients)[: plan.rash])
        self._rash_arrivals = np.zeros(plan.rash)
        self._rash_turn = self._dice.integers(0, int(RASH_SECONDS), plan.rash)
        self._is_rash = devices.is_rash
        self._is_rash[self._rash] = True
        old, fresh = np.arange(plan.clients), np.arange(plan.clients, plan.clients + plan.fresh)
        paces, begins = self._paces(), -plan.before
        devices.enrolled_at[old] = devices.seen_at[old] = begins
        devices.beat_at[old] = begins + paces.heartbeat_seconds * devices.draws(old)
        devices.ask_at[old] = begins + paces.waiting_seconds * devices.draws(old)
        devices.settle(old)
        since, until = plan.enrolling
        devices.next_at[fresh] = since + (until - since) * devices.draws(fresh)

    def live(self) -> FleetDay:
        """From before the day to its end."""
        for second in range(int(-self.plan.before), int(self.plan.seconds)):
            if second % BLOCK == 0:
                self._find_due(second)
            self._live_through(float(second))
        return self

    # ---- one second

    def _find_due(self, second: int) -> None:
        self._block_ends = second + BLOCK
        due = np.flatnonzero(self.devices.next_at < self._block_ends)
        at = np.maximum(np.floor(self.devices.next_at[due]), second).astype(np.int64)
        order = np.argsort(at, kind="stable")
        due, at = due[order], at[order]
        edges = np.searchsorted(at, np.arange(second, self._block_ends + 1))
        for number in range(BLOCK):
            self._soon[second + number].append(due[edges[number] : edges[number + 1]])

    def _again(self, devices: Devices, now: float) -> None:
        """Those who come again before the next are found."""
        early = devices[self.devices.next_at[devices] < self._block_ends]
        for device, at in zip(early, self.devices.next_at[early], strict=True):
            self._soon[max(int(at), int(now) + 1)].append(np.array([device]))

    def _live_through(self, now: float) -> None:
        second, plan, devices = int(now), self.plan, self.devices
        self._down = plan.outage is not None and plan.outage[0] <= now < plan.outage[1]
        due = np.unique(np.concatenate(self._soon.pop(second, [NOBODY])))
        due = due[devices.next_at[due] < now + 1]
        rash = np.flatnonzero(self._rash_turn == second % int(RASH_SECONDS)) if plan.rash else NOBODY
        work = self._work.pop(second, [])
        asked = len(rash) + sum(len(those) for kind, those, _ in work if kind not in ("inspected", "gone"))
        asked += int((devices.beat_at[due] < now + 1).sum() + (devices.ask_at[due] < now + 1).sum())
        asked += REQUESTS_OF_A_NEW_ONE * int((devices.enrolled_at[due] > now).sum())
        self._let = min(1.0, plan.rules.ceiling / max(asked, 1))
        self._census.look(now, devices.enrolled_at, devices.seen_at)
        self.rounds.look(now, tick=second % int(TICK_SECONDS) == 0)
        for kind, those, number in work:
            self._go_on(kind, those, number, now)
        if len(rash):
            self._come_rashly(rash, now)
        if len(due):
            self._come(due, now)
        self.rounds.look(now, tick=False)

    def _come(self, due: Devices, now: float) -> None:
        devices = self.devices
        new = devices.enrolled_at[due] > now
        if new.any():
            self._enrol(due[new], now)
        due = due[devices.enrolled_at[due] <= now]
        beat = due[devices.beat_at[due] < now + 1]
        ok = self._pass(beat, now, "heartbeats", beat=True)
        devices.beaten(ok, now, self._paces().heartbeat_seconds)
        failed = np.isin(due, beat, assume_unique=True) & ~np.isin(due, ok, assume_unique=True)
        left = due[~failed]
        ask = left[(devices.ask_at[left] < now + 1) & ~devices.only_heartbeats[left]]
        self._check_in(self._pass(ask, now, "check-ins"), now)
        devices.settle(left[~np.isin(left, ask, assume_unique=True)])
        self._again(due, now)

    def _enrol(self, new: Devices, now: float) -> None:
        devices = self.devices
        self._count("enrolments", new, now)
        served = np.zeros(len(new), np.bool_) if self._down else self._dice.random(len(new)) < self._let
        ok, not_yet = new[served], new[~served]
        devices.enrolled_at[ok] = devices.seen_at[ok] = devices.beat_at[ok] = devices.ask_at[ok] = now
        devices.next_at[not_yet] = now + 1 + 19 * devices.draws(not_yet)
        self._again(not_yet, now)

    def _pass(self, devices: Devices, now: float, kind: str, *, beat: bool = False, at_work: bool = False) -> Devices:
        """Those whose requests are answered; the others know what to do."""
        if not len(devices):
            return devices
        whole = np.ones(len(devices), np.bool_)
        if self._down:
            self._count(kind, devices, now, self.devices.attempts(devices))
            self.traffic.count("unanswered", now, len(devices))
            self.devices.unanswered(devices, now, whole & beat, whole & at_work)
            return NOBODY
        self._count(kind, devices, now)
        if self._let == 1.0:
            return devices
        passes = self._dice.random(len(devices)) < self._let
        self.traffic.count("throttled", now, int((~passes).sum()))
        self.devices.overloaded(devices[~passes], now, (whole & at_work)[~passes])
        return devices[passes]

    def _count(self, kind: str, devices: Devices, now: float, each: Devices | int = 1) -> None:
        self.traffic.count(kind, now, int(np.sum(each * np.ones(len(devices), np.int64))))
        if now >= 0:
            self.devices.sent[devices] += each

    def _come_rashly(self, rash: Devices, now: float) -> None:
        """Those who ask again and again."""
        asking = self._rash[rash]
        self.traffic.count("rash", now, len(rash))
        if self._down:
            self._count("check-ins", asking, now)
            return
        passes = self._dice.random(len(rash)) < self._let
        for what in ("throttled", "rash throttled", "check-ins"):
            self.traffic.count(what, now, int((~passes).sum()))
        rash, asking = rash[passes], asking[passes]
        rate = self.plan.rate.slowed(self._paces().waiting_seconds / OFTENER)
        in_order, self._rash_arrivals[rash] = admitted(rate, self._rash_arrivals[rash], now)
        self.traffic.count("too often", now, int((~in_order).sum()))
        self._count("check-ins", asking[in_order], now)
        self.devices.seen_at[asking[in_order]] = now
        self._check_in(asking[in_order], now)

    # ---- what a check-in is answered

    def _paces(self) -> Intervals:
        need = need_of(self.plan.config, self._census.active)
        return intervals(self.plan.rules, self._census.clients, need)

    def _check_in(self, asking: Devices, now: float) -> None:
        rnd, devices = self.rounds.round, self.devices
        if not len(asking):
            return
        if rnd is None or rnd.phase not in (Phase.COLLECTING, Phase.EVALUATING):
            self._wait(asking, now, "between-rounds", rnd)
            return
        done = (devices.reported if rnd.phase is Phase.COLLECTING else devices.judged)[asking] == rnd.number
        self._wait(asking[done], now, "already-done", rnd)
        if rnd.phase is Phase.COLLECTING and instant(now) >= rnd.report_by:
            self._wait(asking[~done], now, "round-closed", rnd)
        elif rnd.phase is Phase.COLLECTING:
            self._train(asking[~done], now, rnd)
        else:
            self._judge(asking[~done], now, rnd)

    def _train(self, asking: Devices, now: float, rnd: Round) -> None:
        devices = self.devices
        has = devices.place_in[asking] == rnd.number
        self._work_at(asking[has & ~self._is_rash[asking]], now, rnd.number)
        asking = asking[~has]
        rests = self.rounds.are_resting(devices.credited[asking])
        self._wait(asking[rests], now, "resting", rnd)
        asking = asking[~rests]
        if self.plan.config.lottery:
            turns = self.rounds.turns_to_train([devices.names[one] for one in asking], self._census.active)
            early = turns > now
            self._wait(asking[early], now, "not-drawn", rnd, turns[early] - now)
            asking = asking[~early]
        seated = np.zeros(len(asking), np.bool_)
        if self.rounds.seats.left or self.plan.config.lottery:
            for at in self._dice.permutation(len(asking)):
                seated[at] = self.rounds.seat(now, devices.names[asking[at]], self._census.active)
        taken = asking[seated]
        devices.place_in[taken] = rnd.number
        self.rounds.courses[-1].rash += int(self._is_rash[taken].sum())
        self._work_at(taken, now, rnd.number)
        self._wait(asking[~seated], now, "round-full", rnd)

    def _judge(self, asking: Devices, now: float, rnd: Round) -> None:
        devices = self.devices
        names = [devices.names[one] for one in asking]
        trained = devices.reported[asking] == rnd.number
        turns = self.rounds.turns_to_judge(names, trained, devices.enrolled_at[asking], self._census.active)
        early = turns > now
        self._wait(asking[early], now, "not-drawn", rnd, turns[early] - now)
        asking, turns = asking[~early], turns[~early]
        seated = np.zeros(len(asking), np.bool_)
        if self.rounds.seats.left:
            for at, turn in enumerate(turns):
                seated[at] = self.rounds.seats.take(self.rounds.judges_given(turn, now))
        judges = asking[seated]
        devices.judges_in[judges] = rnd.number
        self._after(judges, now, TRAINS, "measured", rnd.number)
        self._wait(asking[~seated], now, "round-full", rnd)

    def _wait(self, asking: Devices, now: float, reason: WaitReason, rnd: Round | None, turns: Numbers | float = 0.0) -> None:
        if not len(asking):
            return
        devices, opens = self.devices, 0.0
        if rnd is not None and not judges_later(rnd, can_evaluate=True):
            opens = (rnd.opened_at - instant(now)).total_seconds() + self.plan.config.every_seconds
        found = waits(reason, self._paces(), now=now, draws=devices.draws(asking), turns=turns, opens_seconds=opens)
        keeps = ~self._is_rash[asking]
        asking = asking[keeps]
        devices.told_to_wait(asking, now, found[keeps])
        devices.settle(asking)
        self._again(asking, now)

    # ---- what they do with a place

    def _work_at(self, placed: Devices, now: float, number: int) -> None:
        """Train, unless that is done and waits for its delivery."""
        ready = self.devices.trained[placed] == number
        self._go_on("grant", placed[ready], number, now)
        placed = placed[~ready]
        dies = self._dice.random(len(placed)) < DROPS_OUT
        self._after(placed[~dies], now, TRAINS, "grant", number)
        self._after(placed[dies], now, GONE, "gone", number)

    def _after(self, devices: Devices, now: float, within: tuple[float, float], kind: str, number: int) -> None:
        keeps = devices[~self._is_rash[devices]]
        self.devices.next_at[keeps] = NEVER
        at = (now + within[0] + (within[1] - within[0]) * self.devices.draws(devices)).astype(np.int64)
        for second in np.unique(at):
            self._work[int(max(second, now + 1))].append((kind, devices[at == second], number))

    def _go_on(self, kind: str, devices: Devices, number: int, now: float) -> None:
        if not len(devices):
            return
        if kind == "inspected":
            if self.rounds.inspected(len(devices), number):
                self.devices.credited[devices] = number
            return
        if kind == "gone":
            self._done(devices, now)
            return
        if kind == "grant":
            self.devices.trained[devices] = number
        devices = self._pass(devices, now, "work", at_work=True)
        taken = self._is_open(kind, number, now)
        if not taken:
            self.devices.refused(devices, now)
            self._again(devices, now)
        elif kind == "grant":
            self._after(devices, now, (1.0, 6.0), "report", number)
        elif kind == "report":
            self.devices.reported[devices] = number
            self._work[int(now + INSPECTED_AFTER)].append(("inspected", devices, number))
            self._done(devices, now)
        elif kind == "measured":
            self._after(devices, now, (1.0, 3.0), "measured again", number)
        else:
            self.devices.judged[devices] = number
            self.rounds.judged += len(devices)
            self._done(devices, now)

    def _is_open(self, kind: str, number: int, now: float) -> bool:
        rnd = self.rounds.round
        if rnd is None or rnd.number != number:
            return False
        if kind in ("grant", "report"):
            return rnd.phase is Phase.COLLECTING and instant(now) < rnd.report_by
        return rnd.phase is Phase.EVALUATING

    def _done(self, devices: Devices, now: float) -> None:
        keeps = devices[~self._is_rash[devices]]
        self.devices.worked(keeps, now)
        self._again(keeps, now)
