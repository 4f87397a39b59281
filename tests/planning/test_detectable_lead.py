"""What a confirmation can show, said before it runs; designs that can decide nothing are refused."""

import pytest

from sweeps.errors import ExperimentError
from sweeps.planning.detectable_lead import check_runs, describe, design_of


def test_the_smallest_lead_is_said_with_the_noise_that_it_rests_on() -> None:
    measured, assumed = design_of(2, 5, 50, 0.02), design_of(2, 5, 50, None)
    assert describe(measured, "50 drives", 0.02)[1].endswith(
        "noise between runs of 2.0 points, from seeds and learning curves of its screening"
    )
    assert describe(assumed, "50 drives", None)[1].endswith("the least ever measured")


def test_a_lead_that_rests_on_what_is_not_known_is_said_to_be_the_best_case() -> None:
    design = design_of(2, 5, 50, 0.02)
    assert not describe(design, "50 drives", 0.02)[0].endswith("at best")
    assert describe(design, "50 drives", None)[0].endswith("at best")
    assert describe(design, "50 images", 0.02, knows_drives=False)[0].endswith("at best")


def test_measured_noise_counts_for_what_so_few_runs_can_show() -> None:
    with pytest.raises(ExperimentError, match=r"noise between runs is 4.0 points, as measured in its screening"):
        check_runs(design_of(4, 3, 50, 0.04))
    assert check_runs(design_of(4, 3, 50, 0.004)) == ""


def test_more_noise_hides_larger_leads() -> None:
    assert design_of(2, 5, 50, 0.04).smallest_lead() > 2 * design_of(2, 5, 50, 0.01).smallest_lead()


def test_a_design_that_misses_ten_points_is_refused_with_the_runs_that_do_not() -> None:
    with pytest.raises(ExperimentError, match=r"--runs is 2, but must be >= 3 for 4 finalists on this data"):
        check_runs(design_of(4, 2, 14, None))
    assert check_runs(design_of(4, 3, 14, None)) == ""


def test_where_no_number_of_runs_would_do_that_is_said() -> None:
    assert check_runs(design_of(4, 5, 2, None)).startswith("up to 100 runs do not detect a lead of 10 points")


def test_one_finalist_is_compared_with_nobody() -> None:
    assert check_runs(design_of(1, 1, 2, None)) == ""
