"""What is looked at to say why a model stands where it stands: values, read by `overview`, judged by `why`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.monitoring.alert import Alert
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model
from chalicelib.rounds.round import Round
from chalicelib.storage.alarms import Alarm
from chalicelib.storage.rows import Unreadable
from chalicelib.vitals import Pulse, Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedFleet:
    """The clients, as last counted."""

    counted_at: datetime
    clients: int
    active: int
    by_model: dict[str, int]
    """Those that live and say that they run it."""
    by_cohort: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackNow:
    """What concerns all models."""

    now: datetime
    tick: timedelta
    """From one tick to the next."""
    census: timedelta
    """From one count of a small fleet to the next."""
    pulse: Pulse | None
    begun_at: datetime | None = None
    """When its first model was made; None: there is none that can be read."""
    fleet: CountedFleet | None = None
    """None: it was never counted as a whole."""
    troubles: tuple[Trouble, ...] = ()
    """Those that last, of models and of the stack."""
    dead_letters: int | None = None
    """None: not known."""
    alarms: tuple[Alarm, ...] = ()
    """That ring."""
    unknown: tuple[str, ...] = ()
    """What could not be found out, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStanding:
    """What is stored of a model."""

    name: str
    model: Model | Unreadable
    last: Round | Unreadable | None
    """Its current or last round; None: it never had one."""
    deployment: Deployment | Unreadable | None
    """None only while a backup is being restored."""
    alerts: tuple[Alert, ...] = ()
    """That are open."""
