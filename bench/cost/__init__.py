"""What a round costs: every call to AWS of a run, counted by AWS's own rules, times a dated table of prices.

* `run`          one round, really run; `fleet` is its devices
* `meter`        counts what the functions use; `units` says how AWS counts
* `prices`       what AWS asks for it; `assumptions` is what cannot be measured here
* `scenarios`    from runs to bills
* `scale`        what a fleet asks of each quota, at the paces that the server tells it
* `savings`      what devices ask for now, beside fixed intervals
"""
