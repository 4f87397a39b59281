"""Evidence -> intervals, tests and what is said of them: the arithmetic below the verdict, without I/O."""
