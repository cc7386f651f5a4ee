"""What judges decide when some of them lie, and who becomes a judge when some of the fleet want to be: simulated, no cloud.

* `judges`    what honest judges measure, and what liars say
* `rules`     the server's own decision, and others to hold it against
* `seats`     who judges: drawn by lot, or whoever comes first
* `__main__`  both, and the tables of docs/judging.md; writes `build/bench/judging.json`
"""
