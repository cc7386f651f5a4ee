"""Benchmarks: measured when asked for, never as tests.

* `aggregation`  speed and memory, beside Flower and NVFLARE
* `precision`    how often a mean is what exact arithmetic would make of it
* `attacks`      training under attack, with each defence
* `judging`      judges who lie, and how judges are drawn
* `rollouts`     a guard that looks at a candidate on every tick
* `trouble`      a thousand devices in outages, in virtual time
* `cost`         every call of some rounds, and what they cost in AWS; what a fleet asks of each quota
* `fleet`        what calls, places and looks ask of AWS, with few clients and with many; days of a million devices
* `console`      what an update of each of its pages takes, with many models and clients
* `flower_app`   three examples beside the same in Flower
"""
