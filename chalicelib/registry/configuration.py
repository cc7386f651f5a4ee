"""How a model's rounds have been configured: an append-only log, one row a revision.

The model's own row has the present configuration and its revision; it changes in the transaction that writes the revision, on
the condition that the present one is still the one before. A round keeps the configuration with which it opened.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.instants import Instant
from chalicelib.registry.model import FrozenConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A revision of a model's configuration."""

    model: str
    revision: int
    """From 1, with which the model was created."""
    config: FrozenConfig
    at: Instant
    because: str
    by: str | None = None
    """The operator, where the request says who it was."""
