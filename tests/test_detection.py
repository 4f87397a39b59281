"""What a confirmation can show, said before it runs; designs that can decide nothing are refused."""

import pytest

from sweeps.detection import check_runs, describe, design_of
from sweeps.errors import ExperimentError


def test_the_smallest_lead_is_said_with_the_noise_that_it_rests_on() -> None:
    measured, assumed = design_of(2, 5, 50, 0.02), design_of(2, 5, 50, None)
    assert describe(measured, "50 drives", 0.02)[1].endswith(
        "noise between runs of 2.0 points, as its screening measured"
    )
    assert describe(assumed, "50 drives", None)[1].endswith("the least that was seen")


def test_more_noise_hides_larger_leads() -> None:
    assert design_of(2, 5, 50, 0.04).smallest_lead() > 2 * design_of(2, 5, 50, 0.01).smallest_lead()


def test_a_design_that_misses_ten_points_is_refused_with_the_runs_that_do_not() -> None:
    with pytest.raises(ExperimentError, match=r"--runs is 2, but must be >= 3 for 4 finalists on this data"):
        check_runs(design_of(4, 2, 14, None))
    assert check_runs(design_of(4, 3, 14, None)) == ""


def test_where_no_number_of_runs_would_do_that_is_said() -> None:
    assert check_runs(design_of(4, 5, 2, None)).startswith("no number of runs up to 100 finds a lead of 10 points")


def test_one_finalist_is_compared_with_nobody() -> None:
    assert check_runs(design_of(1, 1, 2, None)) == ""
