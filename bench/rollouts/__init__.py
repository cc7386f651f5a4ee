"""The guard of a rollout, simulated: how often it takes back what is not worse, and how soon what is. No cloud.

* `fleets`    what devices measure and report, and what liars among them say
* `oracle`    the boundary as another library has it, in an environment of its own
* `__main__`  all tables; writes `build/bench/rollouts.json`
"""
