"""MLflow: events are delivered to it, records are read from it."""
