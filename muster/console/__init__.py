"""`muster console`: a page for operators, served on their own machine, which signs there (extra `console`).

    a browser ──▶ door, guarding ──▶ pages ──▶ views ──▶ known ◀── asking ──▶ the API

It listens on the loopback interface only. Its link works once, for one browser; that browser's pages are the only ones that it
answers. What the pages show is text and numbers: no key, no presigned URL.

* `door`        who may come in; `guarding`: the door and the headers around all answers; `policy`: what a browser may do
* `known`       what is known, and what is asked when; `asking`: the one thread that asks
* `views`       what each page shows (pure); `words`: numbers and times; `freshness`: how old it is
* `intents`     what can be done, as values; `doing` does it
* `saying`      what went wrong, in a sentence
* `pages`       the views, drawn; `serving`: all of it, at a port
"""
