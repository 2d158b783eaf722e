"""Training: the one loop, its optimiser groups, schedule, checkpoints and log."""
