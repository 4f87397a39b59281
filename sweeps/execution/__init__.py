"""Whom and what a report shows: chosen and painted when a sweep ends, kept as files."""
