"""Rollouts: which version reaches whom.

* `deployments`  the operators' use cases: deploy, move a rollout, roll back, and the history of it all
* `moves`        a rollout's moves, each a revision of the deployments' log
* `assigning`    which version a client is given, and what it is in a rollout; `splits`: a hash, and no memory
* `reporting`    what a rollout asks of clients; `report`, `store`: what they say
* `advancing`    what a tick does in a rollout; `steering`: what is due; `showing`: how it stands
* `guard`        whether a candidate is worse than the stable version, by what devices report (`samples`)
"""
