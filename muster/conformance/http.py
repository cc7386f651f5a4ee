"""Sockets: what came in, what goes out, and the ways in which an answer can be spoilt on its way."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_LIMIT_BYTES = 1 << 30
"""No request of a walk needs more."""

ENDLESS_BYTES = 64 << 20
"""So much follows a body that does not end: more than all buffers between here and the device hold."""

PATIENCE_SECONDS = 10.0
"""How long a device may leave bytes of an answer unread."""


class Spoil(Enum):
    """What happens to an answer on its way."""

    NOTHING = auto()
    SILENT = auto()
    """The connection closes without an answer."""
    CUT = auto()
    """It closes in the middle of the body."""
    ENDLESS = auto()
    """No length is announced, and zeros follow the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request. `at` is in seconds of a monotonic clock; names of headers are lower-case."""

    at: float
    method: str
    target: str
    """Path and query, as they came."""
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer. `before` is done before it is sent, `after` is told how many bytes beyond the body were taken."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    spoil: Spoil = Spoil.NOTHING
    before: Callable[[], None] | None = None
    after: Callable[[int], None] | None = None


@contextlib.contextmanager
def serving(host: str, port: int, respond: Callable[[Seen], Answer]) -> Iterator[int]:
    """Answer requests at an address, each connection in a thread of its own; yields the port.

    Raises:
        OSError: the address cannot be used.
    """

    class Handler(_Handler):
        pass

    Handler.respond = staticmethod(respond)
    with ThreadingHTTPServer((host, port), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_SECONDS
    respond: Callable[[Seen], Answer]

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit() or int(length) > BODY_LIMIT_BYTES:
            self.close_connection = True  # a body of unknown length: neither API nor store would take it
            self._send(Answer(status=HTTPStatus.LENGTH_REQUIRED))
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = type(self).respond(
            Seen(at=time.monotonic(), method=self.command, target=self.path, headers=headers, body=body)
        )
        if answer.before:
            answer.before()
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _serve  # noqa: N815 (their names in http.server)

    def _send(self, answer: Answer) -> None:
        if answer.spoil is Spoil.SILENT:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.lower(), value)  # names of headers have no case; a device must not mind
        if answer.spoil is Spoil.ENDLESS:
            self.close_connection = True
            self.send_header("connection", "close")
            self.end_headers()
            self._send_on(answer)
            return
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if answer.spoil is Spoil.CUT:
            self.close_connection = True
            self.wfile.write(answer.body[: len(answer.body) // 2])
        else:
            self.wfile.write(answer.body)

    def _send_on(self, answer: Answer) -> None:
        taken, zeros = 0, bytes(1 << 16)
        try:
            self.wfile.write(answer.body)
            while taken < ENDLESS_BYTES:
                self.wfile.write(zeros)
                taken += len(zeros)
        except (ConnectionError, TimeoutError):
            pass  # it reads no more, as it should
        if answer.after:
            answer.after(taken)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Say nothing: the walk notes what matters."""
