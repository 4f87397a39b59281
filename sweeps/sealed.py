"""Report -> the figures of the sealed test part."""

from sweeps.gather import Report
from sweeps.section import Section


def build_section(report: Report) -> Section:
    """Return the test figures of those for whom the test part was opened."""
    sentence = (
        "Opened last, after the leader was settled, for leader and reference only; these figures choose nothing."
        if report.test.opened
        else "No test figures are shown."
    )
    return Section("test", "Test figures", sentence)
