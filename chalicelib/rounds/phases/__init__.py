"""What is due in a round, phase by phase, done by the tick and by workers.

* `coordinator`  reconciles one model: opens, advances, finalises, until nothing is due
* `collecting`   waits for accepted updates, and freezes them
* `aggregating`  sums them, here or in `parts`; `publishing` makes the version, `training_metrics` what it shows, `traces` which
               traces led to it (both pure)
* `evaluating`   decides when the judges have spoken
* `recounting`   sets the counters of places right
* `settling`     the last word on every receipt, and the end of a round and of its files
* `sweeping`     once a day, deletes from the bucket what nothing names; `retaining` lets versions expire for it
"""
