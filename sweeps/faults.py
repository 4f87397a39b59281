"""Report -> the trials that failed, and why."""

from sweeps.gather import Report
from sweeps.section import Section


def build_section(report: Report) -> Section | None:
    """Return the trials that failed; None when none did."""
    failed = [entry for entry in report.trials if entry.state == "failed"]
    if not failed:
        return None
    who = "One trial" if len(failed) == 1 else f"{len(failed)} trials"
    return Section(
        "failures", "What failed", f"{who} failed and cannot lead; the log holds the traceback.", data=failed
    )
