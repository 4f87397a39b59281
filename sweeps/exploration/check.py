"""All faults as one table for a terminal."""

from collections.abc import Sequence

from bddseg.errors import printable
from bddseg.words import count
from sweeps.exploration.faults import Fault


def render_check(faults: Sequence[Fault], images: int) -> str:
    """Return a line for each fault in aligned columns, and a sentence with their number.

    Args:
        faults: of the folder.
        images: that were read.
    """
    rows = [("fault", "name", "reason"), *((fault.kind, fault.name, fault.reason) for fault in faults)]
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in (0, 1)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in cells]
    faulty = len({fault.name for fault in faults})
    sentence = f"{count(len(faults), 'fault')} in {faulty} of {count(images, 'image')}"
    return "\n".join([*lines, "", sentence] if faults else [sentence]) + "\n"
