"""What AWS asks for what is used: a dated table of prices, and the arithmetic of bills.

* `prices`   what a unit costs, since when, and by which page of AWS
* `guesses`  what is billed and cannot be counted
* `standing` what a stack uses while nobody trains
* `profile`  what a round uses, by its size
* `writing`  dollars, for a person
* `usage`    amounts of units, their sums, and their bill
"""
