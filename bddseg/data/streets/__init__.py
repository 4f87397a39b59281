"""Generated street scenes: the embedded default data set."""
