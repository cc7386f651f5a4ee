"""The registry: models, their immutable versions, and the log of what was deployed.

* `model`       a model, its configuration, and whether its training runs;
* `version`     a checkpoint and its lineage; the document that describes it;
* `deployment`  the append-only log whose last row is what clients are served;
* `store`       their rows;
* `catalogue`   the use cases of operators: upload a checkpoint, create a model, list, start, stop.
"""
