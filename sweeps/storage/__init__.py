"""What a sweep leaves on disk: its folder, its events, its records."""
