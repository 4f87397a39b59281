"""Rows of the store -> Report -> its files: gathered, judged, drawn, written."""
