"""How the server says no.

    Exception
    ├── Refused            an answer: a problem document with a name both sides know (`muster.wire.problems`)
    └── anything else      a failure: logged, answered 500 or left to the queue's retry; never hidden

A refusal has changed nothing. A failure may have changed something, and the same step may be taken again.
"""

from __future__ import annotations

from muster.wire.messages import ProblemDocument
from muster.wire.problems import Problem


class Refused(Exception):
    """The request cannot be granted, for a reason that the caller can act on."""

    def __init__(self, problem: Problem, detail: str, *, expected: object = None, got: object = None) -> None:
        super().__init__(f"{problem.value}: {detail}")
        self.problem = problem
        self.detail = detail
        self.expected = expected
        self.got = got

    def document(self) -> ProblemDocument:
        """The problem document (RFC 9457) that answers the request."""
        return ProblemDocument(
            type=self.problem.urn,
            title=self.problem.kind.title,
            status=self.problem.kind.status,
            detail=self.detail,
            expected=None if self.expected is None else str(self.expected),
            got=None if self.got is None else str(self.got),
        )
