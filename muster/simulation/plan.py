"""What is asked of a run, and the configuration of a model that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muster.simulation.app import App
from muster.simulation.errors import BadPlan
from muster.simulation.hostile import KINDS, HostileKind
from muster.wire.admin import RoundConfig
from muster.wire.hyperparameters import HyperparameterSchema

MOST_CLIENTS = 10_000
"""In one process; beyond that, a fleet is planned for by formulae (docs/scale.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPlan:
    """What is asked of a run. The same plan, the same versions, to the last bit."""

    clients: int
    rounds: int
    """That have to complete."""
    partition: str = "iid"
    seed: int = 0
    fraction: float = 1.0
    """Of the clients, that a round admits."""
    over_selection: float = 1.0
    """Clients admitted, as a multiple of those that close a round."""
    dropout: float = 0.0
    """Probability that a device, once it was given a place, is not heard of before the round is over."""
    hostile: float = 0.0
    """Share of the clients that are hostile."""
    hostile_kind: HostileKind = "sign-flip"
    spread: float = 0.0
    """Of the devices' paces: the deviation of the logarithm of how long a training takes. At 1, one in six takes e times as
    long as the middle one."""

    def __post_init__(self) -> None:
        """Checked.

        Raises:
            BadPlan: a number is out of bounds.
        """
        bounds: dict[str, tuple[float, float]] = {
            "clients": (1, MOST_CLIENTS), "rounds": (1, 10**6), "fraction": (0.0, 1.0), "over_selection": (1.0, 10.0),
            "dropout": (0.0, 0.95), "hostile": (0.0, 1.0), "spread": (0.0, 3.0),
        }  # fmt: skip
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise BadPlan(f"{name}: expected a number from {least:g} to {most:g}, got {getattr(self, name)!r}")
        if self.fraction == 0.0:
            raise BadPlan("fraction: expected more than 0, got 0.0")
        if self.hostile_kind not in KINDS:
            raise BadPlan(f"hostile_kind: expected one of {', '.join(KINDS)}, got {self.hostile_kind!r}")

    @property
    def hostile_clients(self) -> int:
        """How many are hostile: the last ones."""
        return round(self.hostile * self.clients)

    def config(self, app: App, schema: Mapping[str, HyperparameterSchema] | None = None) -> RoundConfig:
        """The app's configuration, and where it says nothing, what suits a fleet of this size. `schema` is what its trainers
        understand of hyperparameters, where they say it.

        Raises:
            pydantic.ValidationError: a member is unknown or out of bounds, or two contradict each other.
            BadPlan: no fleet of this size can close such a round.
        """
        goal = max(1, math.floor(max(1, round(self.fraction * self.clients)) / self.over_selection))
        told = dict(app.config)
        chosen: dict[str, Any] = {"goal": goal, "over_selection": self.over_selection, "evaluators": min(self.clients, 15)}
        if "quorum" not in told:
            chosen["quorum"] = max(1, int(told.get("goal", goal)) // 2)
        if int(told.get("evaluators", chosen["evaluators"])) < 5:  # so few are never certain
            chosen |= {"evaluation_level": 0.5, "evaluation_liars": 0}
        chosen |= {"seed": self.seed, "hyperparameter_schema": schema and dict(schema)}
        config = RoundConfig.model_validate({**chosen, **told})
        if config.quorum > self.clients:
            raise BadPlan(f"config: a round needs {config.quorum} updates (quorum), and there are {self.clients} clients")
        return config
