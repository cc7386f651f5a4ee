"""Thirty devices learn to read handwritten digits together, and two others try to spoil it: `python -m examples.digits`.

    LocalCloud ◀──HTTP──┬── 30 honest devices (threads), unlike data, one in ten disappears in each round
                        ├── 2 hostile devices: one sends NaN, one a tensor of the wrong shape
                        └── the operator: starts training, watches, downloads and measures every version

* `data`          the scans, and who holds which of them
* `model`         the network, and the hyperparameters of its training
* `devices`       what an honest and a hostile device do
* `crew`          the devices' threads: start, watch, stop
* `place`         where it runs: a local cloud of its own, or one that is deployed
* `run`           the whole demo, in a cloud that answers
* `outcome`       what a run came to, and what is expected of it
* `report`        progress, table rows, lineage
* `plot`          the figure
* `tour`          the operator's tour at the end, in the terminal
* `console`       the console beside it, in a browser
"""
