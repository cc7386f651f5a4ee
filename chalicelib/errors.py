"""How the server says no.

    Exception
    ├── Refusal            an answer: a problem document with a name both sides know (`muster.wire.problems`)
    └── anything else      a failure: logged, answered 500 or left to the queue's retry; never hidden

A refusal has changed nothing. A failure may have changed something, and the same step may be taken again.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from muster.wire.messages import ProblemDocument
from muster.wire.problems import Problem


class Refusal(Exception):
    """The request cannot be granted, for a reason that the caller can act on."""

    def __init__(
        self,
        problem: Problem,
        detail: str,
        *,
        expected: object = None,
        got: object = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        """`retry_after_seconds`: after how long the same request will not be refused for this reason."""
        super().__init__(f"{problem.value}: {detail}")
        self.problem = problem
        self.detail = detail
        self.expected = expected
        self.got = got
        self.retry_after_seconds = retry_after_seconds

    def document(self) -> ProblemDocument:
        """The problem document (RFC 9457) that answers the request."""
        return ProblemDocument(
            type=self.problem.urn,
            title=self.problem.kind.title,
            status=self.problem.kind.status,
            detail=self.detail,
            expected=None if self.expected is None else str(self.expected),
            got=None if self.got is None else str(self.got),
            retry_after_seconds=self.retry_after_seconds,
        )


def near(wanted: str, names: Iterable[str]) -> str:
    """What to expect in the place of a name that is unknown: the names that are near to it, or else the first few."""
    known = sorted(set(names))
    close = get_close_matches(wanted, known, n=3, cutoff=0.5)
    if close:
        return f"perhaps {' or '.join(close)}"
    return f"one of: {', '.join(known[:8])}{', …' if len(known) > 8 else ''}" if known else "none exist yet"
