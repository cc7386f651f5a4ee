"""The operators' use cases of rounds: find one, abandon one."""

from __future__ import annotations

from chalicelib.errors import Refused
from chalicelib.instants import Clock
from chalicelib.registry.catalogue import Catalogue
from chalicelib.rounds.round import Phase, Round, round_id
from chalicelib.rounds.store import RoundStore
from muster.wire import admin
from muster.wire.problems import Problem

TRIES = 8
"""How often a round is read again when it moved on in between. It has three moves in all."""


class RoundDesk:
    """Rounds, as operators handle them."""

    def __init__(self, catalogue: Catalogue, rounds: RoundStore, clock: Clock) -> None:
        self._catalogue = catalogue
        self._rounds = rounds
        self._clock = clock

    def abandon(self, model: str, number: int, request: admin.AbandonRound) -> Round:
        """End an open round, and return it; one that was abandoned already is returned as it is.

        What is deployed stays deployed; a version that the round has published stays staged. Its receipts get their last word
        from the next look at the model.

        Raises:
            Refused: `unknown-model`, `unknown-round`, `round-ended` (it completed).
        """
        for _ in range(TRIES):
            rnd = self.find(model, number)
            if rnd.phase is Phase.ABANDONED:
                return rnd
            if rnd.is_terminal:
                raise Refused(
                    Problem.ROUND_ENDED,
                    f"round {rnd.id} is {rnd.phase}",
                    expected="a round that is collecting, aggregating or evaluating",
                    got=f"a round that is {rnd.phase}",
                )
            now = self._clock()
            ended = self._rounds.move(
                rnd, Phase.ABANDONED, reason=request.because, closed_at=rnd.closed_at or now, finished_at=now
            )
            if ended is not None:
                return ended
        raise RuntimeError(f"round {model}.{number} moved on {TRIES} times while it was to be abandoned")

    def find(self, model: str, number: int) -> Round:
        """A round.

        Raises:
            Refused: `unknown-model`, `unknown-round`.
        """
        self._catalogue.model(model)
        rnd = self._rounds.get(model, number)
        if rnd is None:
            last = self._rounds.latest(model)
            raise Refused(
                Problem.UNKNOWN_ROUND,
                f"no round {round_id(model, number)}",
                expected=f"1 to {last.number}" if last else f"{model} has had no round yet",
                got=number,
            )
        return rnd
