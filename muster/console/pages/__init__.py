"""The pages, as the library draws them: which address shows which view. Whatever is said on them is of `muster.console.views`.

* `frame`     what all pages have
* `placing`   puts a view on a page, and keeps it up to date
* `dialogs`   the question before something is done
* `routes`    the addresses
"""
