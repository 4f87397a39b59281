"""Verdicts from evidence: intervals, tests, noise and sentences, without I/O."""
