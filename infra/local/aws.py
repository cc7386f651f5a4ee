"""moto's server as a WSGI application, so that a real HTTP server can carry it; its state is this process's memory.

DynamoDB's requests are let in one by one. moto checks a transaction's conditions and then writes, and another thread may
write in between, so that two transactions of which only one can succeed both do; the real DynamoDB isolates them. Nothing is
slower for it: moto computes, and only one thread of a process computes at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from infra.local import adding, quick, signing

quick.quicken()
adding.add_numbers()
signing.sign_digests()

_moto = DomainDispatcherApplication(create_backend_app)
_one_at_a_time = threading.Lock()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Moto as WSGI (PEP 3333)."""
    if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
        return _answer(environ, start_response)
    with _one_at_a_time:
        return list(_answer(environ, start_response))


def _answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    answer: Iterable[bytes] = _moto(environ, start_response)
    return answer
