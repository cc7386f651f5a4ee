"""Three rollouts in one fleet, a good one, a bad one and a way back: `python -m examples.rollouts`.

    LocalCloud ◀──HTTP──┬── 600 scanners (threads): each runs the version that it is given, and measures it when asked
                        └── the operator: starts three rollouts, watches, and lets go of what he has started

* `fleet`     the devices: what each runs, since when, and how often it went to the store
* `versions`  the scans, and the versions that are rolled out
* `watching`  the operator's eye: a look every second
* `acts`      the three rollouts, and what is expected of each
* `story`     the whole demo, from the cloud's start to its end
* `figure`    the picture
"""
