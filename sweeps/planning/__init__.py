"""What will be run: spaces, samples, trials, reuse, confirmation, cost."""
