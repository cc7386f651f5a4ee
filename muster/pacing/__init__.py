"""How often devices come: as often as is needed and no more, within what an operator allows (pure; docs/pace.md).

* `intervals`  how long it is between two requests of a device, from the fleet's size, a round's needs, a ceiling and a budget
* `waits`      when one device comes again: with the others, at any time, or when the next round may open
* `planning`   what a fleet of a size asks for and costs, and the smallest bounds that serve it
* `costing`    what a month of a model would cost, its rounds and its devices

After Bonawitz et al., "Towards Federated Learning at Scale: System Design" (MLSys 2019), section 2.3, pace steering. The server
answers by these functions, and `muster fleet plan` computes by them; nothing here reads a clock or draws: who calls does.
"""
