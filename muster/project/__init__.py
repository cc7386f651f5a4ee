"""What `muster init` begins a project with: files that run as they are, and are meant to be changed.

* `writing`  puts them into a folder
* `torch`, `sklearn`  the files of each kind of project; NAME in them becomes the model's name
* `common`   those that all kinds have
"""
