"""What both contestants are given, as a file: the examples, who holds which, and the first weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from muster.simulation.loading import load
from muster.simulation.plan import SimulationPlan
from muster.simulation.running import divided
from muster.simulation.workers import Workbench, one_thread
from muster.wire.arrays import decode
from muster.wire.tensors import HEADER_LIMIT_BYTES

EXAMPLE = Path(__file__).parent.parent.parent / "examples/characters/federated.py"
PLAN = SimulationPlan(clients=20, rounds=8, partition="key")


def write(path: Path) -> None:
    """Write what `muster simulate` draws from the plan's seed."""
    app = load(str(EXAMPLE))
    examples, parts, held_out = divided(app, PLAN)
    bench = Workbench(app, examples, parts, PLAN.seed)
    told: dict[str, Any] = {"inputs": examples.inputs, "labels": examples.labels, "held_out": held_out}
    for number in range(PLAN.clients):
        told[f"train-{number}"], told[f"test-{number}"] = bench.cut(number)
    with one_thread():
        first = decode(app.first_checkpoint(bench.own(0), PLAN.seed), HEADER_LIMIT_BYTES)
    told |= {f"first/{name}": array for name, array in first.items()}
    np.savez(path, **told)
