"""The SDK that runs on a device. It calls out over HTTPS and needs nothing else: no AWS library, no open port.

    device = Device.enrol(url, token, "thermostat-7", model="comfort", state_dir="/var/lib/muster")
    device.run(trainer)

* `device`     `Device`: enrol, heartbeat, check in, train, upload, report; and the loop that does it all
* `trainer`    what a trainer is: any object with `train` and `evaluate` over numpy arrays
* `torch`      `TorchTrainer` for any `nn.Module` (extra `[torch]`)
* `transport`  HTTP with bounded, checked, retried requests
* `identity`   the device's key on disk, written before it is needed
* `errors`     what can go wrong, as exceptions
"""

from muster.device.device import Ability, Device
from muster.device.errors import DeviceError, Insecure, Overloaded, Refused, TrainerFailed, Unreachable, Untrusted
from muster.device.trainer import Evaluation, Trainer, TrainingResult

__all__ = [
    "Ability", "Device", "DeviceError", "Evaluation", "Insecure", "Overloaded", "Refused", "Trainer", "TrainerFailed",
    "TrainingResult", "Unreachable", "Untrusted",
]  # fmt: skip
