"""A strategy of one's own, after a question to all clients that is pushed and pulled by hand."""
