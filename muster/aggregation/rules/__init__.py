"""The rules, one file a family. A file that is put here and registers its rules (`muster.aggregation.registry`) is found:
nothing else needs to be told.

* `mean`           the exact weighted mean (FedAvg);
* `coordinatewise` median and trimmed mean;
* `krum`           Krum and Multi-Krum;
* `lora`           low-rank adapters, whose products are averaged;
* `optimizers`     what the server does with the result: SGD with momentum (FedAvg, FedAvgM), FedAdagrad, FedAdam, FedYogi.
"""
