"""How every use case of operators finds the round that it was asked for."""

from __future__ import annotations

from chalicelib.errors import Refusal
from chalicelib.registry.catalogue import Catalogue
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.rows import Unreadable
from muster.wire.problems import Problem


class RoundFinder:
    """Finds rounds of models that exist."""

    def __init__(self, catalogue: Catalogue, rounds: RoundStore) -> None:
        self._catalogue = catalogue
        self._rounds = rounds

    def find(self, model: str, number: int) -> Round | Unreadable:
        """A round, or what says that it cannot be read.

        Raises:
            Refusal: `unknown-model`, `unknown-round`.
        """
        self._catalogue.model(model)
        rnd = self._rounds.entry(model, number)
        if rnd is None:
            last = next(iter(self._rounds.history(model, None, 1)), None)
            raise Refusal(
                Problem.UNKNOWN_ROUND,
                f"no round {RoundId(model, number)}",
                expected=f"1 to {last.number}" if last else f"{model} has had no round yet",
                got=number,
            )
        return rnd
