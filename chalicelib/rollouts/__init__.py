"""Rollouts: which version reaches whom.

* `deployments`  the operators' use cases: deploy, move a rollout, roll back, and the history of it all
* `experiments`  the operators' use cases of experiments: begin, look, end
* `moves`        the moves of rollouts and experiments, each a revision of the deployments' log
* `assigning`    which version a client is given, and what it is in a rollout or an experiment
* `reporting`    what a rollout asks of clients; `report`, `store`: what they say
* `hearing`        how soon devices should be heard meanwhile (pure)
* `withdrawing` takes a revoked client out of what goes on
* `advancing`    what a tick does in a rollout; `steering`: what is due; `showing`: how it stands
* `trial`        what the clients of an experiment say, and what that means; `effects`: by how much one is better
* `guard`        whether a candidate is worse than the stable version, by what devices report (`samples`)
"""
