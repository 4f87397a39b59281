"""Runs sweeps on Ray Tune: passes, trials, callbacks, and the end of a sweep."""
