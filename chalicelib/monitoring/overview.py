"""All models of a stack at a glance, and why each stands where it stands.

    models ─┐
    now    ─┤ pulse, troubles, alerts
    newest ─┼─▶ StackNow, ModelStanding of each ─▶ `why` ─▶ Overview
    fleet  ─┤
    queue  ─┤ dead letters
    alarms ─┘

Six requests to AWS, however large the fleet is, and one more for each 25 models. The tick has noted which round and revision of
each model was the newest; so those rows and the ones that may have followed are read by their keys. Only of a model in which
more has happened since, the newest is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from chalicelib.clients.census import Census
from chalicelib.clients.segments import period
from chalicelib.clients.tally import Tally
from chalicelib.errors import Refusal, near
from chalicelib.instants import Clock
from chalicelib.monitoring import alerts, training
from chalicelib.monitoring.alert import Alert, AlertState
from chalicelib.monitoring.standing import CountedFleet, ModelStanding, StackNow
from chalicelib.monitoring.store import MonitoringStore, Now
from chalicelib.monitoring.why import stack_troubles, why
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model
from chalicelib.registry.rollout import ALL
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.alarms import Alarm
from chalicelib.storage.dynamo import Table
from chalicelib.storage.rows import Item, Unreadable, each
from chalicelib.vitals import Newest, in_a_line
from muster.layout import Key
from muster.wire import admin
from muster.wire.problems import Problem

Rows = Mapping[tuple[str, str, str], Item]
"""By table, partition key and sort key."""

Row = TypeVar("Row")
Found = TypeVar("Found")


class Overviews:
    """Reads only."""

    def __init__(
        self,
        *,
        registry: RegistryStore,
        rounds: RoundStore,
        monitoring: MonitoringStore,
        census: Census,
        dead_letters: Callable[[], int] | None,
        alarms: Callable[[], Sequence[Alarm]] | None,
        clock: Clock,
        tick_seconds: float,
        census_seconds: float,
    ) -> None:
        self._registry = registry
        self._rounds = rounds
        self._monitoring = monitoring
        self._census = census
        self._dead_letters = dead_letters
        self._alarms = alarms
        self._clock = clock
        self._tick = timedelta(seconds=tick_seconds)
        self._census_seconds = census_seconds

    def show(self) -> admin.Overview:
        """Everything at a glance."""
        now = self._monitoring.now()
        models = self._registry.entries()
        standings, stack = self._standings(models, now), self._stack(now, models)
        fleet = stack.fleet
        return admin.Overview(
            at=stack.now,
            ticked_at=stack.pulse.at if stack.pulse else None,
            counted_at=fleet.counted_at if fleet else None,
            clients=fleet.clients if fleet else None,
            active=fleet.active if fleet else None,
            dead_letters=stack.dead_letters,
            alarms=[admin.AlarmReply(name=a.name, description=a.description, since=a.since) for a in stack.alarms],
            alerts=[alerts.reply(a, now.silent_until(a.model, a.metric)) for a in _open(now, admin.NO_MODEL)],
            troubles=stack_troubles(stack),
            models=[_reply(standing, stack) for standing in standings],
        )

    def why(self, name: str) -> admin.Why:
        """Why one model stands where it stands.

        Raises:
            Refusal: `unknown-model`.
        """
        model = self._registry.entry(name)
        if model is None:
            known = near(name, self._registry.names())
            raise Refusal(Problem.UNKNOWN_MODEL, f"there is no model {name!r}", expected=known, got=name)
        now = self._monitoring.now()
        (standing,) = self._standings({name: model}, now)
        return why(standing, self._stack(now, {name: model}))

    # ---- what concerns all

    def _stack(self, now: Now, models: Mapping[str, Model | Unreadable]) -> StackNow:
        at, unknown = self._clock(), list[str]()

        def tried(what: str, ask: Callable[[], Found], otherwise: Found) -> Found:
            try:
                return ask()
            except Exception as error:  # noqa: BLE001 (it is said, and the rest is worth having)
                unknown.append(f"{what} could not be read: {in_a_line(error)}")
                return otherwise

        dead = tried("the dead-letter queue", self._dead_letters, None) if self._dead_letters else None
        alarms: Sequence[Alarm] = tried("the stack's alarms", self._alarms, ()) if self._alarms else ()
        counted = self._census.counted()
        return StackNow(
            now=at,
            tick=self._tick,
            census=period(counted.size if counted else 0, self._census_seconds),
            pulse=now.pulse,
            begun_at=min((model.created_at for model in models.values() if isinstance(model, Model)), default=None),
            fleet=_fleet(counted) if counted else None,
            troubles=tuple(trouble for trouble in now.troubles if trouble.lasts(at)),
            dead_letters=dead,
            alarms=tuple(alarms),
            unknown=tuple(unknown),
        )

    # ---- what is stored of each model

    def _standings(self, models: Mapping[str, Model | Unreadable], now: Now) -> list[ModelStanding]:
        noted = {name: now.pulse.newest.get(name, Newest()) if now.pulse else Newest() for name in models}
        places = [place for name, newest in noted.items() for place in self._places(name, newest)]
        rows = places[0][0].get_beside(places) if places else {}
        return [
            ModelStanding(
                name=name,
                model=model,
                last=self._last(name, noted[name], rows),
                deployment=self._deployment(name, noted[name], rows),
                alerts=_open(now, name),
            )
            for name, model in models.items()
        ]

    def _places(self, name: str, newest: Newest) -> list[tuple[Table, Key]]:
        """Where the newest round and deployment lie, and the next ones, if there are any."""
        return [
            *(self._rounds.place(name, number) for number in _numbers(newest.round)),
            *(self._registry.place_of_deployment(name, revision) for revision in _numbers(newest.revision)),
        ]

    def _last(self, name: str, newest: Newest, rows: Rows) -> Round | Unreadable | None:
        there = [rows.get(_where(self._rounds.place(name, number))) for number in _numbers(newest.round)]
        if there[-1] is not None or (newest.round and there[0] is None):
            return next(iter(self._rounds.history(name, None, 1)), None)
        return _one(Round, there)

    def _deployment(self, name: str, newest: Newest, rows: Rows) -> Deployment | Unreadable | None:
        there = [rows.get(_where(self._registry.place_of_deployment(name, number))) for number in _numbers(newest.revision)]
        if there[-1] is not None or (newest.revision and there[0] is None):
            return next(iter(self._registry.page_of_deployments(name, None, 1)), None)
        return _one(Deployment, there)


def _open(now: Now, model: str) -> tuple[Alert, ...]:
    """The alerts of a model, or of the stack, that are open."""
    return tuple(alert for alert in now.alerts if alert.model == model and alert.state is not AlertState.CLEARED)


def _numbers(newest: int) -> tuple[int, ...]:
    """What is looked for of rows that are numbered from 1 on: the newest, as was noted, and the one that may have followed."""
    return (newest, newest + 1) if newest else (1, 2)


def _where(place: tuple[Table, Key]) -> tuple[str, str, str]:
    table, key = place
    return table.name, key["pk"], key["sk"]


def _one(kind: type[Row], rows: Iterable[Item | None]) -> Row | Unreadable | None:
    return next(each(kind, [row for row in rows if row]), None)


def _fleet(counted: Tally) -> CountedFleet:
    return CountedFleet(
        counted_at=counted.counted_at,
        clients=counted.clients,
        active=counted.active,
        by_model=counted.active_by_model,
        by_cohort=counted.active_by_cohort,
    )


def _reply(standing: ModelStanding, stack: StackNow) -> admin.ModelOverview:
    model = None if isinstance(standing.model, Unreadable) else standing.model
    last = None if isinstance(standing.last, Unreadable) else standing.last
    deployment = None if isinstance(standing.deployment, Unreadable) else standing.deployment
    rollout = deployment.rollout if deployment else None
    counted = (last.summary or last.so_far or Summary()) if last else None
    return admin.ModelOverview(
        model=standing.name,
        why=why(standing, stack),
        training=model
        and admin.TrainingReply(
            state=training.standing(model, standing.last),
            rounds_completed=training.completed(standing.last),
            rounds_wanted=model.rounds_wanted,
        ),
        deployed_version=deployment.stable.version if deployment else None,
        candidate_version=rollout.candidate.version if rollout else None,
        percent=100 * rollout.share / ALL if rollout else None,
        round=last.number if last else None,
        phase=last.phase.value if last else None,
        accepted=counted.accepted if counted else None,
        goal=last.config.goal if last else None,
        active=stack.fleet.by_model.get(standing.name, 0) if stack.fleet else None,
        alerts=[alerts.reply(alert) for alert in standing.alerts],
    )
