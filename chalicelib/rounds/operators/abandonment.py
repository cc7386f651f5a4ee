"""The operators' use case of abandoning a round: one that goes on, or one whose row nobody can read."""

from __future__ import annotations

from typing import TypeVar

from chalicelib.errors import Refusal
from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.model import Model
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.moves import Abandoned, Phase
from chalicelib.rounds.opening import completed_rounds
from chalicelib.rounds.operators.finding import RoundFinder
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import RoundStore, parts_in
from chalicelib.storage.rows import Unreadable, readable_one
from muster.wire import admin
from muster.wire.problems import Problem
from muster.wire.refs import CheckpointRef

Kept = TypeVar("Kept")

TRIES = 8
"""How often a round is read again when it moved on in between. It has three moves in all."""

EARLIER = 50
"""Rounds among which the last one that can be read is looked for."""


class Abandonment:
    """Ends rounds before their time."""

    def __init__(
        self, *, catalogue: Catalogue, registry: RegistryStore, rounds: RoundStore, finder: RoundFinder, clock: Clock
    ) -> None:
        self._catalogue = catalogue
        self._registry = registry
        self._rounds = rounds
        self._finder = finder
        self._clock = clock

    def abandon(self, model: str, number: int, request: admin.AbandonRound) -> Round:
        """End an open round, or one that cannot be read, and return it; one that was abandoned already is returned as it is.

        What is deployed stays deployed; a version that the round has published stays staged. Its receipts get their last word
        when the model is reconciled next. In the place of a row that cannot be read comes one of an abandoned round, from which
        the next one can open: it starts from what is deployed.

        Raises:
            Refusal: `unknown-model`, `unknown-round`, `round-ended` (it completed).
        """
        for _ in range(TRIES):
            rnd = self._finder.find(model, number)
            if isinstance(rnd, Unreadable):
                instead = self._in_place_of(rnd, self._catalogue.model(model), request.because)
                if self._rounds.replace_unreadable(rnd, instead):
                    log.warning("unreadable round taken away", round=str(instead.id), because=request.because)
                    return instead
                continue
            if rnd.phase is Phase.ABANDONED:
                return rnd
            if rnd.is_terminal:
                raise Refusal(
                    Problem.ROUND_ENDED,
                    f"round {rnd.id} is {rnd.phase}",
                    expected="a round that is collecting, aggregating or evaluating",
                    got=f"a round that is {rnd.phase}",
                )
            now = self._clock()
            abandoned = Abandoned(
                reason=request.because,
                closed_at=rnd.closed_at or now,
                finished_at=now,
                norm_bound=rnd.norm_bound,
                called_off=True,
            )
            ended = self._rounds.move(rnd, abandoned)
            if ended is not None:
                return ended
        raise RuntimeError(f"round {RoundId(model, number)} moved on {TRIES} times while it was to be abandoned")

    def _in_place_of(self, unknown: Unreadable, model: Model, because: str) -> Round:
        """An abandoned round that takes the place of one that cannot be read.

        Of its row is kept what can be read, as far as it matters to what comes after: how many rounds have completed, the
        version that it made, and, of one that was finalised, what it came to.
        """
        deployment = self._registry.present(model.name)
        was, now = unknown.item, self._clock()
        fence, completed = was.get("fence"), was.get("completed_before")
        earlier = (row for row in self._rounds.history(model.name, unknown.number, EARLIER) if isinstance(row, Round))
        is_last = next(iter(self._rounds.history(model.name, None, 1))).number == unknown.number
        return Round(
            model=model.name,
            number=unknown.number,
            phase=Phase.ABANDONED,
            fence=fence + 1 if isinstance(fence, int) else 1,
            config=model.config_of_rounds,
            base=deployment.stable,
            deployed=deployment.stable,
            deployment_revision=deployment.revision,
            parts=parts_in(was),
            opened_at=now,
            report_by=now,
            completed_before=(
                completed + (was.get("phase") == Phase.COMPLETED)
                if isinstance(completed, int)
                else completed_rounds(next(earlier, None))
            ),
            closed_at=now,
            candidate=_kept(CheckpointRef, was.get("candidate")),
            reason=because,
            called_off=True,
            finished_at=now,
            summary=_kept(Summary, was.get("summary")) or (None if is_last else Summary()),
        )


def _kept(kind: type[Kept], value: object) -> Kept | None:
    """A part of a row, or None where there is none that can be read."""
    return readable_one(kind, value) if isinstance(value, dict) else None
