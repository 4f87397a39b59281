"""Review of labels: a sweep's own models, on images that they did not train on, beside the masks."""
