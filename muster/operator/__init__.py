"""The operators' side: a typed client for the `/v1/admin` routes.

operator = Operator(url)
operator.create_model("digits", checkpoint, RoundConfig(goal=24, quorum=12))
operator.start("digits", rounds=12)
"""

from muster.operator.client import Operator

__all__ = ["Operator"]
