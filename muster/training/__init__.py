"""Trainers: what trains and measures on a device, for the libraries that people use.

    trainer = TorchTrainer(module, train, test, task=sequences(), optimizer="adam", personal=("head.*",))
    device.run(trainer)

* `torch`            `TorchTrainer`: any `nn.Module`, any task (extra `[torch]`)
* `sklearn`          `SklearnTrainer`: linear models and MLPs of scikit-learn (extra `[sklearn]`)
* `tasks`            what is learnt: a loss and named metrics; classification, sequences, regression, multilabel
* `metrics`          metrics as sums over batches
* `hyperparameters`  what a trainer understands of a round's; how others are refused, and operators told (`schema_of`)
* `optimizers`, `schedules`  by name, or a function of one's own
* `modules`          which tensors of a module travel, as arrays and back
* `lora`             adapters: a large layer stays, what trains and travels is a small change of it
* `running`          one training, epoch by epoch
* `progress`         how far it is, on disk, so that another process can go on with it
* `local`            what stays on a device: a personal part, an optimizer's memory
* `saved`            the files of both

Any object with `train` and `evaluate` over numpy arrays is a trainer too (`muster.device.trainer`). Nothing here knows of
servers, keys or uploads, and importing this package loads neither library.
"""
