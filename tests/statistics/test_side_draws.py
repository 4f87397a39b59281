"""Counts of groups in bootstrap draws: exact, in the order of the draws, and in bounded memory."""

import tracemalloc

import numpy as np
import pytest

from benchmarks.simulated_evidence import World
from sweeps.statistics import side_draws
from sweeps.statistics.alignment import AlignedEvidence, AlignmentInput, align_evidence
from sweeps.statistics.bootstrap import draw_units
from sweeps.statistics.side_draws import resample_sides

MASK = np.arange(8) % 3 == 0


def lined_up() -> AlignedEvidence:
    aligned = align_evidence([AlignmentInput("a", tuple(World(drives=8, images_per_drive=1).evidence([0.0], 0)))])
    assert aligned is not None
    return aligned


@pytest.mark.parametrize("cells", [1, 2**22])
def test_every_draw_has_the_counts_of_its_images_in_order(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_draws, "CELLS", cells)
    aligned = lined_up()
    draws, counts = draw_units(aligned.units, 5, 0), aligned.counts_of(0)
    first, second = np.concatenate(list(resample_sides(aligned, counts, [MASK, ~MASK], draws)), axis=1)
    assert np.array_equal(first, np.einsum("bn,nij->bij", draws * MASK, counts))
    assert np.array_equal(second, np.einsum("bn,nij->bij", draws * ~MASK, counts))


def test_draws_of_many_classes_need_little_memory() -> None:
    aligned, counts = lined_up(), np.ones((8, 60, 60), dtype=np.int64)
    draws = draw_units(aligned.units, 10_000, 0)
    tracemalloc.start()
    number = sum(sums.shape[1] for sums in resample_sides(aligned, counts, [MASK, ~MASK], draws))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert number == 10_000 and peak < 200 * 2**20  # all draws at once would take 549 MiB
