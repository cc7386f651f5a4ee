"""How long an update may be beside the others of its round, and which are longer.

    bound = median + deviations * max(1.4826 * MAD, median / 10)

MAD is the median of the norms' distances to their median. Fewer than half of the norms may be as large as they like without
moving either of the two far, where a single one moves a mean and a standard deviation at will (Leys et al., "Detecting
outliers: Do not use standard deviation around the mean, use absolute deviation around the median", Journal of Experimental
Social Psychology 49, 2013; Iglewicz and Hoaglin, "How to Detect and Handle Outliers", ASQC, 1993). Those texts put the bound at
2 to 3.5 deviations on either side of a bell curve. Norms have a long tail on one side, also among the honest, so the
configuration's default is more, and a small norm is no outlier.
"""

from __future__ import annotations

from collections.abc import Collection
from statistics import median

from muster.wire.admin import Off, Outliers

SCALED = 1.4826
"""Times the MAD, this is the standard deviation where the norms are normally distributed (Leys et al., 2013)."""

LEAST_SCALE = 0.1
"""Of the median: norms that are all but equal have a MAD near 0, and yet a slightly larger one is no outlier."""

LARGEST = 1e36
"""No bound is larger. Norms are accepted up to 1e30; one that an earlier release let pass may be longer than a row can hold."""

DIGITS = 6
"""Significant digits that are kept of the bound: devices and operators read it."""


def norm_bound(outliers: Outliers | Off, norms: Collection[float]) -> float | None:
    """The largest L2 norm that is no outlier among the finite `norms` of a round, whatever their order.

    None where nobody is one: without the rule, with fewer norms than its `least`, and where more than half of the updates are
    zeros, so that there is nothing to measure by. The bound lies above the median: at most half of the norms exceed it.
    """
    if outliers == "none" or len(norms) < outliers.least:
        return None
    middle = median(norms)
    if not middle:
        return None
    deviation = max(SCALED * median(abs(norm - middle) for norm in norms), LEAST_SCALE * middle)
    return min(LARGEST, float(f"{middle + outliers.deviations * deviation:.{DIGITS}g}"))


def exceeds(norm: float, bound: float | None) -> bool:
    """Whether an update of this norm is an outlier under a round's bound."""
    return bound is not None and norm > bound
