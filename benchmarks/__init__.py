"""How fast training and sweeps are, as ratios to other ways of doing the same, measured side by side."""
