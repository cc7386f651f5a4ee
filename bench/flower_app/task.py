"""The contests, and what both contestants are given, as a file: the examples of each part, and the first weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muster.simulation.loading import load
from muster.simulation.plan import SimulationPlan
from muster.simulation.running import divided
from muster.simulation.workers import Workbench, one_thread
from muster.wire.arrays import Array, decode
from muster.wire.tensors import HEADER_LIMIT_BYTES

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """An example, and the Flower app of the same name."""

    name: str
    plan: SimulationPlan
    whole: str | None = None
    """Where a part of the module never travels: the app of the example's file that sends all of it. By its first checkpoints
    each device's own part is known. Then the accuracy at home is compared instead of the held-out one, which means nothing.
    """
    apart: tuple[str, ...] = ()
    """Functions and constants that are the data, the network or another example, and are not counted as lines of either."""

    @property
    def example(self) -> Path:
        """Its file here."""
        return ROOT / f"examples/{self.name}/federated.py"

    @property
    def app(self) -> Path:
        """The folder of the Flower app."""
        return HERE / self.name

    @property
    def metric(self) -> str:
        """What is compared, in words."""
        return "accuracy at home" if self.whole else "held-out accuracy"


CONTESTS = (
    Contest(name="characters", plan=SimulationPlan(clients=20, rounds=8, partition="key")),
    Contest(name="tabular", plan=SimulationPlan(clients=10, rounds=8, partition="dirichlet:0.5"), apart=("tumours",)),
    Contest(
        name="heads",
        plan=SimulationPlan(clients=40, rounds=8, partition="shards:2"),
        whole="shared",
        apart=("SHA256", "EACH", "mnist", "network", "travelling", "shared"),
    ),
)


def write(contest: Contest, path: Path) -> None:
    """Write what `muster simulate` draws from the plan's seed."""
    app = load(str(contest.example))
    examples, parts, held_out = divided(app, contest.plan)
    bench = Workbench(app, examples, parts, contest.plan.seed)
    told: dict[str, Any] = {"held_out/inputs": examples.inputs[held_out], "held_out/labels": examples.labels[held_out]}
    for number in range(contest.plan.clients):
        for part, chosen in zip(("train", "test"), bench.cut(number), strict=True):
            told |= {f"{part}-{number}/inputs": examples.inputs[chosen], f"{part}-{number}/labels": examples.labels[chosen]}
    with one_thread():
        first = decode(app.first_checkpoint(bench.own(0), contest.plan.seed), HEADER_LIMIT_BYTES)
        told |= {f"first/{name}": array for name, array in first.items()}
        for number in range(contest.plan.clients if contest.whole else 0):
            told |= {f"own-{number}/{name}": array for name, array in _own(contest, bench, number).items() if name not in first}
    np.savez(path, **told)


def _own(contest: Contest, bench: Workbench, number: int) -> dict[str, Array]:
    """The module of a device as its trainer is made, whole."""
    own = bench.own(number)
    return decode(load(f"{contest.example}:{contest.whole}").first_checkpoint(own, own.seed), HEADER_LIMIT_BYTES)
