"""Asks the site's rule. Whatever is not a clear yes admits nobody.

| the rule | the request |
|---|---|
| returns None | goes on |
| returns `NotAdmitted` | is refused, `refused-by-site`, with its reason |
| raises, returns anything else, takes longer than a second | fails: a 500, and the rule's name in the log |

The rule runs in a thread of its own, because nothing else ends a wait for code that does not return. That thread cannot be
stopped; as long as one is at it, no further one is begun: others wait for it, as long as for an answer. So a rule that hangs
takes one thread of a function instance and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock, Thread

from chalicelib.admission.asking import NotAdmitted, SiteQuestion
from chalicelib.admission.finding import SiteRule
from chalicelib.errors import Refusal
from chalicelib.log import log
from muster.wire.problems import Problem

RULE_SECONDS = 1.0
"""How long a rule may take. It should take a thousandth of that, and ask nobody."""


class SiteRuleFailed(Exception):
    """The rule said neither yes nor no."""


@dataclass(slots=True)
class _Answer:
    returned: object = None
    raised: BaseException | None = None


class Admission:
    """One rule, or none, and then everybody is admitted."""

    def __init__(self, name: str = "", rule: SiteRule | None = None, *, seconds: float = RULE_SECONDS) -> None:
        self._name = name
        self._rule = rule
        self._seconds = seconds
        self._busy = Lock()

    @property
    def asks(self) -> bool:
        """Whether there is a rule."""
        return self._rule is not None

    def check(self, asked: SiteQuestion) -> None:
        """Let the rule say whether this may go on.

        Raises:
            Refusal: `refused-by-site`.
            SiteRuleFailed: the rule did not say so in time, or at all.
        """
        if self._rule is None:
            return
        said = self._answer(self._rule, asked)
        if said is None:
            return
        if not isinstance(said, NotAdmitted):
            raise self._failed(f"expected None or NotAdmitted, got {type(said).__name__}")
        log.info("refused by the site's rule", rule=self._name, what=asked.what, client=asked.client_id, reason=said.reason)
        raise Refusal(
            Problem.REFUSED_BY_SITE,
            f"the rule of this site does not admit this {asked.what}: {said.reason}",
            expected=f"what the rule {self._name!r} admits",
            got=said.reason,
        )

    def _answer(self, rule: SiteRule, asked: SiteQuestion) -> object:
        if not self._busy.acquire(timeout=self._seconds):
            raise self._failed("an earlier question has not been answered yet")
        answer = _Answer()

        def ask() -> None:
            try:
                answer.returned = rule(asked)
            except BaseException as error:  # noqa: BLE001 (it is raised below, in the thread that waits)
                answer.raised = error
            finally:
                self._busy.release()

        asking = Thread(target=ask, name=f"site rule {self._name}", daemon=True)
        asking.start()
        asking.join(self._seconds)
        if asking.is_alive():
            raise self._failed(f"it has not answered within {self._seconds:g} s")
        if answer.raised is not None:
            raise self._failed(f"it raised {type(answer.raised).__name__}") from answer.raised
        return answer.returned

    def _failed(self, why: str) -> SiteRuleFailed:
        return SiteRuleFailed(f"the site's rule {self._name!r} failed: {why}")
