"""A small network of torch, whose first weights and orders are drawn from no seed."""
