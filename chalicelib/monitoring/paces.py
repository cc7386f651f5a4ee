"""How often devices come: what operators see of it, and the bounds that they give it."""

from __future__ import annotations

import math
from dataclasses import replace

from chalicelib.clients.bounds import PaceBounds
from chalicelib.clients.pacing import Pacing, Steering
from chalicelib.clients.store import ClientStore
from chalicelib.errors import Refusal
from chalicelib.instants import Clock, text
from chalicelib.log import log
from chalicelib.registry.model import Model
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.devices.pacing import need_of
from chalicelib.rounds.opening import goes_on
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.rows import Unreadable
from muster.pacing.intervals import MONTH_SECONDS, intervals, least_budget, least_ceiling
from muster.pacing.planning import RequestLoad, Rounds, beating, in_rounds
from muster.wire import admin
from muster.wire.problems import Problem


class FleetPaces:
    """The pace of the fleet."""

    def __init__(
        self,
        *,
        store: ClientStore,
        pacing: Pacing,
        rounds: RoundStore,
        registry: RegistryStore,
        clock: Clock,
    ) -> None:
        self._store = store
        self._pacing = pacing
        self._rounds = rounds
        self._registry = registry
        self._clock = clock

    def show(self) -> admin.FleetPace:
        """How often devices come now."""
        return self._reply(self._pacing.read())

    def of_model(self, model: Model, last: Round | None) -> admin.ModelPace:
        """How often a model's devices come now; `last` is its last round, None also where that cannot be read."""
        return self._of_model(model, last, self._pacing.read())

    def set(self, request: admin.SetPace, by: str | None) -> admin.FleetPace:
        """Give the fleet bounds; the same again is the same.

        Raises:
            Refusal: `pace-moved`, `pace-unfit` (they could not serve the clients that are enrolled).
        """
        steering = self._pacing.read()
        present = steering.bounds
        wanted = PaceBounds(
            revision=request.revision + 1,
            ceiling=request.ceiling,
            budget=request.budget,
            at=self._clock(),
            because=request.because,
            by=by,
            heartbeat_seconds_before=self._pacing.longest_told(steering),
        )
        if present is not None and _is_same(present, wanted):
            return self._reply(steering)
        if (present.revision if present else 0) != request.revision:
            raise _moved(present, request.revision)
        _check_fit(request, steering.clients)
        if not request.dry_run:
            made = self._store.put_pace(wanted)
            if made is None or not _is_same(made, wanted):
                raise _moved(made, request.revision)
            log.info("pace set", ceiling=made.ceiling, budget=made.budget, by=by, because=made.because)
            return self._reply(self._pacing.refresh())
        return self._reply(replace(steering, bounds=wanted, rules=self._pacing.rules(wanted.ceiling, wanted.budget)))

    def _reply(self, steering: Steering) -> admin.FleetPace:
        bounds, rules = steering.bounds, steering.rules
        models = [self._of_model(model, self._last(model.name), steering) for model in self._registry.models()]
        idle = intervals(rules, steering.clients)
        others = steering.clients - sum(model.active for model in models)
        rate = RequestLoad(per_second=beating(others, idle).per_second + sum(m.requests_per_second for m in models))
        return admin.FleetPace(
            revision=bounds.revision if bounds else 0,
            ceiling=rules.ceiling,
            budget=bounds.budget if bounds else None,
            at=bounds.at if bounds else None,
            because=bounds.because if bounds else None,
            by=bounds.by if bounds else None,
            clients=steering.clients,
            counted_at=steering.counted.counted_at if steering.counted else None,
            heartbeat_seconds=idle.heartbeat_seconds,
            models=models,
            requests_per_second=rate.per_second,
            requests_per_month=rate.per_month,
            dollars_per_month=rate.dollars_per_month,
            trouble=_trouble(steering, rate),
        )

    def _last(self, model: str) -> Round | None:
        """A model's last round; None when there is none, or it cannot be read."""
        found = next(iter(self._rounds.history(model, None, 1)), None)
        return None if isinstance(found, Unreadable) else found

    def _of_model(self, model: Model, last: Round | None, steering: Steering) -> admin.ModelPace:
        # Read, and not from the memory by which devices are answered: they would be told what was a moment ago.
        active, is_open = steering.active(model.name), last is not None and not last.is_terminal
        rests = not is_open and (model.over_budget is not None or not goes_on(model, last))
        config = last.config if last is not None and is_open else model.config
        waiting = steering.active(model.name, last.cohort if last is not None else None)
        need = None if rests else need_of(config, waiting)
        found = intervals(steering.rules, steering.clients, need)
        rate = beating(active, found)
        if need is not None:
            rounds = Rounds(
                places=need.places,
                judges=need.judges,
                report_seconds=need.seconds,
                every_seconds=config.every_seconds,
            )
            rate = RequestLoad(
                per_second=in_rounds(waiting, found, rounds).per_second + beating(active - waiting, found).per_second
            )
        return admin.ModelPace(
            model=model.name,
            active=active,
            heartbeat_seconds=found.heartbeat_seconds,
            waiting_seconds=None if rests else found.waiting_seconds,
            meeting_seconds=None if rests else found.meeting_seconds,
            requests_per_second=rate.per_second,
            trouble=_trouble(steering, rate),
        )


def _is_same(made: PaceBounds, wanted: PaceBounds) -> bool:
    """Whether a revision is what was wanted, whoever made it, and when."""
    return (made.revision, made.ceiling, made.budget) == (wanted.revision, wanted.ceiling, wanted.budget)


def _check_fit(request: admin.SetPace, clients: int) -> None:
    """Refuse bounds within which not even the longest interval fits."""
    ceiling, budget = math.ceil(least_ceiling(clients) * 100) / 100, math.ceil(least_budget(clients))
    if request.ceiling < ceiling:
        raise Refusal(
            Problem.PACE_UNFIT,
            f"{clients} clients are enrolled, and each sends a heartbeat every 16 hours at the least",
            expected=f"a ceiling of at least {ceiling:g} requests a second",
            got=f"{request.ceiling:g}",
        )
    if request.budget is not None and request.budget < budget:
        raise Refusal(
            Problem.PACE_UNFIT,
            f"{clients} clients are enrolled, and each sends a heartbeat every 16 hours at the least",
            expected=f"a budget of at least {budget} requests a month",
            got=str(request.budget),
        )


def _trouble(steering: Steering, rate: RequestLoad) -> str | None:
    """Which bound will not hold; the fleet may have grown since it was set."""
    rules = steering.rules
    if rate.per_second > rules.ceiling:
        return f"{rate.per_second:,.0f} requests a second are expected, and the ceiling is {rules.ceiling:,.0f}"
    if rules.budget is not None and rate.per_month > rules.budget:
        return (
            f"the budget will not hold: {rate.per_month:,.0f} requests a month are expected, and it is "
            f"{rules.budget:,.0f}, {rules.budget / MONTH_SECONDS:.2g} a second"
        )
    return None


def _moved(present: PaceBounds | None, seen: int) -> Refusal:
    there = "nobody has set any" if present is None else f"revision {present.revision}, set at {text(present.at)}"
    return Refusal(
        Problem.PACE_MOVED,
        f"the bounds of the fleet's pace do not have revision {seen}; nothing was changed",
        expected=f"{there}: give {present.revision if present else 0}",
        got=f"revision {seen}",
    )
