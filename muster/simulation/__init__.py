"""A federation on one machine: an app that says what is learnt, a fleet that holds the data, and the server that would run it.

    my_app.py ──▶ app = App(name, data, trainer, config)
                     │
    data ── partitions ──▶ one LocalData a device ──▶ trainer          (workers: processes)
                                                        │
                  engine: enrol, check in, train, report, judge ──▶ place: the cloud in this process, or one at a URL

* `app`         what a user writes: `App`; what each of its trainers is given: `LocalData`
* `data`        examples: `Data`
* `loading`     an app, from its file
* `partitions`  who holds which examples: iid, Dirichlet, shards, by key, by size
* `plan`        what is asked of a run
* `running`     all of it, from the file to the figures
* `workers`     trains, in processes of their own or in this one
* `hostile`     what hostile devices send
* `place`       where the server is, and what time it is there
* `fleet`       the devices, each the SDK
* `engine`      lets all of it happen, in the order of its times
* `errors`      what can go wrong
* `outcome`     what came of it, as figures; `pictures` draws them

`muster simulate` is the command. Nothing here imports the server: a place is given.
"""

from muster.simulation.app import App, LocalData
from muster.simulation.data import Data

__all__ = ["App", "Data", "LocalData"]
