"""Faults: pairs that cannot be used and masks that are probably wrong, with pictures."""

from collections import defaultdict

from bddseg.words import count
from sweeps.exploration.content import Block, Column, Gallery, Pick, Table, make_section
from sweeps.exploration.faults import KINDS, Fault
from sweeps.exploration.survey import Survey
from sweeps.report.section import Section

SHOWN = 4
"""Pictures of each kind."""


def build_section(survey: Survey, faults: tuple[Fault, ...]) -> Section:
    """Return the faults by kind."""
    by_kind: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        by_kind[fault.kind].append(fault)
    images = len({fault.name for fault in faults})
    blocks: list[Block | None] = []
    if faults:
        rows = tuple((KINDS[kind], len(members)) for kind, members in by_kind.items())
        blocks.append(Table("fault_kinds", "Kinds", (Column("kind"), Column("images", "count")), rows))
        blocks += [_gallery(survey, kind, members) for kind, members in by_kind.items()]
        blocks.append(fault_table(faults))
    return make_section(
        "faults",
        "Faults",
        _sentence(survey, images, by_kind),
        blocks,
        numbers={"images": images, "by_kind": {kind: len(members) for kind, members in by_kind.items()}},
        is_alarm=any(damage.kind for damage in survey.damaged),
    )


def fault_table(faults: tuple[Fault, ...]) -> Table:
    """Return all faults; its CSV has a name for each line, as `data.skip` takes it."""
    rows = tuple((fault.name, fault.kind, fault.reason) for fault in faults)
    columns = (Column("name"), Column("fault"), Column("reason"))
    note = "The same rows are in faults.csv: delete those that are right, and give the rest as data.skip."
    return Table("faults", f"All {count(len(rows), 'fault')}", columns, rows, note, is_folded=True)


def _sentence(survey: Survey, images: int, by_kind: dict[str, list[Fault]]) -> str:
    if not images:
        return "No image has a fault."
    total = len(survey) + len(survey.damaged)
    kinds = sorted(by_kind.items(), key=lambda item: -len(item[1]))
    named = "; ".join(f"{len(members)} {KINDS[kind]}" for kind, members in kinds[:3])
    more = f"; {count(len(kinds) - 3, 'other kind')}" if len(kinds) > 3 else ""
    verb = "is" if images == 1 else "are"
    return f"{count(images, 'image')} of {total} {verb} faulty or suspect: {named}{more}."


def _gallery(survey: Survey, kind: str, faults: list[Fault]) -> Gallery | None:
    reasons = {fault.name: fault.reason for fault in faults}
    positions = survey.positions(reasons)[:SHOWN]
    picks = tuple(Pick(position, reasons[survey.names[position]]) for position in positions)
    title = f"{KINDS[kind][0].upper()}{KINDS[kind][1:]}: {len(faults)}"
    return Gallery(title, picks) if picks else None
