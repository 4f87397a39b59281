"""Reports that are compared."""

from typing import Any

from reports import LEADER, make_record, make_report

from sweeps.report.gather import Report


def weaker(sweep_id: str = "grid-2", space: str = "other", **manifest: Any) -> Report:
    """A sweep on the same images without the first one's leader."""
    rows = tuple(row for row in make_record().trials if row.trial_id != LEADER)
    return make_report(sweep_id=sweep_id, trials=rows, manifest={"space": space, **manifest})
