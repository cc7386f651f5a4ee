"""Which trace of a device's a request belongs to: in the log, and as an annotation in X-Ray.

A function has no OpenTelemetry: what a device traces goes on here as AWS traces it. Lambda makes the segment of a run itself,
and no code may change that; so a subsegment that took no time bears the annotation, in one datagram to X-Ray's daemon (AWS
X-Ray: "Sending trace data to X-Ray", "X-Ray segment documents"). Powertools' Tracer would do the same with the X-Ray SDK, which
loads botocore: more than half of what a cold start may take.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from datetime import datetime

from chalice.app import Request, Response

from chalicelib.instants import utc_now
from chalicelib.log import log
from muster.wire.tracing import parent_of, trace_of

ANNOTATION = "w3c_trace_id"
"""In the console of X-Ray: annotation.w3c_trace_id = "0af7651916cd43dd8448eb211c80319c"."""

_ROOT = re.compile(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24});Parent=([0-9a-f]{16});Sampled=1(;.*)?")
_DAEMON = re.compile(r"(?:udp:)?([0-9.]{7,15}):([0-9]{1,5})")

Environment = Mapping[str, str]


def names_trace(request: Request, respond: Callable[[Request], Response]) -> Response:
    """A middleware: each line of the log has the id of the trace that its request belongs to, if it belongs to one."""
    parent = parent_of(request.headers.get("traceparent"))
    if parent is None:
        log.remove_keys(["trace"])
    else:
        log.append_keys(trace=trace_of(parent))
        annotate(trace_of(parent), os.environ, utc_now())
    return respond(request)


def annotate(trace: str, env: Environment, at: datetime) -> None:
    """Annotate the function's segment in X-Ray, where there is one that is recorded. A datagram that is lost is lost."""
    found = _ROOT.match(env.get("_X_AMZN_TRACE_ID", ""))
    daemon = _DAEMON.match(env.get("AWS_XRAY_DAEMON_ADDRESS", ""))
    if found is None or daemon is None:
        return
    document = subsegment(trace, root=found[1], parent=found[2], at=at)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(document, (daemon[1], int(daemon[2])))
    except (OSError, OverflowError) as error:
        log.warning("X-Ray's daemon takes nothing", extra={"error": type(error).__name__})


def subsegment(trace: str, *, root: str, parent: str, at: datetime) -> bytes:
    """What the daemon takes: a header, and a subsegment with the annotation."""
    seconds = at.timestamp()
    document = {
        "name": "muster", "id": secrets.token_hex(8), "trace_id": root, "parent_id": parent, "type": "subsegment",
        "start_time": seconds, "end_time": seconds, "annotations": {ANNOTATION: trace},
    }  # fmt: skip
    return b'{"format": "json", "version": 1}\n' + json.dumps(document).encode()
