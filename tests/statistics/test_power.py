"""What a confirmation finds, reckoned beforehand, against closed forms and against the confirmation itself."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import nct, t

from benchmarks.simulated_evidence import World
from sweeps.statistics.power import Design, runs_to_find
from sweeps.statistics.verdict import confirm

TWO = Design(finalists=2, runs=5, run_sd=0.006, image_sd=0.0)


def test_two_finalists_on_flat_curves_are_compared_by_a_t_test_of_six_degrees_of_freedom() -> None:
    design = replace(TWO, rise=0.0)  # two of the prior, which says 0.6 points, four of the runs
    factor = math.sqrt((1 / 5 + 1 / 4) * 5)  # by what training images in common enlarge the error
    lead = 2.0 / 0.6 * math.sqrt(5 / 2)
    expected = nct.sf(t.ppf(0.975, 6) * factor, 6, lead)
    assert design.finds(0.02) == pytest.approx(expected, abs=0.04)


def test_the_smallest_lead_is_found_in_80_of_100() -> None:
    assert TWO.finds(TWO.smallest_lead()) == pytest.approx(0.8, abs=0.005)


def test_equal_finalists_are_seldom_called_different() -> None:
    assert TWO.finds(0.0) < 0.025


def test_more_rivals_take_a_larger_lead_and_more_runs_a_smaller_one() -> None:
    assert replace(TWO, finalists=6).smallest_lead() > TWO.smallest_lead() > replace(TWO, runs=10).smallest_lead()


def test_images_that_differ_take_a_larger_lead() -> None:
    assert replace(TWO, image_sd=0.01).smallest_lead() > TWO.smallest_lead()


@pytest.mark.parametrize("design", [replace(TWO, runs=1), replace(TWO, finalists=1)])
def test_one_run_or_one_finalist_shows_no_lead(design: Design) -> None:
    assert (design.smallest_lead(), design.finds(1.0)) == (math.inf, 0.0)


def test_the_runs_needed_are_the_fewest_that_find_the_lead() -> None:
    runs = runs_to_find(0.01, 2, 0.006, 0.002)
    assert runs is not None
    few, enough = (Design(2, count, 0.006, 0.002).smallest_lead() for count in (runs - 1, runs))
    assert enough <= 0.01 < few


def test_some_leads_take_more_runs_than_anybody_has() -> None:
    assert runs_to_find(0.0001, 2, 0.006, 0.002) is None


def test_a_confirmation_finds_what_its_design_says() -> None:
    world, lead, sweeps = World(drives=25), 0.018, 60
    skills = [world.skill_for(lead), 0.0]
    verdicts = [confirm(world.confirmation(skills, seed), draws=400, seed=seed) for seed in range(sweeps)]
    found = np.mean([verdict.outcome == "winner" and verdict.leader == "trial0" for verdict in verdicts])
    assert found == pytest.approx(Design(2, 5, 0.006, 0.0019).finds(lead), abs=0.15)
