"""The split that training makes: overlap, whole drives, near duplicates across parts, and proportions."""

from dataclasses import dataclass

import numpy as np

from bddseg.words import count
from sweeps.exploration.content import Column, Gallery, Pick, Table, make_section
from sweeps.exploration.source import title_of
from sweeps.exploration.survey import PART_NAMES, Survey
from sweeps.report.section import Section
from sweeps.statistics.hypothesis_tests import ALPHA, holm
from sweeps.statistics.proportions import Association, associate

NEAR_BITS = 4
"""Differing bits, of 64, of the perceptual hash up to which two images count as near duplicates."""

BLOCK = 512
"""Images that are compared at a time with all others; bounds memory."""

SHOWN = 4
"""Pairs that are shown."""

MOST_PAIRS = 1000
"""Pairs that are kept: images that all look alike, as of a fixed camera, have millions."""

MOST_VALUES = 30


@dataclass(frozen=True)
class Duplicate:
    """Two images of different parts that look alike."""

    first: int
    second: int
    bits: int


@dataclass(frozen=True)
class Duplicates:
    """All pairs of images of different parts that look alike."""

    pairs: tuple[Duplicate, ...]
    """The nearest, at most MOST_PAIRS."""
    number: int
    """Pairs, with those that are not kept."""
    positions: frozenset[int]
    """Images of any pair."""


def build_section(survey: Survey) -> Section:
    """Return the checks of the split."""
    duplicates = find_duplicates(survey)
    tests = compare_parts(survey)
    leaking = duplicates.positions - set(map(int, survey.parts.get("train", ())))
    shared = shared_drives(survey)
    return make_section(
        "split",
        "The split",
        _sentence(survey, len(leaking), shared, tests),
        [
            _parts(survey),
            _tests(tests),
            _duplicates(survey, duplicates),
            _pictures(survey, duplicates),
        ],
        numbers={"overlap": overlapping(survey), "drives_in_several_parts": shared,
                 "near_duplicates": duplicates.number, "images_with_a_near_duplicate": len(leaking),
                 "note": survey.split_note},
        is_alarm=bool(shared or overlapping(survey)),
    )  # fmt: skip


def overlapping(survey: Survey) -> int:
    """Return how many images are in more than one part."""
    positions = np.concatenate(list(survey.parts.values())) if survey.parts else np.array([], dtype=int)
    return len(positions) - len(np.unique(positions))


def shared_drives(survey: Survey) -> list[str]:
    """Return the drives with images in more than one part."""
    sides = [{survey.drives[position] for position in part} - {""} for part in survey.parts.values()]
    return sorted({drive for side in sides for drive in side if sum(drive in other for other in sides) > 1})


def find_duplicates(survey: Survey) -> Duplicates:
    """Return the pairs of images in different parts whose hashes differ in at most NEAR_BITS, the nearest first."""
    owner = np.full(len(survey), -1)
    for number, positions in enumerate(survey.parts.values()):
        owner[positions] = number
    hashes = np.array([row.hash for row in survey.rows], dtype=np.uint64)
    nearest = np.empty((0, 3), dtype=np.int64)  # bits, first and second image
    is_alike, number = np.zeros(len(survey), dtype=bool), 0
    for start in range(0, len(survey), BLOCK):
        bits = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None])
        is_near = (bits <= NEAR_BITS) & (owner[start : start + BLOCK, None] < owner[None])
        is_near &= owner[start : start + BLOCK, None] >= 0
        rows, others = np.nonzero(is_near)
        is_alike[start + rows] = is_alike[others] = True
        number += len(rows)
        pairs = np.concatenate([nearest, np.stack([bits[rows, others], start + rows, others], axis=1)])
        nearest = pairs[np.lexsort(pairs.T[::-1])][:MOST_PAIRS]
    kept = tuple(Duplicate(first, second, differing) for differing, first, second in nearest.tolist())
    return Duplicates(kept, number, frozenset(np.flatnonzero(is_alike).tolist()))


def compare_parts(survey: Survey) -> dict[str, Association]:
    """Return a test of equal proportions in all parts for each attribute with few values, and for each class."""
    tests = {}
    parts = [positions for positions in survey.parts.values() if len(positions)]
    for attribute, values in survey.attributes.items():
        array = np.array(values)
        names = sorted(set(values))
        if 1 < len(names) <= MOST_VALUES:
            table = np.array([[(array[part] == name).sum() for name in names] for part in parts])
            if parts and (result := associate(table)):
                tests[title_of(attribute)] = result
    for index, name in enumerate(survey.classes):
        present = survey.has_class[:, index]
        table = np.array([[present[part].sum(), (~present[part]).sum()] for part in parts])
        if parts and (result := associate(table)):
            tests[f"images with {name}"] = result
    return tests


def _sentence(survey: Survey, leaking: int, shared: list[str], tests: dict[str, Association]) -> str:
    if not survey.parts:
        return f"These images cannot be split: {survey.split_note}."
    sizes = ", ".join(f"{len(survey.parts[part])} {name}" for part, name in PART_NAMES.items())
    drives = "no drive is in two parts" if survey.by_drive and not shared else (
        f"{count(len(shared), 'drive')} in several parts" if shared else "names tell no drive"
    )  # fmt: skip
    verb = "has" if leaking == 1 else "have"
    near = f"{count(leaking, 'validation or test image')} {verb} a near duplicate in another part" if leaking else (
        "no near duplicate lies in two parts"
    )  # fmt: skip
    unequal = _unequal(tests)
    equal = "; no test finds other proportions in one part than in another" if tests and not unequal else (
        f"; parts differ in {', '.join(unequal[:3])}" if unequal else ""
    )  # fmt: skip
    return f"The parts ({sizes}) share no image, {drives}, and {near}{equal}."


def _unequal(tests: dict[str, Association]) -> list[str]:
    corrected = holm([test.p for test in tests.values()])
    return [name for name, p in zip(tests, corrected, strict=True) if p < ALPHA]


def _parts(survey: Survey) -> Table | None:
    if not survey.parts:
        return None
    groups = survey.task.group_names
    rows = tuple(
        (PART_NAMES[part], len(positions), len(positions) / len(survey),
         len({survey.drives[position] for position in positions} - {""}),
         *(sum(survey.groups[position] == group for position in positions) for group in groups))
        for part, positions in survey.parts.items()
    )  # fmt: skip
    columns = (Column("part"), Column("images", "count"), Column("share", "exact_share"), Column("drives", "count"),
               *(Column(group.replace("_", "-"), "count") for group in groups))  # fmt: skip
    return Table("split", "Parts", columns, rows, note=survey.split_note)


def _tests(tests: dict[str, Association]) -> Table | None:
    if not tests:
        return None
    corrected = holm([test.p for test in tests.values()])
    rows = tuple(
        (name, test.chi_square, test.freedom, float(p), test.cramers_v)
        for (name, test), p in zip(tests.items(), corrected, strict=True)
    )
    columns = (Column("proportions of"), Column("chi-square", "number"), Column("degrees of freedom", "count"),
               Column("p", "chance"), Column("Cramér's V", "number"))  # fmt: skip
    note = (
        "Chi-square tests that all parts have the same proportions; p is corrected for the number of tests (Holm). "
        "Where drives stay whole, images are not independent, and differences look surer than they are."
    )
    return Table("proportions", "Are the parts alike?", columns, rows, note, is_folded=True)


def _duplicates(survey: Survey, duplicates: Duplicates) -> Table | None:
    part_of = {int(position): PART_NAMES[part] for part, positions in survey.parts.items() for position in positions}
    rows = tuple(
        (survey.names[pair.first], part_of[pair.first], survey.names[pair.second], part_of[pair.second], pair.bits)
        for pair in duplicates.pairs
    )
    columns = (Column("image"), Column("part"), Column("near duplicate"), Column("its part"), Column("bits", "count"))
    note = f"Pairs in different parts whose perceptual hashes differ in at most {NEAR_BITS} of 64 bits."
    if len(rows) < duplicates.number:
        note += f" The nearest {len(rows):,} of them."
    title = f"Near duplicates across parts: {count(duplicates.number, 'pair')}"
    return Table("near_duplicates", title, columns, rows, note, is_folded=True) if rows else None


def _pictures(survey: Survey, duplicates: Duplicates) -> Gallery | None:
    picks: list[Pick] = []
    shown: set[int] = set()
    for pair in duplicates.pairs:
        if len(picks) < 2 * SHOWN and not {pair.first, pair.second} & shown:
            shown |= {pair.first, pair.second}
            picks += [Pick(pair.first, f"{pair.bits} bits"), Pick(pair.second, f"{pair.bits} bits")]
    return Gallery("Near duplicates in different parts, in pairs", tuple(picks)) if picks else None
