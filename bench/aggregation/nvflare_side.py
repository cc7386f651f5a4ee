"""NVFLARE's side: FOBS bytes, decoded and accumulated one by one, to its own result. Runs in NVFLARE's environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper
from nvflare.app_common.decomposers.numpy_decomposers import NumpyArrayDecomposer
from nvflare.fuel.utils import fobs

from bench.aggregation import data
from bench.aggregation.timing import measure


def mean(messages: list[bytes], examples: list[int]) -> Any:
    """Decode, add, decode, add, ...; divide."""
    helper = WeightedAggregationHelper()
    for number, (message, weight) in enumerate(zip(messages, examples, strict=True)):
        helper.add(fobs.loads(message), weight, f"site-{number}", 0)
    return helper.get_result()


def main() -> None:
    """Run the cases that are named."""
    fobs.register(NumpyArrayDecomposer)
    runs = int(sys.argv[1])
    for case in sys.argv[2:]:
        _, _, shape = case.partition(":")
        updates, parameters = data.SHAPES[shape]
        examples = data.weights(updates)
        messages = [fobs.dumps(data.update(number, parameters)) for number in range(updates)]
        measure(case, runs, lambda: mean(messages, examples), data.digest_of)


if __name__ == "__main__":
    main()
