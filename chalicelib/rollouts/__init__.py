"""Rollouts: which version reaches whom.

* `deployments`  the operators' use cases: deploy, roll back, and the history of both
* `splits`       which share of the fleet a client is in: a hash, and no memory
* `guard`        whether a candidate is worse than the stable version, by what devices report (`samples`)
"""
