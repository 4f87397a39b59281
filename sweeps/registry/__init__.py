"""The verdict of a sweep -> a registered model: retrained, described, registered, found by its name."""
