"""What stands for AWS in tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from infra.memory.session import CLIENTS

STORE = os.environ.get("MUSTER_TEST_STORE", "memory")
"""What stands for AWS: `memory` (`infra.memory`), or `moto`, which is slower, and another's word on what AWS does."""


class Moto:
    """moto in the place of the stores in memory. It is imported only where it is asked for: that takes longer than a test."""

    def in_place_of_aws(self) -> AbstractContextManager[object]:
        """moto, empty."""
        from moto import mock_aws
        from moto.core.models import patch_client

        from infra.local import adding, quick, signing

        quick.quicken()
        adding.add_numbers()
        signing.sign_digests()
        CLIENTS.tell(patch_client)  # moto knows of itself only the clients of sessions that are made after it
        made: Any = mock_aws()
        return made  # type: ignore[no-any-return]

    def answer(self, client: Any, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Make a call."""
        return client._make_api_call(operation, dict(arguments))
