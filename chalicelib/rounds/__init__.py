"""Rounds: one pass collect → aggregate → evaluate → complete.

Read in this order:

* `round`        what a round is; the table of moves; when it may open and close (pure)
* `receipt`      a client's place in a round and what becomes of its update (pure)
* `evaluation`   what judges measure, and what follows from it (pure); `drawing` says who may judge, and from when (pure)
* `training_metrics`   what a version shows of its training, which no client can bend (pure)
* `store`        their rows; one condition a write
* `checkin`, `updates`, `evaluations`, `serving`   what devices ask for; `current` is what a warm function remembers
* `inspection`   the worker that looks into uploads
* `collecting`, `aggregating`, `evaluating`        one file a phase: what is due, and how it is done
* `settling`     the last word on every receipt, and the end of a round and of its files
* `sweeping`     once a day, what nothing names
* `coordinator`  the tick's look at one model: open, advance, until nothing is due
* `desk`         what operators ask of rounds; `revocation` takes a client out, also of rounds that are open
"""
