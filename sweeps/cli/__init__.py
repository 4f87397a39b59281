"""Command lines: options in, exit code out."""
