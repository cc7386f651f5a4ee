"""A plain, fast object server on the loopback interface: `<port> <objects> <parameters>`. It answers ranged GETs from memory,
and takes PUTs and forgets them. It stands in for an object store that is as fast as the network.
"""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.aggregation import data
from muster.wire.arrays import encode


class LoopbackHandler(BaseHTTPRequestHandler):
    """Serves `/bucket/update-<n>` and `/bucket/base`."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes] = {}  # noqa: RUF012 (one server, one set of objects)

    def setup(self) -> None:
        """Answer at once."""
        super().setup()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        """A range of an object, or all of it."""
        content = self.objects[self.path.rpartition("/")[2].partition("?")[0]]
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = memoryview(content)[int(first) : int(last) + 1 if last else len(content)]
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", '"etag"')
        self.end_headers()
        self.wfile.write(part)

    def do_HEAD(self) -> None:
        """Nothing is there yet."""
        self._empty(404)

    def do_PUT(self) -> None:
        """Take the bytes."""
        left = int(self.headers.get("Content-Length", "0"))
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self._empty(200)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"etag"')
        self.end_headers()


def main() -> None:
    """Serve until the end."""
    port, objects, parameters = (int(argument) for argument in sys.argv[1:])
    for number in range(objects):
        LoopbackHandler.objects[f"update-{number}"] = encode(data.update(number, parameters))
    LoopbackHandler.objects["base"] = encode(data.update(objects, parameters))
    with ThreadingHTTPServer(("127.0.0.1", port), LoopbackHandler) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
