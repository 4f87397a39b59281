"""Early stopping: schedulers for Ray Tune, their rungs, and the file that holds their state."""
