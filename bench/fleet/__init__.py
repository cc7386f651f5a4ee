"""What a fleet asks of AWS, counted in the cloud in this process: per call, per partition, per look.

* `stack`     a stack with stored clients, written as rows, and what a device sends to it; which rows that touches
* `calls`     what each call costs with few and with many stored clients
* `places`    how many clients a second the hottest row, the hottest partition and a table take
* `looks`     what all looks at a round cost together
* `pages`     tables and a picture of all that, as `docs/scale.md` has them

What is asked of each quota is in `bench.cost.scale`, from the paces by which the server answers.
"""
