"""What Muster runs on.

* `resources.yaml`   tables, bucket, queues: merged into the template that AWS gets, and read by the local cloud
* `package`          makes what AWS gets (`make package`)
* `bundle`           the server as a package for pip, from which `muster simulate` runs it
* `deploy`, `destroy`  into an account, and out of it; `stack` is what they know of CloudFormation,
  and `changing` what they say of its change sets; `inventory`: of what a
  deployment holds
* `local`            the whole cloud on one machine (`make cloud`)
* `memory`           the whole cloud in one process
* `strict`           an emulator of AWS that enforces permissions (`make strict`)
* `interpreter`      Python 3.13, which the package and the strict cloud need, wherever it is
* `steps`        what these commands say of what they do, and of how long it took
* `errors`           how these commands end when something is missing
"""
