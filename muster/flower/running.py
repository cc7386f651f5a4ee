"""The use case of `muster flower run`: an app, its clients, its ServerApp, and where its rounds run.

    without a cloud   the ServerApp runs as it is, on a grid that is stored in the state folder
    with a cloud      a strategy of Flower's own runs there, as a model, by Muster's rules; any other as without

What needs flwr is imported once it is known to be there (`component` says so when it is not).

Either way the same command with the same state folder goes on where the last one died; had it ended, the result is said again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from muster.device.files import replace_file
from muster.device.trainer import Trainer
from muster.flower.clients import ClientPlace, Clients, Here, Processes, seed_of, sow
from muster.flower.errors import Unmapped
from muster.flower.fleet import CloudFleet, FleetPlace
from muster.flower.journal import Journal
from muster.flower.loading import FlowerApp, component
from muster.flower.requests import Heard, PlayedRound, WantedTraining, Watch
from muster.flower.strategies import is_known, mapped
from muster.wire.arrays import Array, encode
from muster.wire.deciding import DecidingMetric

log = logging.getLogger(__name__)

FINAL = "final.safetensors"
"""The file in the state folder with the arrays that the last strategy ended with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run an app."""

    state: Path
    clients: int
    seed: int = 0
    processes: int | None = None
    """In which the ClientApp answers: one a core unless given; 0 for this process."""
    fleet: FleetPlace | None = None
    """The cloud in which strategies of Flower's own run, if any."""
    metric: DecidingMetric | None = None
    """By which the cloud's versions are judged; without it nobody judges."""
    watch: Watch = lambda call: None
    say: Callable[[str], None] = lambda sentence: None
    """Is told what happens, in sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What a run came to."""

    calls: int
    """Of the ServerApp to its grid."""
    replayed: int
    """Of them, those that were answered from the journal."""
    model: str | None = None
    """In the cloud, if a strategy ran there."""
    sha256: str | None = None
    """Of the file with the final arrays; None when no strategy ended with any, or they are of no dtype of a model."""


def run(app: FlowerApp, options: RunOptions) -> RunOutcome:
    """Run an app to its end.

    Raises:
        FlowerError: something of the app, or of what it does, cannot be; the sentence names it.
        Refused, Unreachable: the cloud said no, or nothing.
        OSError: the state folder cannot be written.
    """
    sow(seed_of(options.seed, "import"))  # an app may make its first model when it is imported
    server = component(app, "serverapp")
    client = component(app, "clientapp")
    clients: Clients = Here(client) if options.processes == 0 else Processes(app, options.processes)
    head = {
        "app": app.name, "clients": options.clients, "run config": dict(app.config), "seed": options.seed,
        "cloud": options.fleet.url if options.fleet else None,
    }  # fmt: skip
    with closing(Journal(options.state / "journal.sqlite", head)) as journal, closing(clients):
        return _Run(app, options, journal, clients=clients, client=client).serve(server)


class _Run:
    """One run of a ServerApp."""

    def __init__(self, app: FlowerApp, options: RunOptions, journal: Journal, *, clients: Clients, client: Any) -> None:
        self._app = app
        self._options = options
        self._journal = journal
        self._clients = clients
        self._client = client
        self._model: str | None = None
        self._sha256: str | None = None

    def serve(self, server: Any) -> RunOutcome:
        from muster.flower import bridge
        from muster.flower.conducting import conducted
        from muster.flower.grid import StoredGrid

        options, app = self._options, self._app
        bridge.identify()
        places = [
            ClientPlace(partition=number, partitions=options.clients, run_config=app.config)
            for number in range(options.clients)
        ]
        grid = StoredGrid(
            journal=self._journal,
            clients=self._clients,
            places=places,
            seed=options.seed,
            begun=self._begun(),
            watch=options.watch,
        )
        context = bridge.context(node=bridge.SERVER_NODE, config={}, run_config=dict(app.config), memory=None)
        if self._journal.stored:
            options.say(f"going on after {self._journal.stored} calls")
        sow(seed_of(options.seed, "server"))
        with conducted(grid, self, self._ended):
            server(grid, context)
        grid.check()
        calls = self._journal.finish()
        return RunOutcome(calls=calls, replayed=min(calls, self._journal.stored), model=self._model, sha256=self._sha256)

    def _begun(self) -> float:
        """When the run began, in seconds since 1970, rounded to a second."""
        file = self._options.state / "begun"
        if not file.exists():
            replace_file(file, str(int(time.time())).encode())
        return float(file.read_bytes())

    def _ended(self, arrays: Mapping[str, Array]) -> None:
        if not arrays:
            self._options.say("the strategy ended without arrays")
            return
        try:
            data = encode(arrays)
        except TypeError as error:
            self._options.say(f"the final arrays are not written: {error}")
            return
        self._sha256 = hashlib.sha256(data).hexdigest()
        replace_file(self._options.state / FINAL, data)

    # ---- in a cloud

    def plays(self, strategy: str) -> bool:
        """Whether there is a cloud, and the strategy is Flower's own."""
        if self._options.fleet is None:
            return False
        if not is_known(strategy):
            name = strategy.rpartition(".")[2]
            self._options.say(f"{name} is not one of the strategies that Muster has rules for: it runs here, as it is")
        return is_known(strategy)

    def play(self, wanted: WantedTraining) -> Iterator[PlayedRound]:
        """Play a strategy in the cloud.

        Raises:
            Unmapped: something of it has no place there.
        """
        name = wanted.strategy.rpartition(".")[2]
        made = mapped(wanted, self._options.clients, self._options.metric)
        for sentence in made.differs:
            self._options.say(f"{name} in Muster: {sentence}")
        if not made.config.evaluators:
            self._options.say("nobody judges: federated evaluation is left out (--metric names what it is judged by)")
        heard = Heard()
        place, model = self._named()
        fleet = CloudFleet(place, model, self._trainers(wanted, heard))
        return self._rounds(fleet.rounds(encode(wanted.arrays), made.config, wanted.rounds), heard)

    def _rounds(self, completed: Iterator[Any], heard: Heard) -> Iterator[PlayedRound]:
        for number, rnd in enumerate(completed, 1):
            self._options.say(f"round {number}: {rnd.id} completed")
            yield PlayedRound(rnd.arrays, heard.of(rnd.id, "train"), heard.of(rnd.id, "evaluate"))

    def _named(self) -> tuple[FleetPlace, str]:
        if self._options.fleet is None:
            raise AssertionError("nothing is played without a cloud")
        if self._model is not None:
            raise Unmapped("the app starts a second strategy, and a state folder has one model: run it without a cloud")
        self._model = self._options.fleet.model(self._app.name)
        self._options.say(f"model {self._model}")
        return self._options.fleet, self._model

    def _trainers(self, wanted: WantedTraining, heard: Heard) -> list[Trainer]:
        from muster.flower.records import RecordKeys
        from muster.flower.trainer import FlowerTrainer

        settings = wanted.settings
        keys = RecordKeys(settings.get("arrayrecord_key", "arrays"), settings.get("configrecord_key", "config"))
        make = partial(
            FlowerTrainer,
            self._client,
            partitions=self._options.clients,
            run_config=self._app.config,
            train_config=wanted.train_configs[0],
            evaluate_config=wanted.evaluate_config,
            api=wanted.api,
            keys=keys,
            order=list(wanted.arrays),
            clients=self._clients,
            hear=heard.note,
        )
        return [make(partition=number) for number in range(self._options.clients)]
