"""The whole demo, in a cloud that answers: the operator, the devices; until enough rounds have completed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from examples.digits import console, tour
from examples.digits.crew import Crew
from examples.digits.data import Digits, digits
from examples.digits.devices import Behaviour, Honest, Hostile, not_a_number, wrong_shape
from examples.digits.model import accuracy, central_accuracies, network, round_config
from examples.digits.outcome import DemoOutcome, HostileFigures, RoundFigures, VersionFigures
from examples.digits.place import DemoPlace, Pace
from examples.digits.report import Screen
from muster.operator import Operator
from muster.training.torch import TorchTrainer, checkpoint, weights
from muster.wire import admin

LOOK_SECONDS = 1.5
"""How often the operator looks."""

MOST_ROUNDS = 2
"""Rounds that may end for each one wanted: some may be abandoned, but not for ever."""


class ModelExists(Exception):
    """The cloud has a model of that name."""


def run(cloud: DemoPlace, screen: Screen, *, model: str, rounds: int, devices: int, seed: int) -> DemoOutcome:
    """Train a new model federated, with so many honest devices, then centrally, and measure both.

    Raises:
        ModelExists: there is such a model in the cloud.
        RuntimeError: a device or a process of the cloud gave up.
    """
    torch.set_num_threads(1)
    started = time.monotonic()
    data = digits(devices, seed)
    base = weights(network(seed))
    with closing(Operator.connect(cloud.url)) as operator, TemporaryDirectory(prefix="muster-") as folder:
        if any(one.model == model for one in operator.models()):
            raise ModelExists(f"there is a model {model} already")
        names = "" if cloud.is_own else f"{model}-"  # of other runs' devices in the same cloud
        honest = _honest(data, seed, names, cloud.pace)
        hostile = [
            Hostile(f"{names}hostile-nan", not_a_number(base), "not-finite"),
            Hostile(f"{names}hostile-shape", wrong_shape(base), "wrong-shape"),
        ]
        config = round_config(devices, len(hostile), cloud.pace)
        place = "on this machine" if cloud.is_own else cloud.url
        screen.open(place, console.command(cloud), devices, [one.client_id for one in hostile], config, rounds)
        figures = _Figures(operator=operator, model=model, data=data, goal=config.goal)
        token = operator.mint_token(devices + len(hostile), label="demo", models=[model]).token
        operator.create_model(model, checkpoint(network(seed)), config)
        members: list[Behaviour] = [*honest, *hostile]
        with Crew(url=cloud.url, token=token, model=model, members=members, folder=Path(folder), pace=cloud.pace) as crew:
            operator.start(model, rounds)

            def healthy() -> None:
                crew.check()
                cloud.check()

            ended = []
            for rnd in _ended_rounds(operator, model, rounds, cloud.pace.patience, screen, healthy):
                ended.append(figures.round(rnd))
                screen.row(ended[-1])
        versions = tuple(figures.version(version) for version in reversed(list(operator.versions(model))))
        deployed_version = operator.status(model).deployed_version
        toured = tour.take(cloud.url, model)
    screen.central(len(data.union))
    return DemoOutcome(
        seed=seed,
        devices=devices,
        rounds_wanted=rounds,
        rounds=tuple(ended),
        versions=versions,
        hostile=tuple(_figures(one) for one in hostile),
        deployed_version=deployed_version,
        disappearances=sum(len(one.disappeared) for one in honest),
        tour=toured,
        central=tuple(central_accuracies(data, rounds, seed)),
        seconds=time.monotonic() - started,
    )


class _Figures:
    """Downloads versions, verified, and measures them on the held-out scans, each once."""

    def __init__(self, *, operator: Operator, model: str, data: Digits, goal: int) -> None:
        self._operator = operator
        self._model = model
        self._goal = goal
        self._held_out = data.held_out
        self._measured: dict[str, float] = {}

    def round(self, rnd: admin.RoundReply) -> RoundFigures:
        """The figures of a round that has ended."""
        version = None if rnd.version is None else self.version(self._operator.version(self._model, rnd.version))
        return RoundFigures(
            number=rnd.number,
            phase=rnd.phase,
            accepted=rnd.accepted,
            goal=self._goal,
            rejected=rnd.rejected,
            late=rnd.late,
            uploaded_bytes=rnd.uploaded_bytes,
            seconds=(rnd.finished_at - rnd.opened_at).total_seconds() if rnd.finished_at and rnd.opened_at else 0.0,
            version=rnd.version,
            accuracy=version.accuracy if version else None,
            gain=rnd.gain,
            deployed=rnd.deployed,
            reason=rnd.reason,
        )

    def version(self, found: admin.VersionReply) -> VersionFigures:
        """The figures of a version."""
        sha256 = found.checkpoint.sha256
        if sha256 not in self._measured:
            self._measured[sha256] = accuracy(self._operator.download(found.checkpoint), self._held_out)
        return VersionFigures(
            version=found.version,
            base=found.base,
            parent=found.parent,
            round=found.round,
            state=found.state,
            accuracy=self._measured[sha256],
            sha256=sha256,
        )


def _ended_rounds(
    operator: Operator, model: str, wanted: int, patience: float, screen: Screen, healthy: Callable[[], None]
) -> Iterator[admin.RoundReply]:
    """Each round when it has ended and every place in it is settled; until enough have completed, or patience is over."""
    number, completed = 1, 0
    give_up_at = time.monotonic() + patience
    while completed < wanted and number <= MOST_ROUNDS * wanted and time.monotonic() < give_up_at:
        healthy()
        status = operator.status(model)
        screen.look(status)
        rnd = status.round
        if rnd and rnd.number > number:
            rnd = operator.round(model, number)
        if rnd is None or rnd.number < number or not rnd.finished_at or rnd.assigned or rnd.reported:
            time.sleep(LOOK_SECONDS)
            continue
        yield rnd
        number += 1
        completed += rnd.phase == "completed"
        give_up_at = time.monotonic() + patience


def _honest(data: Digits, seed: int, names: str, pace: Pace) -> list[Honest]:
    return [
        Honest(
            f"{names}device-{number:02}",
            TorchTrainer(network(seed), holding.train, holding.test, short_batches=True, seed=seed * 10_000 + number),
            seed=seed,
            pace=pace,
        )
        for number, holding in enumerate(data.holdings, start=1)
    ]


def _figures(one: Hostile) -> HostileFigures:
    outcomes = {
        round_id: receipt.reason or receipt.state if receipt.state == "rejected" else receipt.state
        for round_id, receipt in one.receipts.items()
    }
    return HostileFigures(one.client_id, one.expected_reason, outcomes)
