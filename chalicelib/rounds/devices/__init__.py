"""What devices ask of rounds, in the order in which a device does.

* `checkin`      gives out places, to train or to judge; `seating` finds one
* `selection`    who may train, and from when (pure); `drawing`: who may judge; both draw `lots`
* `updates`      grant, report, receipt
* `inspection`   the worker that looks into what was uploaded, and accepts or rejects it
* `judging`      what judges measured
* `failures`     work that devices give up
* `serving`      between rounds: heartbeats, and the deployed version
* `pacing`       when devices come again
* `current`      what a warm function remembers, so that devices need not wait for reads
"""
