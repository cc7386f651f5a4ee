"""Muster at work.

* `digits`      what `make demo` runs: thirty devices learn to read handwritten digits together
* `rollouts`    what `make demo-rollout` runs: versions reach six hundred devices step by step, and come back
* `characters`  a GRU learns to write from twenty plays, one a device
* `tabular`     a linear model of scikit-learn learns from ten hospitals
* `heads`       forty devices that see few digits each, with heads of their own
* `raw_device`  a device in plain Python, written from docs/protocol.md alone
* `fetching`    data from public registries
"""
