"""Rollouts: which version reaches whom.

* `deployments`  the operators' use cases: deploy, roll back, and the history of both
"""
