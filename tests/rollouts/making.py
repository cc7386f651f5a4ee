"""Values that tests of rollouts are made of."""

from __future__ import annotations

from datetime import UTC, datetime

from muster.wire.refs import CheckpointRef

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def ref(version: int) -> CheckpointRef:
    """A version's checkpoint."""
    return CheckpointRef(
        version=version, sha256=f"{version:064d}", nbytes=100, header_bytes=50, min_update_bytes=10, max_update_bytes=1000
    )
