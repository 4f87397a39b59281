"""Benchmarks of training and sweeps: ratios to baselines measured side by side, each with a target."""
