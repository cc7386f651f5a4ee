"""A device: it enrols once, with a token that an operator mints, and then takes part for as long as it runs."""

from __future__ import annotations

import argparse
import logging

import numpy as np
from federated import app, data

from muster import Device, LocalData


def own_data() -> LocalData:
    """What this device has. Put its own data here; they never leave it."""
    examples, some = data(), np.random.default_rng(0).permutation(200)
    return LocalData(train=examples.take(some[:160]), test=examples.take(some[160:]))


def main() -> None:
    """Enrol, and take part until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="where the API is")
    parser.add_argument("token", help="what muster token mint says")
    parser.add_argument("name", help="of this device, another one for each")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    state = f"state/{options.name}"
    device = Device.enrol(options.url, options.token, options.name, model=app.name, state_dir=state)
    device.run(app.trainer_of(own_data()))


if __name__ == "__main__":
    main()
