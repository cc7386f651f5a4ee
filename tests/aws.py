"""What stands for AWS in tests, and the clients that call it.

Each client is made once in a process: to make one takes as long as twenty calls to `tests.stores`. It keeps nothing of what it
was asked, and its calls go wherever `BaseClient._make_api_call` leads at that time, so it outlives the world of its first call.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

STORE = os.environ.get("MUSTER_TEST_STORE", "memory")
"""What stands for AWS: `memory` (`tests.stores`), or `moto`, which is slower, and another's word on what AWS does."""


class Sparing(botocore.session.Session):
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


_sparing = Sparing()
SESSION = boto3.Session("testing", "testing", region_name="us-east-1", botocore_session=_sparing)
"""One for all worlds, and with it their clients."""

UNSEEN = Config(user_agent_extra="tests")
"""Of clients whose calls are the test's own, and do not pass `World.calls`."""


def client_of(service: str, **options: Any) -> Any:
    """An AWS client of a service that the types need not know."""
    make: Any = SESSION.client
    return make(service, **options)


def moto_in_place_of_aws() -> AbstractContextManager[object]:
    """moto, empty. It is imported only where it is asked for: that takes longer than to make a world."""
    from moto import mock_aws
    from moto.core.models import patch_client

    from infra.local import serializer

    serializer.quicken()
    _sparing.tell(patch_client)  # moto knows of itself only the clients of sessions that are made after it
    made: Any = mock_aws()
    return made  # type: ignore[no-any-return]
