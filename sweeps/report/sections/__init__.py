"""The sections of a report; each module builds one or two from the Report alone."""
