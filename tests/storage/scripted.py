"""A store on a socket of this machine that answers what a test says, byte for byte, and may break off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Script:
    """The answers that are left, the last one for ever, and the requests that came."""

    answers: list[bytes]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    """Head of each: its first line and its headers."""

    def next(self) -> bytes:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def answer(body: bytes, *, status: str = "200 OK", breaks_at: int | None = None, **headers: str) -> bytes:
    """An answer that announces its whole length, and of which, with `breaks_at`, only so many bytes of the body come."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body[:breaks_at]


@contextmanager
def scripted(answers: Sequence[bytes]) -> Iterator[Script]:
    """A server of such answers, one a connection."""
    script = Script(list(answers))
    listening = socket.create_server(("127.0.0.1", 0))
    script.url = f"http://127.0.0.1:{listening.getsockname()[1]}"

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                _exchange(connection, script)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def _exchange(connection: socket.socket, script: Script) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            return
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    script.requests.append(head.decode())
    lengths = [line for line in head.decode().split("\r\n") if line.lower().startswith("content-length:")]
    left = int(lengths[0].partition(":")[2]) - len(body) if lengths else 0
    while left > 0:
        left -= len(connection.recv(65536))
    connection.sendall(script.next())
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass
