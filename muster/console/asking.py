"""Asks the API, for all pages together: one thread, one request at a time, and none while no page is open.

pages ──▶ wishes ──▶ a look every two seconds ──▶ Known ──▶ pages, which draw it when it has changed
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice

from muster.console.known import (
    LOOK_SECONDS,
    MOST_ROWS,
    Denied,
    Known,
    Learnt,
    Wish,
    Wishes,
    is_due,
    mark_of,
    still_kept,
)
from muster.console.saying import EXPECTED, sentence
from muster.http.errors import Refused, Unreachable
from muster.operator.client import Operator
from muster.wire import admin

log = logging.getLogger("muster.console")

ACTIVE_HOURS = 24
"""For so long back a page shows how many clients were active."""

MOST_IN_VAIN = 5
"""Pages of receipts that are asked for in a row while there is nothing on them."""


def read(operator: Operator, wish: Wish) -> object:
    """The answer to one question, without URLs: each of those is a key to what it names.

    Raises:
        MusterError: there is none (`muster.http.errors`).
    """
    match wish.kind:
        case "overview":
            return operator.overview()
        case "why":
            return operator.why(wish.model)
        case "status":
            return operator.status(wish.model)
        case "versions":
            return [without_urls(version) for version in islice(operator.versions(wish.model), MOST_ROWS)]
        case "version":
            return without_urls(operator.version(wish.model, wish.name))
        case "rounds":
            return list(islice(operator.rounds(wish.model), MOST_ROWS))
        case "round":
            return operator.round(wish.model, int(wish.name))
        case "receipts":
            return receipts(operator, wish)
        case "judges":
            return operator.judgements_page(wish.model, int(wish.name), **dict(wish.only))
        case "deployments":
            return list(islice(operator.deployments(wish.model), MOST_ROWS))
        case "rollout":
            return operator.rollout(wish.model)
        case "experiments":
            return operator.experiments(wish.model)
        case "alerts":
            return operator.alerts_and_silences(wish.model)
        case "objectives":
            return operator.objectives(wish.model)
        case "statistics":
            return operator.statistics()
        case "pace":
            return operator.pace()
        case "active":
            return operator.metric(wish.model, "active_clients", ACTIVE_HOURS)
        case "clients":
            return list(islice(operator.clients(), MOST_ROWS))
        case "client":
            return operator.client(wish.name)
        case "cost":
            return operator.cost()
        case "model-cost":
            return operator.model_cost(wish.model)


def receipts(operator: Operator, wish: Wish) -> admin.RoundReceiptList:
    """A page of a round's receipts. Where few of them are wanted, those that were looked at in vain are passed over, but not
    without end: then the page is empty, and says where to go on.
    """
    only = dict(wish.only)
    for _ in range(MOST_IN_VAIN):
        page = operator.receipts_page(wish.model, int(wish.name), **only)
        if page.receipts or page.after is None:
            break
        only["after"] = page.after
    return page


def without_urls(version: admin.VersionReply) -> admin.VersionReply:
    """A version as the console keeps it."""
    checkpoint = version.checkpoint.model_copy(update={"url": "", "delta": None})
    return version.model_copy(update={"document_url": "", "checkpoint": checkpoint})


class Asking:
    """The console's one stream of requests. Pages register what they wish to know, and read what is known."""

    def __init__(self, operator: Operator, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.operator = operator
        self.now = now
        self._known = Known()
        self._pages: dict[object, Wishes] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="console-asking", daemon=True)

    @property
    def known(self) -> Known:
        """What is known now. Another object each time that it has changed."""
        return self._known

    @property
    def is_watched(self) -> bool:
        """Whether a page is open."""
        return bool(self._pages)

    def start(self) -> None:
        """Ask from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. A request that is under way is not waited for."""
        self._is_stopping = True
        self._wake.set()

    def open(self, page: object, wishes: Wishes) -> None:
        """A page is open that wishes to know this."""
        with self._lock:
            self._pages[page] = wishes
        self._wake.set()

    def close(self, page: object) -> None:
        """It is not open any more; also when it never was."""
        with self._lock:
            self._pages.pop(page, None)

    def hurry(self) -> None:
        """Something was changed: ask everything that is wished for again, now."""
        with self._lock:
            learnt = {wish: replace(answer, is_stale=True) for wish, answer in self._known.learnt.items()}
            self._known = replace(self._known, learnt=learnt)
        self._wake.set()

    def look(self) -> None:
        """Ask all questions that are due, each once. What is wrong with one is in its answer, be it that these credentials may
        not ask it; if they may ask none, it is they that are wrong. What is wrong with the server, or with signing, ends the
        look.
        """
        self._set(asking_since=self.now())
        asked: set[Wish] = set()
        shut: list[Unreachable] = []
        try:
            while due := self._due(asked):
                for wish in due:
                    asked.add(wish)
                    shut += self._ask(wish)
            if asked and len(shut) == len(asked):
                raise shut[0]
            self._set(trouble=None, looked_at=self.now())
        except EXPECTED as error:
            self._set(trouble=sentence(error))
        finally:
            self._set(asking_since=None)
        with self._lock:
            self._known = replace(self._known, learnt=still_kept(self._known, self._wanted(), self.now()))

    def _ask(self, wish: Wish) -> list[Unreachable]:
        """Ask one question; what is returned is that these credentials may not, if so."""
        mark = mark_of(wish, self._known)
        shut: list[Unreachable] = []
        try:
            value = read(self.operator, wish)
        except Refused as refused:
            value = Denied(sentence(refused))
        except Unreachable as unreachable:
            if unreachable.status != HTTPStatus.FORBIDDEN:
                raise
            value, shut = Denied(f"These credentials may not ask for {wish}."), [unreachable]
        with self._lock:
            learnt = Learnt(value=value, at=self.now(), mark=mark)
            self._known = replace(self._known, learnt={**self._known.learnt, wish: learnt})
        return shut

    def _due(self, asked: set[Wish]) -> list[Wish]:
        """Questions that are to be asked now. Statuses and the overview come first: what they say makes others due."""
        known, now = self._known, self.now()
        due = [wish for wish in self._wanted() if wish not in asked and is_due(wish, known, now)]
        first = [wish for wish in due if wish.kind in ("overview", "status")]
        return sorted(first or due)

    def _wanted(self) -> frozenset[Wish]:
        known = self._known
        return frozenset().union(*(wishes(known) for wishes in tuple(self._pages.values())))

    def _set(self, **members: str | datetime | None) -> None:
        with self._lock:
            self._known = replace(self._known, **members)  # type: ignore[arg-type]

    def _run(self) -> None:
        while not self._is_stopping:
            if self.is_watched:
                self._look_and_live()
            self._wake.wait(LOOK_SECONDS if self.is_watched else None)
            self._wake.clear()

    def _look_and_live(self) -> None:
        """One look. A bug in it is said and told, and does not end the console: an operator may need the rest of it now."""
        try:
            self.look()
        except Exception as bug:
            if self._is_stopping:
                return  # the connection was closed under it
            log.exception("the console failed at asking")
            self._set(trouble=f"The console itself failed ({type(bug).__name__}); what it printed says where.")
