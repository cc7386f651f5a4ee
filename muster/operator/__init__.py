"""The operators' side: a typed client for the `/v1/admin` routes.

    operator = Operator(url)
    operator.create_model("digits", checkpoint, RoundConfig(goal=24, quorum=12))
    operator.start("digits", rounds=12)

* `client`     `Operator`: each method is one request, or says which ones
* `signing`    signs requests with AWS credentials
* `export`     fills a `folder` with all that a version was made of; `recompute` computes the version again from it
* `backup`     copies a whole stack into a folder, and back
* `rows`       answers as flat rows, for scripts; `frames`: as frames of pandas (extra `[notebook]`); `extras`: what is not here
* `telling`    what a revision of the deployments does, or a silence, in words
* `private`    folders that only their owner can read
"""

from muster.operator.client import Operator

__all__ = ["Operator"]
