"""The clients that call the cloud in this process.

Each client is made once in a process: to make one takes as long as twenty calls to `infra.memory`. It keeps nothing of what it
was asked, and its calls go wherever `BaseClient._make_api_call` leads at that time, so it outlives the cloud of its first call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import boto3
import botocore.session
from botocore.config import Config


class SparingSession(botocore.session.Session):
    """A session that makes no client twice. One of an endpoint of its own is made anew: what listens there may have changed."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, Any] = {}
        self._told: Callable[[Any], None] = lambda client: None
        self._one_at_a_time = threading.RLock()

    def create_client(self, service_name: str, *_: Any, **options: Any) -> Any:
        """A client of a service, made as these options say."""
        if options.get("endpoint_url"):
            return super().create_client(service_name, **options)
        config = options.get("config")
        told = {**options, "config": config._user_provided_options if config else None}
        wanted = repr((service_name, sorted((name, value) for name, value in told.items() if value is not None)))
        with self._one_at_a_time:
            if wanted not in self._made:
                self._made[wanted] = super().create_client(service_name, **options)
                self._told(self._made[wanted])
        return self._made[wanted]

    def tell(self, told: Callable[[Any], None]) -> None:
        """Do something with every client, those that were made and those that will be."""
        with self._one_at_a_time:
            self._told = told
            for client in self._made.values():
                told(client)


CLIENTS = SparingSession()
"""The clients of all clouds."""

SESSION = boto3.Session("testing", "testing", region_name="us-east-1", botocore_session=CLIENTS)
"""One for all clouds, with credentials that are none."""

UNSEEN = Config(user_agent_extra="unseen")
"""Of clients whose calls are those of the cloud's holder, and do not pass `MemoryCloud.calls`."""


def client_of(service: str, **options: Any) -> Any:
    """An AWS client of a service that the types need not know."""
    make: Any = SESSION.client
    return make(service, **options)
