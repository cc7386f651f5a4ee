"""The SDK as a device under test: `python -m tests.conformance.sdk_device URL TOKEN CLIENT_ID MODEL FOLDER`.

The loop is `Device.run`'s, with short waits after trouble: a walk is there to see what a device does, not how patient it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from muster import Device, TrainingResult
from muster.device import DeviceError, Evaluation, Refused
from muster.wire.arrays import Array
from muster.wire.problems import Problem

TROUBLE_SECONDS = 0.3


class Steps:
    """A trainer for any model: it moves every number a little."""

    def train(self, base: Mapping[str, Array], hyperparameters: Mapping[str, Any]) -> TrainingResult:
        moved = {name: array + np.asarray(array.dtype.kind != "b").astype(array.dtype) / 8 for name, array in base.items()}
        weights = {name: array.astype(base[name].dtype) for name, array in moved.items()}
        return TrainingResult(weights, 10, {"train_loss": 0.5})

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        return Evaluation(10, {"accuracy": 0.5})


def main(url: str, token: str, client_id: str, model: str, folder: str) -> None:
    device: Device | None = None
    while True:
        try:
            device = device or Device.enrol(url, token, client_id, model=model, state_dir=folder)
            seconds = device.step(Steps())
            device.model()
        except DeviceError as error:
            if isinstance(error, Refused) and error.problem is Problem.UNAUTHENTICATED:
                raise
            print(error, flush=True)
            seconds = getattr(error, "retry_after_seconds", None) or TROUBLE_SECONDS
        time.sleep(seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
