"""What operators ask of rounds; what they read of them is in `chalicelib.monitoring.status`.

* `finding`      how each of these finds its round
* `abandonment`  ends a round before its time, also one that cannot be read
* `places`       lists who trained in a round, and who judged
* `exports`      what a version was made of, as files
* `retention`    which versions are kept, and why
* `revocation`   takes a client out, also of rounds that are open
"""
