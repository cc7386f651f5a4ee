"""Monitoring: what operators see, and what wakes them.

It only reads what rounds, registry and clients have stored, so it may die at any time and loses nothing.

* `record`      what was measured at one time (pure);
* `training`    whether rounds are to come: what a model needs clients for;
* `objectives`  which share of rounds, uploads and clients should be well, and what is left of the rest (pure);
* `threshold`, `alert`   bounds, breaches, and what follows from a new value (pure);
* `message`     what is sent when an alert opens, to people and to machines (pure);
* `store`       their rows, one condition a write;
* `recording`   makes records of ended rounds and of the fleet, and brings them to CloudWatch;
* `watching`    holds the newest values against the thresholds; opens, publishes and clears alerts;
* `monitor`     the scheduled run: census, recording, watching;
* `paces`       how often devices come, and the operator's bounds;
* `costs`       what was spent, by the prices; `months`: how a month is likely to end (pure);
* `standing`    what is looked at to say why a model stands where it stands;
* `why`, `waiting`   the sentence for each state, and for each of a round (pure);
* `metrics`, `budgets`, `alerts`, `status`, `overview`   what operators ask for.
"""
