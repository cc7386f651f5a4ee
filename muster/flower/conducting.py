"""Stands where a strategy begins, in both of Flower's APIs, and decides who plays it.

    flwr.serverapp.strategy.Strategy.start ──┐                  ┌─▶ yes: its rounds are played, in a cloud, and are its result
    flwr.server.server.Server.fit ───────────┴─▶ plays it? ─────┴─▶ no: it runs as it is, on the grid

All of the app's own code around that runs unmodified. Of the older API one thing is changed when a strategy runs as it is: it
sends a round's messages one by one from a pool of threads, and takes the results in the order in which a set of them happens to
be, so that no two runs add up floats alike. Here a round's messages are one call, and its results come in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from flwr.common import GetParametersIns, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import History, Server
from flwr.server import server as older
from flwr.serverapp.strategy import Result, Strategy

from muster.flower import records
from muster.flower.grid import Collected, StoredGrid
from muster.flower.records import EXAMPLES
from muster.flower.requests import PlayedRound, WantedTraining
from muster.flower.strategies import enough
from muster.wire.arrays import Array


class Player(Protocol):
    """Plays rounds in the place of a strategy."""

    def plays(self, strategy: str) -> bool:
        """Whether it plays a class of strategies, by its full name."""
        ...

    def play(self, wanted: WantedTraining) -> Iterator[PlayedRound]:
        """The rounds, as they complete."""
        ...


Ended = Callable[[Mapping[str, Array]], None]
"""Is given the arrays that a strategy ended with."""


@contextmanager
def conducted(grid: StoredGrid, player: Player, ended: Ended) -> Iterator[None]:
    """Inside the block, whoever starts one of Flower's strategies asks the player first."""
    clients = len(list(grid.get_node_ids()))
    start, fit = Strategy.start, Server.fit

    def started(self: Any, *args: Any, **words: Any) -> Any:
        return _started(self, _StartArguments(*args, **words), original=start, clients=clients, player=player, ended=ended)

    def fitted(self: Any, num_rounds: int, timeout: float | None) -> Any:
        enough(vars(self.strategy), clients)
        if type(self) is Server and player.plays(_class(self.strategy)):
            found = _fitted(self, num_rounds, timeout, player)
        else:
            found = fit(self, num_rounds, timeout)
        ended(_named(parameters_to_ndarrays(self.parameters)))
        return found

    replaced = (
        (Strategy, "start", started),
        (Server, "fit", fitted),
        (older, "fit_clients", _in_one_call(grid, lambda client, ins, **told: client.fit(ins, **told))),
        (older, "evaluate_clients", _in_one_call(grid, lambda client, ins, **told: client.evaluate(ins, **told))),
    )
    before = [getattr(owner, name) for owner, name, _ in replaced]
    for owner, name, new in replaced:
        setattr(owner, name, new)
    try:
        yield
    finally:
        for (owner, name, _), old in zip(replaced, before, strict=True):
            setattr(owner, name, old)


# ---- the newer API


class _StartArguments:
    """What `Strategy.start` is called with."""

    def __init__(
        self,
        grid: Any,
        initial_arrays: Any,
        num_rounds: int = 3,
        *rest: Any,
        **words: Any,
    ) -> None:
        names = ("timeout", "train_config", "evaluate_config", "evaluate_fn")
        given = dict(zip(names, rest, strict=False)) | words
        self.grid, self.initial_arrays, self.num_rounds = grid, initial_arrays, num_rounds
        self.timeout = given.get("timeout", 3600)
        self.train_config, self.evaluate_config = given.get("train_config"), given.get("evaluate_config")
        self.evaluate_fn = given.get("evaluate_fn")
        self.given = given


def _started(strategy: Any, said: _StartArguments, *, original: Any, clients: int, player: Player, ended: Ended) -> Any:
    enough(vars(strategy), clients)
    if player.plays(_class(strategy)):
        result = _result(strategy, said, player.play(_wanted(strategy, said)))
    else:
        result = original(strategy, said.grid, said.initial_arrays, said.num_rounds, **said.given)
    ended(records.arrays_of(result.arrays))
    return result


def _wanted(strategy: Any, said: _StartArguments) -> WantedTraining:
    return WantedTraining(
        api="message",
        strategy=_class(strategy),
        settings=vars(strategy),
        arrays=records.arrays_of(said.initial_arrays),
        rounds=said.num_rounds,
        timeout=said.timeout,
        train_configs=[dict(said.train_config or {})],
        evaluate_config=dict(said.evaluate_config or {}),
    )


def _result(strategy: Any, said: _StartArguments, played: Iterator[PlayedRound]) -> Any:
    """A result as the strategy itself would have made it, of rounds that were played elsewhere."""
    result = Result()
    result.arrays = said.initial_arrays

    def judged(number: int) -> None:
        found = said.evaluate_fn(number, result.arrays) if said.evaluate_fn else None
        if found is not None:
            result.evaluate_metrics_serverapp[number] = found

    judged(0)
    for number, rnd in enumerate(played, 1):
        result.arrays = records.record_of({name: rnd.arrays[name] for name in said.initial_arrays})
        if rnd.trained:
            result.train_metrics_clientapp[number] = strategy.train_metrics_aggr_fn(list(rnd.trained), EXAMPLES)
        if rnd.evaluated:
            result.evaluate_metrics_clientapp[number] = strategy.evaluate_metrics_aggr_fn(list(rnd.evaluated), EXAMPLES)
        judged(number)
    return result


# ---- the older API


def _fitted(server: Any, rounds: int, timeout: float | None, player: Player) -> Any:
    """What `Server.fit` returns, of rounds that were played elsewhere."""
    strategy = server.strategy
    first = strategy.initialize_parameters(client_manager=server.client_manager())
    if first is None:
        [client] = server.client_manager().sample(1)
        first = client.get_parameters(GetParametersIns(config={}), timeout=timeout, group_id=0).parameters
    server.parameters = first
    settings = vars(strategy)
    configure, configure_evaluate = settings.get("on_fit_config_fn"), settings.get("on_evaluate_config_fn")
    played = player.play(
        WantedTraining(
            api="numpy",
            strategy=_class(strategy),
            settings=settings,
            arrays=_named(parameters_to_ndarrays(first)),
            rounds=rounds,
            timeout=timeout,
            train_configs=[dict(configure(number)) if configure else {} for number in range(1, rounds + 1)],
            evaluate_config=dict(configure_evaluate(1)) if configure_evaluate else {},
        )
    )
    return _history(server, played), 0.0


def _history(server: Any, played: Iterator[PlayedRound]) -> Any:
    strategy, history = server.strategy, History()

    def judged(number: int) -> None:
        found = strategy.evaluate(number, parameters=server.parameters)
        if found is not None:
            history.add_loss_centralized(server_round=number, loss=found[0])
            history.add_metrics_centralized(server_round=number, metrics=found[1])

    judged(0)
    for number, rnd in enumerate(played, 1):
        server.parameters = ndarrays_to_parameters([rnd.arrays[name] for name in records.in_order(rnd.arrays)])
        if rnd.trained and strategy.fit_metrics_aggregation_fn:
            metrics = strategy.fit_metrics_aggregation_fn(list(rnd.trained))
            history.add_metrics_distributed_fit(server_round=number, metrics=metrics)
        if rnd.evaluated and strategy.evaluate_metrics_aggregation_fn:
            metrics = strategy.evaluate_metrics_aggregation_fn(list(rnd.evaluated))
            history.add_metrics_distributed(server_round=number, metrics=metrics)
        judged(number)
    return history


def _in_one_call(grid: StoredGrid, ask: Callable[..., Any]) -> Callable[..., Any]:
    """In the place of Flower's pool of threads: the messages of all clients are collected, sent together, and each client's
    reply is read when it is asked once more.
    """

    def together(client_instructions: Sequence[Any], max_workers: Any, timeout: Any, group_id: Any) -> Any:
        results: list[Any] = []
        failures: list[Any] = []
        with grid.collecting() as messages:
            for client, ins in client_instructions:
                try:
                    ask(client, ins, timeout=timeout, group_id=group_id)
                except Collected:
                    continue
        with grid.prepared(messages):
            for client, ins in client_instructions:
                try:
                    found = ask(client, ins, timeout=timeout, group_id=group_id)
                except ValueError as error:  # an error reply
                    failures.append(error)
                    continue
                fine = found.status.code.name == "OK"
                (results if fine else failures).append((client, found))
        return results, failures

    return together


def _named(arrays: Sequence[Array]) -> dict[str, Array]:
    return {str(number): array for number, array in enumerate(arrays)}


def _class(strategy: Any) -> str:
    return f"{type(strategy).__module__}.{type(strategy).__qualname__}"
