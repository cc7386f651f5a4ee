"""The SDK that runs on a device. It calls out over HTTPS and needs nothing else: no AWS library, no open port.

    device = Device.enrol(url, token, "thermostat-7", model="comfort", state_dir="/var/lib/muster")
    device.run(trainer)

* `device`     `Device`: enrol, heartbeat, check in, train, upload, report; one request or one piece of work each. How
               each is done is in the rooms below
* `loop`       the loop that does it all, and what it does in trouble
* `enrolment`  who the device of a folder is, and the request that makes it a client
* `heartbeats`  when the next one is due, what it carries, what its answer changes
* `participation`  taking part in rounds: check in, train and deliver, judge, give up
* `rollouts`   what a rollout asks, and what there is to say to it
* `answering`  the work that a rollout asks for
* `contexts`   what a trainer may be told of the work at hand
* `versions`   which version the device should run, which one it runs, which one stands by
* `trust`      the key that signs what it may run, and the highest revision that it has seen
* `variant`    the version that was given last, known without asking
* `openfeature`  the same as a flag of OpenFeature (extra `openfeature`)
* `pace`       how long it waits
* `trainer`    what a trainer is: any object with `train` and `evaluate` over numpy arrays, and what it is told
* `results`    what a trainer returned, held against what the protocol takes
* `failures`   why a trainer could not do its work, by the type of its exception; errors that a trainer may raise to say so
* `update`     what training changed, as the file that is uploaded
* `transport`  HTTP (`muster.http`) with the patience of a device
* `keys`       the device's key: sent, rotated, never lost
* `identity`, `checkpoints`, `files`  who the device is and its last checkpoints, on disk before they are needed
* `errors`     what can go wrong, as exceptions

Trainers that are ready to use are in `muster.training`. docs/device.md says what happens in each kind of trouble.
"""

from muster.device.device import Device
from muster.device.errors import (
    BadSignature,
    DeviceError,
    ForeignKey,
    NotOffered,
    Replayed,
    TrainerFailed,
    Undeployed,
    UnfitResult,
    Unsigned,
)  # fmt: skip
from muster.device.failures import (
    BadHyperparameter,
    Diverged,
    ForeignTensors,
    MissingMetric,
    MistypedHyperparameter,
    NoTimeLeft,
    TooLittleData,
    UnknownHyperparameter,
)  # fmt: skip
from muster.device.participation import Ability, StateReader
from muster.device.trainer import ContextTrainer, Evaluation, Trainer, TrainingContext, TrainingResult
from muster.http.errors import Insecure, Overloaded, Refused, Unreachable, Untrusted
from muster.wire.messages import DeviceState

__all__ = [
    "Ability", "BadHyperparameter", "BadSignature", "ContextTrainer", "Device", "DeviceError", "DeviceState", "Diverged",
    "Evaluation", "ForeignKey", "ForeignTensors", "Insecure", "MissingMetric", "MistypedHyperparameter", "NoTimeLeft",
    "NotOffered", "Overloaded", "Refused", "Replayed", "StateReader", "TooLittleData", "Trainer", "TrainerFailed",
    "TrainingContext", "TrainingResult", "Undeployed", "UnfitResult", "UnknownHyperparameter", "Unreachable", "Unsigned",
    "Untrusted",
]  # fmt: skip
