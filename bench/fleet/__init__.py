"""What a fleet asks of AWS, counted in the cloud in this process: per call, per partition, per look; and what it does all day.

* `stack`       a stack with stored clients, written as rows, and what a device sends to it; which rows that touches
* `calls`       what each call costs with few and with many stored clients
* `places`      how many clients a second the hottest row, the hottest partition and a table take
* `looks`       what all looks at a round cost together
* `pages`       tables and a picture of all that, as `docs/scale.md` has them

What is asked of each quota is in `bench.cost.scale`, from the paces by which the server answers.

Days of a million devices on a virtual clock, and who trains, as `docs/pace.md` has them; each is a command:

* `simulation`  days as usual, in trouble, and with devices that ignore the pace; `reports`, `picture`: what comes of it
* `fairness`    who trains, among clients of ten times different speed
* `plans`       what happens on a day; `day` lives through it, second by second
* `devices`     what each device knows and means to do; `awake`: when it sleeps
* `rounds`      a model's rounds, by the server's rules; `counting`: what the server knows of the fleet's size
* `traffic`     requests, second by second
* `vectors`     the rules of server and SDK, for many devices at once
"""
