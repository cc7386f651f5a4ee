"""A run, from an app's file to its figures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from muster.simulation.app import App, LocalData, seed_of
from muster.simulation.data import Data, Indices
from muster.simulation.engine import Engine
from muster.simulation.loading import load
from muster.simulation.outcome import SimulatedRound, SimulationOutcome
from muster.simulation.partitions import split
from muster.simulation.place import SimulatedPlace
from muster.simulation.plan import SimulationPlan
from muster.simulation.workers import Workbench, Workers, one_thread
from muster.training.hyperparameters import schema_of
from muster.wire.arrays import decode
from muster.wire.scheduling import given
from muster.wire.tensors import HEADER_LIMIT_BYTES

if TYPE_CHECKING:
    from muster.operator import Operator

IN_MEMORY = Path("/dev/shm")  # noqa: S108 (folders there are made by tempfile)
"""Where devices keep what they know, if all of it fits: on a disk they would wait for it after every write."""

SHARE_OF_MEMORY = 0.25
"""Of what is free there, that a run may take."""

KEPT = 3
"""Checkpoints that a device keeps, and a little."""


def divided(app: App, plan: SimulationPlan) -> tuple[Data, list[Indices], Indices]:
    """All examples, those of each client, and those that nobody holds.

    Raises:
        TypeError: the app's data is none.
        BadPlan: it does not go round.
    """
    examples = app.examples()
    generator = np.random.default_rng(seed_of(plan.seed, "data"))
    order = generator.permutation(len(examples))
    held_out = max(1, round(app.held_out * len(examples)))
    pool = order[held_out:]
    parts = split(examples.take(pool), plan.clients, plan.partition, generator, app.least_examples)
    return examples, [pool[part] for part in parts], order[:held_out]


def simulate(
    where: str,
    plan: SimulationPlan,
    *,
    place: SimulatedPlace,
    operator: Operator,
    processes: int = 0,
    model: str | None = None,
    central: bool = False,
    divide: Callable[[Data, list[Indices]], None] = lambda data, parts: None,
    tell: Callable[[SimulatedRound], None] = lambda rnd: None,
) -> SimulationOutcome:
    """Run an app's federation at a place. `divide` is told who holds what, and `tell` each round that has ended.

    Raises:
        NoApp, BadPlan: of the app's file, or the plan; before anything has happened, as is whatever the file itself raises.
        TrainerFailed, Stuck, Refused: `Engine.run`.
    """
    app = load(where)
    plan.config(app)  # what is wrong with it is said before there are data
    examples, parts, held_out = divided(app, plan)
    divide(examples, parts)
    bench = Workbench(app, examples, parts, plan.seed)
    nobody = LocalData(train=examples.take(held_out), test=examples.take(held_out), client="nobody", seed=plan.seed)
    with one_thread():
        judge = app.trainer_of(nobody)
        config = plan.config(app, schema_of(judge))
        first = app.first_checkpoint(bench.own(0), plan.seed)
        room = _room(len(first) * KEPT * plan.clients)
        with tempfile.TemporaryDirectory(prefix="muster-", dir=room) as folder, Workers(bench, where, processes) as workers:
            engine = Engine(
                    app, plan, config=config, first=first, judge=judge, place=place, operator=operator,
                    workers=workers, folder=Path(folder), model=model or app.name, tell=tell,
                )  # fmt: skip
            outcome = engine.run()
        if central:
            union = examples.take(np.concatenate(parts))
            alone = app.trainer_of(replace(nobody, train=union))
            weights = decode(first, HEADER_LIMIT_BYTES)
            curve = []
            for number in range(1, plan.rounds + 1):
                weights = dict(alone.train(weights, given(config.hyperparameters, number)).weights)
                curve.append(alone.evaluate(weights).metrics[config.metric.name])
            outcome = replace(outcome, central=tuple(curve))
    return outcome


def _room(nbytes: int) -> str | None:
    """A folder in memory, if so much fits there easily; else None, for wherever temporary files lie."""
    if not os.access(IN_MEMORY, os.W_OK):
        return None
    free = os.statvfs(IN_MEMORY)
    return str(IN_MEMORY) if nbytes < SHARE_OF_MEMORY * free.f_bavail * free.f_frsize else None
