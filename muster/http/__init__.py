"""What devices and operators share of HTTP: requests that are bounded, checked and tried again.

* `errors`     what can go wrong, as exceptions
* `addresses`  where keys may travel in the clear: nowhere but on this machine
* `answers`    what came: whether to believe it, and its body, bounded
* `transport`  one server: calls, downloads, uploads
"""
