"""Muster: federated learning rounds without servers.

Its rooms, in the order to read them:

* `muster.wire`         what a device and the server both believe: messages, problems, the tensor file
* `muster.layout`       where rows and objects lie in a stack's tables and bucket
* `muster.telemetry`    what devices and operators tell OpenTelemetry (extra `[otel]`)
* `muster.pacing`       how often devices come: the server's, and who plans a fleet
* `muster.pricing`      what AWS asks for what is used
* `muster.http`         what devices and operators share of HTTP: bounded, checked, tried again
* `muster.device`       the SDK that runs on a device (`Device`)
* `muster.training`     trainers for it: `TorchTrainer` (extra `[torch]`), `SklearnTrainer` (extra `[sklearn]`)
* `muster.aggregation`  how many updates become one model, to the last bit: the server's, and who computes a version again
* `muster.flower`       apps of Flower, unmodified: ClientApps as devices, ServerApps on a stored grid (extra `[flower]`)
* `muster.simulation`   a federation on one machine: an app, a fleet, and the server that would run it
* `muster.operator`     the client for the operators' routes, exports, backups
* `muster.conformance`  plays the server for a device in any language, and says what it does right and wrong
* `muster.project`      what `muster init` begins a project with
* `muster.console`      a page for operators, on their machine (extra `[console]`)
* `muster.cli`          the command line (extra `[operator]`)

The names below are loaded on first use, because the server ships this package for `muster.wire` alone and a
function must not pay for an HTTP client that it never calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muster.device import Device, Trainer, TrainingResult
    from muster.simulation import App, Data, LocalData
    from muster.training.sklearn import SklearnTrainer
    from muster.training.torch import TorchTrainer

__version__ = "0.1.0"
__all__ = [
    "App", "Data", "Device", "LocalData", "SklearnTrainer", "TorchTrainer", "Trainer", "TrainingResult", "__version__",
]  # fmt: skip

_HOMES = {
    "App": "muster.simulation",
    "Data": "muster.simulation",
    "Device": "muster.device",
    "LocalData": "muster.simulation",
    "Trainer": "muster.device",
    "TrainingResult": "muster.device",
    "SklearnTrainer": "muster.training.sklearn",
    "TorchTrainer": "muster.training.torch",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'muster' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
