"""The simulated devices: each is the SDK, with a trainer whose results come from a worker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from muster.device import Device, Evaluation, TrainingResult
from muster.device.trainer import Hyperparameters
from muster.simulation.app import seed_of
from muster.simulation.place import SimulatedPlace
from muster.simulation.plan import SimulationPlan
from muster.simulation.workers import client_id
from muster.wire.arrays import Array


@dataclass(slots=True)
class Awaited:
    """A trainer for one place: what it says was, or is being, computed by a worker."""

    training: Future[TrainingResult] | None = None
    measuring: Sequence[Future[Evaluation]] = ()
    """In the order in which a judge asks: the deployed version, the candidate."""
    _measured: int = 0

    def train(self, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
        """The worker's result; it had the same base."""
        if self.training is None:
            raise AssertionError("a device trains that was asked to judge")
        return self.training.result()

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """The worker's measurement of the next version."""
        self._measured += 1
        return self.measuring[self._measured - 1].result()


@dataclass(slots=True, kw_only=True)
class SimulatedDevice:
    """One device, and its nature."""

    number: int
    device: Device
    hostile: bool
    training_seconds: float
    dice: np.random.Generator

    def vanishes(self, round_id: str, seed: int, probability: float) -> bool:
        """Whether it disappears from a round: always the same for the same round."""
        return np.random.default_rng(seed_of(seed, self.device.client_id, round_id)).random() < probability


def enrolled(
    place: SimulatedPlace, plan: SimulationPlan, *, token: str, model: str, folder: Path, names: str = ""
) -> list[SimulatedDevice]:
    """All devices of a plan, each with a key. `names` is put before their ids."""
    found = []
    for number in range(plan.clients):
        name = names + client_id(number)
        dice = np.random.default_rng(seed_of(plan.seed, name, "dice"))
        device = Device.enrol(place.url, token, name, model=model, state_dir=folder / name, http=place.http())
        device.clock, device.random = place.now, dice.random
        device.beat_after(0.0)
        found.append(
            SimulatedDevice(
                number=number,
                device=device,
                hostile=number >= plan.clients - plan.hostile_clients,
                training_seconds=place.training_seconds * math.exp(plan.spread * dice.normal()),
                dice=dice,
            )
        )
    return found
