"""The parts of a report: each room builds one of them, from the Report alone."""
