"""Who may come in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.console import door as rules
from muster.console.door import Door, Enter, Knock, TurnAway, Welcome

PORT = 8123
ADDRESS = f"127.0.0.1:{PORT}"


def knock(path: str = "/", query: str = "", **changes: Any) -> Knock:
    """A request as the console's own page makes it, but for `changes`; a header that is None is not sent."""
    headers = {"host": ADDRESS, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", **changes.pop("headers", {})}
    sent = [(name, value) for name, value in headers.items() if value is not None]
    return Knock(**{"kind": "http", "method": "GET", "path": path, "query": query, "headers": sent, **changes})


def opened(door: Door) -> str:
    """The cookie for which the link of a door was exchanged."""
    link = urlsplit(door.link)
    headers = {"host": door.address, "sec-fetch-site": "none", "sec-fetch-mode": "navigate"}
    answer = door.answer(knock(link.path, link.query, headers=headers))
    assert isinstance(answer, Welcome)
    return answer.cookie


@pytest.fixture
def door() -> Door:
    return Door(PORT)


@pytest.fixture
def cookie(door: Door) -> str:
    return opened(door).partition(";")[0]


def test_the_link_gives_a_session_that_scripts_and_other_sites_cannot_use(door: Door) -> None:
    assert door.link.startswith(f"http://{ADDRESS}/open?token=")
    parts = opened(door).split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(parts)
    assert len(parts[0].partition("=")[2]) >= 43


def test_who_has_the_session_may_come_in(door: Door, cookie: str) -> None:
    assert door.answer(knock(headers={"cookie": cookie})) == Enter()
    assert door.answer(knock("/models/digits", headers={"cookie": f"other=1; {cookie}; more=2"})) == Enter()
    socket = knock(kind="websocket", headers={"cookie": cookie, "origin": f"http://{ADDRESS}"})
    assert door.answer(socket) == Enter()


def test_the_link_works_once(door: Door) -> None:
    link = urlsplit(door.link)
    opened(door)
    assert door.answer(knock(link.path, link.query)) == TurnAway(403, rules.USED)
    with pytest.raises(RuntimeError):
        _ = door.link


def test_another_token_opens_nothing_and_leaves_the_link_good(door: Door) -> None:
    for query in (
        "",
        "token=",
        "token=x",
        "token=x&token=y",
        f"{urlsplit(door.link).query}x",
        f"{urlsplit(door.link).query}&token=z",
    ):
        assert door.answer(knock("/open", query)) == TurnAway(403, rules.USED)
    assert door.answer(knock("/open", urlsplit(door.link).query, method="HEAD")) == TurnAway(403, rules.USED)
    assert opened(door)


def test_two_consoles_have_different_tokens_sessions_and_cookies() -> None:
    one, other = Door(PORT), Door(PORT + 1)
    assert one.link.partition("=")[2] != other.link.partition("=")[2]
    (name, _, session), (other_name, _, other_session) = (opened(door).partition("=") for door in (one, other))
    assert name != other_name
    assert session != other_session


@pytest.mark.parametrize(
    "headers",
    [{}, {"cookie": ""}, {"cookie": "muster-console-8123="}, {"cookie": "muster-console-8123=x"},
     {"cookie": "muster-console-8123"},
     {"cookie": 'muster-console-8123="'}],
)  # fmt: skip
def test_without_the_session_nothing_is_answered(door: Door, headers: dict[str, str]) -> None:
    for path in ("/", "/_nicegui/3.18.0/static/nicegui.js", "/_nicegui_ws/socket.io/"):
        assert door.answer(knock(path, headers=headers)) == TurnAway(403, rules.NO_SESSION)
    socket = knock(kind="websocket", headers={**headers, "origin": f"http://{ADDRESS}"})
    assert door.answer(socket) == TurnAway(403, rules.NO_SESSION)


@pytest.mark.parametrize(
    "host",
    [None, "", "127.0.0.1", f"localhost:{PORT}", f"evil.example:{PORT}", f"127.0.0.1:{PORT + 1}",
     f"127.0.0.1:{PORT}.evil.example",
     f" {ADDRESS}", f"127.1:{PORT}"],
)  # fmt: skip
def test_a_name_that_leads_here_is_not_answered(door: Door, cookie: str, host: str | None) -> None:
    for kind in ("http", "websocket"):
        asked = knock(kind=kind, headers={"host": host, "cookie": cookie, "origin": f"http://{ADDRESS}"})
        assert door.answer(asked) == TurnAway(421, rules.ELSEWHERE)


def test_two_hosts_are_none(door: Door, cookie: str) -> None:
    asked = Knock(
        kind="http", method="GET", path="/", query="", headers=[("host", ADDRESS), ("host", "evil.example"), ("cookie", cookie)]
    )
    assert door.answer(asked) == TurnAway(421, rules.ELSEWHERE)


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", f"https://{ADDRESS}", f"http://localhost:{PORT}", f"http://127.0.0.1:{PORT + 1}", ""],
)
def test_another_pages_script_is_not_answered_even_with_the_session(door: Door, cookie: str, origin: str) -> None:
    for kind in ("http", "websocket"):
        assert door.answer(knock(kind=kind, headers={"origin": origin, "cookie": cookie})) == TurnAway(403, rules.NOT_FROM_HERE)


def test_a_websocket_says_where_it_comes_from(door: Door, cookie: str) -> None:
    assert door.answer(knock(kind="websocket", headers={"cookie": cookie})) == TurnAway(403, rules.NOT_FROM_HERE)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_embeds_is_not_answered_and_a_link_that_is_followed_is(door: Door, cookie: str, site: str) -> None:
    embedded = knock(headers={"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "cookie": cookie})
    assert door.answer(embedded) == TurnAway(403, rules.NOT_FROM_HERE)
    followed = knock(headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate", "cookie": cookie})
    assert door.answer(followed) == Enter()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get"])
def test_nothing_is_sent_to_it_over_http(door: Door, cookie: str, method: str) -> None:
    asked = knock(method=method, headers={"cookie": cookie, "origin": f"http://{ADDRESS}"})
    assert door.answer(asked) == TurnAway(405, rules.NO_METHOD)


def test_what_is_too_long_is_not_read(door: Door, cookie: str) -> None:
    assert door.answer(knock(query="x" * 5000, headers={"cookie": cookie})) == TurnAway(431, rules.TOO_LONG)
    assert door.answer(knock(headers={"cookie": cookie + "; a=" + "x" * 9000})) == TurnAway(431, rules.TOO_LONG)


@given(
    path=st.text(max_size=40), query=st.text(max_size=80), method=st.sampled_from(["GET", "HEAD", "POST"]),
    kind=st.sampled_from(["http", "websocket"]),
    headers=st.lists(st.tuples(st.sampled_from(["host", "origin", "cookie", "sec-fetch-site"]), st.text(max_size=60)),
    max_size=6),
    is_host=st.booleans(),
)  # fmt: skip
def test_no_request_that_knows_no_secret_comes_in(
    path: str, query: str, method: str, kind: Any, headers: list[tuple[str, str]], is_host: bool
) -> None:
    door = Door(PORT)
    sent = [("host", ADDRESS), *headers] if is_host else headers
    answer = door.answer(Knock(kind=kind, method=method, path=path, query=query, headers=sent))
    assert isinstance(answer, TurnAway)
    assert door.link
