"""The console's one stream of requests."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial

import httpx
import pytest
from botocore.credentials import Credentials

from chalicelib.rounds.operators import places
from infra.memory.cloud import API
from muster.console.asking import MOST_IN_VAIN, Asking
from muster.console.freshness import freshness
from muster.console.known import EVERY, LOOK_SECONDS, Denied, Known, Wish, Wishes
from muster.console.pages.frame import Viewing
from muster.console.serving import keep_quiet
from muster.console.views import alerts, fleet, model, overview, receipts, rounds
from muster.operator import Operator
from muster.operator.signing import SigV4
from muster.wire import admin
from tests.fleet import World
from tests.rounds.playing import crowd

SECRET = "verysecretkeyverysecretkeyverysecretkey1"


class Counted(Asking):
    """One that notes what it was asked, in a world of its own time."""

    def __init__(self, world: World) -> None:
        self.requests: list[str] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = world.serve
        http = httpx.Client(transport=httpx.MockTransport(self._serve))
        super().__init__(Operator(API, http=http), world.clock)

    def _serve(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        return self.answer(request)

    def looked(self) -> list[str]:
        """What one look asks."""
        self.requests.clear()
        self.look()
        return sorted(self.requests)


def test_without_a_page_nothing_is_asked(world: World) -> None:
    world.model()
    asking = Counted(world)
    assert asking.looked() == []
    asking.open("one", overview.wishes)
    assert asking.looked() != []
    asking.close("one")
    asking.close("one")
    world.clock.advance(60)
    assert asking.looked() == []


def test_any_number_of_pages_costs_one_stream_of_requests(world: World) -> None:
    world.model()
    asking = Counted(world)
    for page in range(20):
        asking.open(page, overview.wishes)
    assert asking.looked() == ["/v1/admin/overview"]
    assert asking.looked() == []


def test_what_changes_slowly_is_asked_seldom_unless_the_status_says_that_something_happened(world: World) -> None:
    world.model()
    asking = Counted(world)
    asking.open("page", partial(model.wishes, "toy"))
    first = asking.looked()
    assert [path.rpartition("/")[2] for path in first] == [
        "toy", "deployments", "objectives", "versions", "why",
    ]  # fmt: skip
    world.clock.advance(LOOK_SECONDS)
    assert asking.looked() == ["/v1/admin/models/toy", "/v1/admin/models/toy/why"]
    world.tick()  # a round opens
    world.clock.advance(LOOK_SECONDS)
    assert asking.looked() == [path for path in first if not path.endswith("objectives")]


def test_the_page_of_alerts_costs_one_request_however_many_models_there_are_until_an_alert_changes(world: World) -> None:
    for name in ("a", "b", "c"):
        world.model(name)
        world.operator.set_threshold(name, "active_clients", minimum=5.0 if name == "b" else 0.0)
    asking = Counted(world)
    asking.open("page", alerts.wishes)
    lists = [f"/v1/admin/models/{name}/alerts" for name in ("a", "b", "c")]
    assert asking.looked() == ["/v1/admin/alerts", *lists, "/v1/admin/overview"]
    world.clock.advance(LOOK_SECONDS)
    assert asking.looked() == ["/v1/admin/overview"]
    world.tick()
    world.monitor()
    world.clock.advance(LOOK_SECONDS)
    assert asking.looked() == [lists[1], "/v1/admin/overview"]
    world.operator.acknowledge("b", "active_clients")
    world.clock.advance(LOOK_SECONDS)
    assert asking.looked() == [lists[1], "/v1/admin/overview"]
    assert "active_clients" in repr(alerts.view(asking.known, world.clock()))
    world.clock.advance(EVERY["alerts"])
    assert asking.looked() == ["/v1/admin/alerts", *lists, "/v1/admin/overview"]


def test_receipts_that_are_few_among_many_are_looked_for_but_not_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd(world, 300)
    monkeypatch.setattr(places, "EXAMINED", 40)
    asking = Counted(world)
    rejected = (("state", "rejected"),)
    asking.open("page", partial(receipts.wishes, "toy", 1, rejected))
    assert asking.looked() == ["/v1/admin/models/toy/rounds/1/receipts"] * MOST_IN_VAIN
    found = asking.known.found(Wish("receipts", "toy", "1", only=rejected), admin.RoundReceiptList)
    assert found is not None
    assert (found.receipts, found.after is None) == ([], False)
    later = (*rejected, ("after", str(found.after)))
    asking.open("page", partial(receipts.wishes, "toy", 1, later))
    assert len(asking.looked()) <= 300 // 40 + 1 - MOST_IN_VAIN
    assert asking.known.found(Wish("receipts", "toy", "1", only=later), admin.RoundReceiptList) == admin.RoundReceiptList(
        round="toy.1", receipts=[], after=None
    )


def test_after_something_was_done_here_all_is_asked_anew_at_once(world: World) -> None:
    world.model()
    asking = Counted(world)
    asking.open("page", partial(model.wishes, "toy"))
    first = asking.looked()
    asking.hurry()
    assert asking.looked() == first


def test_a_refusal_is_the_answer_to_its_question_and_stops_no_other(world: World) -> None:
    world.model()
    asking = Counted(world)
    asking.open("one", partial(model.wishes, "nobody"))
    asking.open("other", partial(rounds.wishes, "toy"))
    asking.look()
    said = asking.known.denied(Wish("status", "nobody"))
    assert said is not None
    assert "nobody" in said
    assert asking.known.trouble is None
    assert asking.known.status("toy") is not None
    shown = model.view("nobody", asking.known, world.clock())
    assert "nobody" in shown.title
    assert asking.known.found(Wish("status", "nobody"), Denied)


def test_a_server_that_does_not_answer_is_told_and_what_was_known_stays_with_its_age(world: World) -> None:
    world.model()
    asking = Counted(world)
    asking.operator._transport._sleep = lambda _: None
    asking.open("page", partial(model.wishes, "toy"))
    assert freshness(asking.known, world.clock()).age == "Nothing was heard from the server yet."
    asking.look()
    assert freshness(asking.known, world.clock()).trouble == ""

    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    asking.answer = gone
    world.clock.advance(60)
    asking.look()
    told = freshness(asking.known, world.clock())
    assert "No usable answer" in told.trouble
    assert "1 min ago" in told.trouble or "60 s ago" in told.trouble
    assert asking.known.status("toy") is not None
    asking.answer = world.serve
    asking.look()
    assert freshness(asking.known, world.clock()).trouble == ""


@pytest.mark.parametrize(
    ("status", "says"),
    [(403, "does not let you in"), (429, "fewer requests"), (500, "No usable answer"), (200, "not what the protocol says")],
)
def test_wrong_credentials_and_strange_answers_are_one_sentence_each(world: World, status: int, says: str) -> None:
    asking = Counted(world)
    asking.operator._transport._sleep = lambda _: None
    asking.answer = lambda _: httpx.Response(status, json={"message": "Forbidden"})
    asking.open("page", overview.wishes)
    asking.look()
    assert asking.known.trouble is not None
    assert says in asking.known.trouble
    assert asking.known.trouble.count("\n") == 0


def test_what_these_credentials_may_not_ask_is_told_and_the_rest_is_shown(world: World) -> None:
    world.model()
    asking = Counted(world)
    asking.operator._transport._sleep = lambda _: None
    asking.answer = lambda request: (
        httpx.Response(403, json={"message": "Forbidden"}) if "statistics" in request.url.path else world.serve(request)
    )
    asking.open("page", fleet.wishes)
    asking.look()
    assert asking.known.trouble is None
    assert asking.known.found(Wish("clients"), list) == []
    told = freshness(asking.known, world.clock(), fleet.wishes(asking.known))
    assert told.trouble == "These credentials may not ask for the statistics. Of that nothing is shown."


def test_a_page_says_that_some_of_it_is_still_being_asked_for(world: World) -> None:
    world.model()
    asking = Counted(world)
    asking.open("page", fleet.wishes)
    asking.look()
    assert "still being asked for" not in freshness(asking.known, world.clock(), fleet.wishes(asking.known)).age
    assert "still being asked for" in freshness(asking.known, world.clock(), overview.wishes(asking.known)).age


def test_a_bug_is_logged_and_told_and_asking_goes_on(world: World, caplog: pytest.LogCaptureFixture) -> None:
    asking = Counted(world)

    def broken(known: Known) -> frozenset[Wish]:
        raise ZeroDivisionError

    asking.open("page", broken)
    asking._look_and_live()
    assert asking.known.trouble is not None
    assert "ZeroDivisionError" in asking.known.trouble
    assert "ZeroDivisionError" in caplog.text


def test_a_look_that_takes_long_is_told_while_it_goes_on(world: World) -> None:
    now = world.clock()
    world.clock.advance(20)
    assert "has not answered for 20 s" in freshness(Known(asking_since=now), world.clock()).trouble
    assert freshness(Known(asking_since=world.clock()), world.clock()).trouble == ""


def test_answers_that_nobody_wishes_for_are_forgotten_in_time(world: World) -> None:
    world.model()
    asking = Counted(world)
    asking.open("page", partial(model.wishes, "toy"))
    asking.look()
    asking.close("page")
    asking.look()
    assert asking.known.learnt
    world.clock.advance(3600)
    asking.look()
    assert not asking.known.learnt


def test_no_question_is_asked_more_often_than_a_look() -> None:
    assert all(seconds >= LOOK_SECONDS for seconds in EVERY.values())


def test_neither_pages_nor_logs_hold_a_key_or_a_signed_url(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keep_quiet()
    world.model(goal=2, quorum=2, evaluators=1)
    token = world.operator.mint_token(5).token
    devices = [world.device(token, f"device-{number}") for number in range(3)]
    world.tick()
    for device in devices[:2]:
        world.update(device)
    world.play(devices)
    world.monitor()
    caplog.clear()
    auth = SigV4(Credentials("AKIDEXAMPLE", SECRET, "sessiontokenofmine"), "us-east-1")
    asking = Counted(world)
    asking.operator = Operator(API, auth=auth, http=httpx.Client(transport=httpx.MockTransport(world.serve)))
    pages: list[tuple[Wishes, Viewing]] = [
        (overview.wishes, overview.view), (fleet.wishes, fleet.view), (alerts.wishes, alerts.view),
        (partial(model.wishes, "toy"), partial(model.view, "toy")), (partial(rounds.wishes, "toy"), partial(rounds.view,
         "toy")),
        (partial(rounds.wishes_of_one, "toy", 1), partial(rounds.view_of_one, "toy", 1)),
        (partial(fleet.wishes_of_one, "device-0"), partial(fleet.view_of_one, "device-0")),
    ]  # fmt: skip
    for number, (wishes, _) in enumerate(pages):
        asking.open(number, wishes)
    asking.look()
    assert asking.known.trouble is None
    assert len(asking.known.versions("toy")) == 2
    shown = json.dumps([repr(view(asking.known, world.clock())) for _, view in pages]) + repr(asking.known)
    keys = [token.partition(".")[2], *(world.key_of(device).partition(".")[2] for device in devices)]
    for secret in (SECRET, "AKIDEXAMPLE", "sessiontokenofmine", "X-Amz", "Signature", *keys):
        assert secret not in shown
        assert secret not in caplog.text
    assert "://" not in shown
