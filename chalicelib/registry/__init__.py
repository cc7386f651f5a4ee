"""The registry: models, their immutable versions, and the log of what was deployed.

* `model`        a model, its configuration, and whether its training runs;
* `version`      a checkpoint and its lineage; the document that describes it;
* `deployment`   the append-only log whose last row is what clients are served; states of versions are read off it (pure);
* `store`        their rows;
* `checkpoints`  files that operators bring, looked into;
* `catalogue`, `versions`, `deployments`   the use cases of operators.
"""
