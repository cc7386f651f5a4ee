"""The registry: models, their immutable versions, and the log of what was deployed.

* `model`        a model, its configuration, and whether its training runs (pure)
* `version`      a checkpoint and its lineage; the document that describes it (pure)
* `configuration` the append-only log of how rounds were run; the model's row has the present one (pure)
* `rollout`      a candidate beside the stable version, and who is given it (pure)
* `experiment`   two or more versions at once, beside the stable one (pure)
* `deployment`   the append-only log whose last row is what clients are served; states of versions are read off it (pure)
* `voting`       how sure it is that a candidate is better, when some who say so may lie (pure)
* `feasibility`  whether a configuration can be carried out
* `signing`      what a revision's signature says (pure; the key is in `chalicelib.storage.signing`)
* `store`        their rows
* `schemas`, `checkpoints`, `deltas`, `urls`   tensor files: what is in them; may it be registered; from one to the next; where
  to read them
* `sweep`        which files no version names any more (pure)
* `retention`    which versions are kept, and what they take (pure); `retained` are the writes
* `aliases`      what versions are called beside their numbers
* `catalogue`, `versions`, `configurations`   the use cases of operators; deployments are in `chalicelib.rollouts`
"""
