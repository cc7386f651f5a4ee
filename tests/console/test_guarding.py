"""The door and the headers, around an application."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from muster.console.door import Door
from muster.console.guarding import GuardedApp, Receive, Scope, Send
from muster.console.policy import COMMON

ADDRESS = "127.0.0.1:8123"


class Inner:
    """An application that notes what reaches it, and answers as it is told."""

    def __init__(self, content_type: bytes = b"text/html; charset=utf-8") -> None:
        self.seen: list[Scope] = []
        self.content_type = content_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        headers = [(b"content-type", self.content_type), (b"x-frame-options", b"ALLOWALL")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<p>one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two</p>"})


def asked(app: GuardedApp, path: str, query: str = "", kind: str = "http", **headers: str) -> list[MutableMapping[str, Any]]:
    """What is sent for one request."""
    sent: list[MutableMapping[str, Any]] = []
    given = {"host": ADDRESS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": kind, "method": "GET", "path": path, "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    asyncio.run(app(scope, receive, send))
    return sent


def headers_of(start: MutableMapping[str, Any]) -> dict[str, str]:
    names = [name.decode().lower() for name, _ in start["headers"]]
    assert len(names) == len(set(names)), "a header is said twice"
    return {name.decode().lower(): value.decode() for name, value in start["headers"]}


def guarded(inner: Inner) -> tuple[GuardedApp, str]:
    """An application behind a door, and the cookie that opens it."""
    door = Door(8123)
    app = GuardedApp(inner, door, lambda html: f"of {len(html)}")
    start, body = asked(app, "/open", urlsplit(door.link).query)
    assert start["status"] == 200
    assert b'content="0; url=/"' in body["body"]
    assert headers_of(start)["cache-control"] == "no-store"
    return app, headers_of(start)["set-cookie"].partition(";")[0]


def test_what_is_not_let_in_never_reaches_the_application_and_is_told_why() -> None:
    inner = Inner()
    app, _ = guarded(inner)
    start, body = asked(app, "/")
    assert (start["status"], headers_of(start)["content-type"]) == (403, "text/plain; charset=utf-8")
    assert b"no session" in body["body"]
    assert asked(app, "/", kind="websocket", origin=f"http://{ADDRESS}") == [{"type": "websocket.close", "code": 1008}]
    assert inner.seen == []


def test_a_page_has_the_policy_of_all_of_its_html_and_every_header_once() -> None:
    app, cookie = guarded(Inner())
    start, body = asked(app, "/", cookie=cookie)
    assert body["body"] == b"<p>onetwo</p>"
    said = headers_of(start)
    assert said["content-security-policy"] == "of 13"
    assert {name.lower(): value for name, value in COMMON.items()}.items() <= said.items()
    assert said["referrer-policy"] == "no-referrer"
    assert said["x-frame-options"] == "DENY"


def test_what_is_no_page_may_do_nothing_at_all() -> None:
    app, cookie = guarded(Inner(b"text/javascript"))
    start, *parts = asked(app, "/a.js", cookie=cookie)
    assert len(parts) == 2
    assert headers_of(start)["content-security-policy"].startswith("default-src 'none'; ")


def test_refusals_have_the_headers_too() -> None:
    app, _ = guarded(Inner())
    start, _ = asked(app, "/")
    assert headers_of(start)["content-security-policy"].startswith("default-src 'none'; ")
    assert headers_of(start)["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["x_forwarded_prefix", "x_forwarded_host", "x_forwarded_for"])
def test_nobody_stands_in_front_of_it_so_what_one_would_say_is_dropped(name: str) -> None:
    inner = Inner()
    app, cookie = guarded(inner)
    asked(app, "/", cookie=cookie, **{name: "/evil"})
    assert not any(header.startswith(b"x-forwarded") for header, _ in inner.seen[0]["headers"])


def test_a_websocket_of_its_own_page_is_passed_on() -> None:
    app, cookie = guarded(Inner())
    assert asked(app, "/ws", kind="websocket", cookie=cookie, origin=f"http://{ADDRESS}") == [{"type": "websocket.accept"}]
