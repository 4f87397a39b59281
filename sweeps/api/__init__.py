"""Sweeps from Python, as `import sweeps` gives them: run, open, load."""
