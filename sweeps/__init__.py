"""Hyperparameter sweeps: plan, schedule, track, compare and report trials."""
