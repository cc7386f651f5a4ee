"""A device learns from its own data, and says so by the metric that decides."""

from __future__ import annotations

import numpy as np
from device import own_data
from federated import app

from muster.wire.arrays import decode

HEADER_LIMIT_BYTES = 1 << 20


def test_a_device_learns() -> None:
    own = own_data()
    trainer = app.trainer_of(own)
    base = decode(app.first_checkpoint(own, seed=0), HEADER_LIMIT_BYTES)
    before = trainer.evaluate(base)
    hyperparameters = dict(app.config["hyperparameters"])
    result = trainer.train(base, hyperparameters)
    after = trainer.evaluate(result.weights)
    assert after.metrics["accuracy"] > before.metrics["accuracy"]


def test_every_device_begins_with_the_same_model() -> None:
    own = own_data()
    one, other = (decode(app.first_checkpoint(own, seed=0), HEADER_LIMIT_BYTES) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)
