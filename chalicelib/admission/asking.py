"""What a site's rule is asked, and how it refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

LABEL = re.compile(r"[\x20-\x7e]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteQuestion:
    """An enrolment with a token that is known, or a check-in with a good key. The rest is what a device says of itself."""

    what: Literal["enrolment", "check-in"]
    client_id: str
    device_type: str
    sdk_version: str
    capabilities: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    model: str | None = None
    """The model that it asks for work of; None at an enrolment."""
    charging: bool | None = None
    idle: bool | None = None
    unmetered: bool | None = None
    """The device's state; None where it did not say, and at an enrolment."""
    token_id: str | None = None
    token_label: str | None = None
    """The enrolment token's; None at a check-in."""
    at: datetime
    """The server's clock, in UTC."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "capabilities", MappingProxyType(dict(self.capabilities)))  # a rule changes nothing


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """A rule's refusal. `reason` is shown to the device and stands in the log: 1 to 64 printable ASCII characters."""

    reason: str

    def __post_init__(self) -> None:
        if not isinstance(self.reason, str) or not LABEL.fullmatch(self.reason):
            raise ValueError(f"a reason: expected 1 to 64 printable ASCII characters, got {self.reason!r:.120}")
