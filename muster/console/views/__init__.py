"""What each page shows, made of what is known (pure): values in, `blocks.View` out. Nothing here draws, asks, or knows HTML.

* `blocks`    what a page is made of
* `why`       why a model stands as it does, in a sentence
* `overview`, `model`, `version`, `rounds`, `receipts`, `judges`, `fleet`, `alerts`, `costs`   a page each: wishes and view
* `curves`    how good versions are; `lineage`: which came of which; `objectives`: what is left of error budgets
* `charts`    options of the pictures
"""
