"""What a model's configuration can set against hostile clients. Each defence stands alone; `defaults` is what nobody set."""

from __future__ import annotations

from typing import Any

from muster.wire.admin import Clipping, Outliers, RoundConfig, Rule
from muster.wire.gate import NORM_LIMIT

MOST_EXAMPLES = 10**9
"""The largest cap that a configuration may have: whatever a client claims is believed."""

OFF: dict[str, Any] = {
    "outliers": "none", "max_claim_ratio": "none", "max_count": "none", "max_examples": MOST_EXAMPLES, "max_norm": NORM_LIMIT,
}  # fmt: skip


def defences(clients: int, hostile: int, clip_norm: float) -> dict[str, RoundConfig]:
    """Configurations by name, for a fleet of which so many clients may be hostile."""
    clipping = Clipping(norm=clip_norm)
    trimmed = Rule(name="trimmed-mean", parameters={"trim": hostile})
    krum, multi_krum = (Rule(name=name, parameters={"byzantine": hostile}) for name in ("krum", "multi-krum"))
    given: dict[str, dict[str, Any]] = {
        "no guard": OFF,
        "max_examples 100": {**OFF, "max_examples": 100},
        "max_claim_ratio": {**OFF, "max_claim_ratio": RoundConfig.model_fields["max_claim_ratio"].default},
        "uniform": {**OFF, "weighting": "uniform"},
        "outliers": {**OFF, "outliers": Outliers()},
        "clipping": {**OFF, "clipping": clipping},
        "clipping, uniform": {**OFF, "clipping": clipping, "weighting": "uniform"},
        "trimmed mean": {**OFF, "aggregator": trimmed},
        "trimmed mean, clipping": {**OFF, "aggregator": trimmed, "clipping": clipping},
        "median": {**OFF, "aggregator": Rule(name="median")},
        "Krum": {**OFF, "aggregator": krum},
        "Multi-Krum": {**OFF, "aggregator": multi_krum},
        "defaults": {},
        "defaults, trimmed mean": {"aggregator": trimmed},
        "defaults, median": {"aggregator": Rule(name="median")},
        "defaults, Multi-Krum": {"aggregator": multi_krum},
    }
    quorum = 2 * hostile + 3  # what Krum needs
    return {name: RoundConfig(goal=clients, quorum=quorum, over_selection=1.0, **settings) for name, settings in given.items()}
