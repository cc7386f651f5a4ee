"""Aggregation: a pure function of (base, manifest, config), the same to the last bit on every worker, in every order.

* `exact`     sums that do not depend on their order;
* `manifest`  the frozen list of what will be summed, and with which weights;
* `plan`      the manifest cut into parts that one worker can do;
* `mean`      the weighted mean (FedAvg): add, merge, apply.

What may enter a sum was decided before, by `muster.wire.gate`. Nothing here does I/O: `rounds/aggregating.py` fetches the
bytes and stores the results.
"""
