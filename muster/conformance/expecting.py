"""What a device has to do next, after something went wrong: what is right, what is wrong, what does not matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from muster.conformance.checks import Board
from muster.conformance.requests import RoutedRequest

EARLY = 0.9
"""A wait may be shorter by a tenth: a device may count from when it sent a request, and the kit from when that came."""

Right = Callable[[RoutedRequest], bool]
Wrong = Callable[[RoutedRequest], str | None]
"""What is wrong with a request, or None."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Open until a request is right or wrong."""

    check: str
    right: Right
    wrong: Wrong


class Expectations:
    """Those that are open."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._open: list[Expectation] = []

    def add(self, expectation: Expectation) -> None:
        """Expect something from now on."""
        self._open.append(expectation)

    def look(self, request: RoutedRequest) -> None:
        """Settle what a request settles."""
        still: list[Expectation] = []
        for one in self._open:
            why = one.wrong(request)
            if why:
                self._board.failed(one.check, why)
            elif one.right(request):
                self._board.passed(one.check)
            else:
                still.append(one)
        self._open = still

    def give_up(self, why: str) -> None:
        """Nothing more will come."""
        for one in self._open:
            self._board.failed(one.check, why)
        self._open = []


def again(check: str, first: RoutedRequest, *also: str, same: bool = False, seconds: float = 0.0) -> Expectation:
    """A request to the same path, or to one of some other routes; with the `same` body, and not before so many seconds."""
    path = (first.route, first.names)

    def right(request: RoutedRequest) -> bool:
        return (request.route, request.names) == path or request.route in also

    def wrong(request: RoutedRequest) -> str | None:
        if request.route != first.route:
            return None
        waited = request.seen.at - first.seen.at
        if waited < EARLY * seconds:
            return f"asked to wait {seconds:g} s, it waited {waited:.2f} s"
        return f"another {_name(first)} came in the place of the first" if same and request.said != first.said else None

    return Expectation(check, right, wrong)


def instead(check: str, route: str, *never: str) -> Expectation:
    """A request to this route, and before it none to others."""
    return Expectation(
        check,
        lambda request: request.route == route,
        lambda request: f"{_name(request)} came, as if nothing had been wrong" if request.route in never else None,
    )


def _name(request: RoutedRequest) -> str:
    return f"{request.seen.method} {request.route}"
