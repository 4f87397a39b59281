"""Read recorded sweeps, decide their verdict, and write their reports."""
