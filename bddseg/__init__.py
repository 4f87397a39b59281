"""One trial: data, model, training and evidence. Knows nothing of sweeps."""
