"""A logistic regression in numpy, with functions of messages."""
