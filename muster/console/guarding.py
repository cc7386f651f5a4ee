"""The door and the headers around the application: whatever is not let in never reaches it.

request ──▶ Door ──▶ the application ──▶ the headers of every answer, and of a page its policy
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from muster.console.door import Door, Enter, Knock, TurnAway, Welcome
from muster.console.policy import BARE, COMMON

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_PAGE_BYTES = 8 << 20
INSIDE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>muster console</title>'
    '<meta http-equiv="refresh" content="0; url=/"><p><a href="/">To the console</a></p></html>'
)
"""Leads from the link to the first page. A redirect would not: a browser sends no `SameSite=Strict` cookie along one that began
at another page, such as a file or a terminal in a browser.
"""
POLICY_VIOLATED = 1008
"""Code with which a websocket is closed (RFC 6455, 7.4.1)."""
REPLACED = frozenset(name.lower().encode() for name in (*COMMON, "Content-Security-Policy"))


class GuardedApp:
    """An ASGI application behind a door. `policy` makes the Content-Security-Policy of a page from its HTML."""

    def __init__(self, app: Application, door: Door, policy: Callable[[str], str]) -> None:
        self.app = app
        self._door = door
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        match self._door.answer(_knock(scope)):
            case Enter():
                inside = {**scope, "headers": [pair for pair in scope["headers"] if not pair[0].startswith(b"x-forwarded-")]}
                await self.app(inside, receive, _Dressed(send, self._policy) if scope["type"] == "http" else send)
            case Welcome(cookie=cookie):
                await _say(send, 200, INSIDE, {"Content-Type": "text/html; charset=utf-8", "Set-Cookie": cookie})
            case TurnAway(status=status, sentence=sentence) if scope["type"] == "http":
                await _say(send, status, sentence, {})
            case TurnAway():
                await receive()
                await send({"type": "websocket.close", "code": POLICY_VIOLATED})


class _Dressed:
    """Passes an answer on with its headers. A page waits until all of it is there, since its policy names its scripts."""

    def __init__(self, send: Send, policy: Callable[[str], str]) -> None:
        self._send = send
        self._policy = policy
        self._start: MutableMapping[str, Any] | None = None
        self._page = bytearray()

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            if _is_page(message):
                self._start = message
            else:
                await self._send({**message, "headers": _with(message["headers"], BARE)})
        elif self._start is None:
            await self._send(message)
        else:
            self._page += message.get("body", b"")
            if len(self._page) > LARGEST_PAGE_BYTES:
                raise RuntimeError(f"a page of more than {LARGEST_PAGE_BYTES} bytes")
            if not message.get("more_body", False):
                await self._send_page(self._start)

    async def _send_page(self, start: MutableMapping[str, Any]) -> None:
        policy = self._policy(self._page.decode())
        await self._send({**start, "headers": _with(start["headers"], policy)})
        await self._send({"type": "http.response.body", "body": bytes(self._page)})


def _is_page(start: MutableMapping[str, Any]) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in start["headers"])


def _with(headers: list[tuple[bytes, bytes]], policy: str) -> list[tuple[bytes, bytes]]:
    ours = {**COMMON, "Content-Security-Policy": policy}
    kept = [(name, value) for name, value in headers if name.lower() not in REPLACED]
    return [*kept, *((name.encode(), value.encode()) for name, value in ours.items())]


def _knock(scope: Scope) -> Knock:
    return Knock(
        kind="websocket" if scope["type"] == "websocket" else "http",
        method=scope.get("method", "GET"),
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]],
    )


async def _say(send: Send, status: int, sentence: str, headers: dict[str, str]) -> None:
    body = f"{sentence}\n".encode()
    plain = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), "Cache-Control": "no-store"}
    made = [(name.encode(), value.encode()) for name, value in {**plain, **headers}.items()]
    await send({"type": "http.response.start", "status": status, "headers": _with(made, BARE)})
    await send({"type": "http.response.body", "body": body})
