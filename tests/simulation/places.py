"""The same plan in the cloud in this process and in another one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from infra.memory.place import MemoryPlace
from muster.operator import Operator
from muster.simulation.outcome import SimulationOutcome
from muster.simulation.place import RemotePlace
from muster.simulation.plan import SimulationPlan
from muster.simulation.running import simulate

WINE = str(Path(__file__).parent / "wine.py")


def in_this_process(where: str = WINE, *, processes: int = 0, central: bool = False, **asked: Any) -> SimulationOutcome:
    plan = SimulationPlan(**{"clients": 8, "rounds": 2, **asked})
    with closing(MemoryPlace()) as place:
        operator = Operator(place.url, http=place.http())
        return simulate(where, plan, place=place, operator=operator, processes=processes, central=central)


def there(operator: Operator, where: str = WINE, *, model: str | None = None, **asked: Any) -> SimulationOutcome:
    plan = SimulationPlan(**{"clients": 8, "rounds": 2, **asked})
    return simulate(where, plan, place=RemotePlace(operator.url), operator=operator, model=model)


def digests(outcome: SimulationOutcome) -> list[str | None]:
    return [rnd.sha256 for rnd in outcome.rounds]
