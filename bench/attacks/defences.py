"""What a model's configuration can set against hostile clients. Whatever a defence does not name is at its default."""

from __future__ import annotations

from typing import Any

from examples.digits.model import HYPERPARAMETERS
from muster.wire.admin import Clipping, RoundConfig, Rule

NORM = 0.5
"""To which long updates are clipped: about the median norm of all updates when nobody is hostile (`__main__` prints it)."""

MOST_EXAMPLES = 10**9
"""The largest cap that a configuration may have: whatever a client claims is believed."""


def defences(clients: int, hostile: int) -> dict[str, RoundConfig]:
    """Configurations by name, for a fleet of which so many clients may be hostile."""
    clipping = Clipping(norm=NORM)
    trimmed = Rule(name="trimmed-mean", parameters={"trim": hostile})
    given: dict[str, dict[str, Any]] = {
        "mean": {"max_examples": MOST_EXAMPLES},
        "cap of 10,000": {},  # the default
        "cap of 100": {"max_examples": 100},
        "uniform": {"weighting": "uniform"},
        "clipped": {"clipping": clipping},
        "clipped uniform": {"clipping": clipping, "weighting": "uniform"},
        "trimmed mean": {"aggregator": trimmed},
        "clipped trimmed": {"aggregator": trimmed, "clipping": clipping},
        "median": {"aggregator": Rule(name="median")},
        "multi-krum": {"aggregator": Rule(name="multi-krum", parameters={"byzantine": hostile})},
    }
    quorum = 2 * hostile + 3  # what Krum needs
    return {
        name: RoundConfig(goal=clients, quorum=quorum, over_selection=1.0, hyperparameters=dict(HYPERPARAMETERS), **settings)
        for name, settings in given.items()
    }
