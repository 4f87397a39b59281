"""City against other scenes: gaps by hand, three answers, equal class mix, and slices that add up."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bddseg.confusion import miou
from bddseg.evidence import Evidence
from bddseg.task import FIVE_CLASSES
from benchmarks.simulated_evidence import World
from sweeps.statistics.alignment import AlignedEvidence, AlignmentInput, align_evidence
from sweeps.statistics.bootstrap import draw_units
from sweeps.statistics.estimates import ResampledFigure
from sweeps.statistics.results import Scenes
from sweeps.statistics.seed_noise import Noise, estimate_noise, known_noise
from sweeps.statistics.side_draws import count_units, gap_noise
from sweeps.statistics.slices import (
    Question,
    answer_gap,
    answer_scenes,
    drives_to_tell,
    find_slices,
    standard_miou,
)

(CITY,) = FIVE_CLASSES.contrasts
WORLD = World(drives=40)
DRIVES = {"city": 12, "non_city": 12}


def lined_up(*evidence: Evidence) -> AlignedEvidence:
    found = align_evidence([AlignmentInput(f"trial{at}", (one,)) for at, one in enumerate(evidence)])
    assert found is not None
    return found


def relabelled(evidence: Evidence, **attributes: tuple[str, ...]) -> Evidence:
    return replace(evidence, attributes={**evidence.attributes, **attributes})


def asked(margin: float) -> Question:
    return Question(CITY, margin)


def silent(lineup: AlignedEvidence) -> Noise:
    return known_noise(0.0, lineup.runs)


def answered(*evidence: Evidence, margin: float = 0.02, draws: int = 300, run_sd: float = 0.0) -> Scenes | None:
    lineup = lined_up(*evidence)
    noise = known_noise(run_sd, lineup.runs)
    return answer_scenes(lineup, draw_units(lineup.units, draws, 0), range(len(evidence)), asked(margin), {}, noise)


def made(change: Callable[[np.ndarray, np.ndarray], None] = lambda counts, is_city: None, seed: int = 0) -> Evidence:
    """Return simulated evidence whose counts were changed in place."""
    (evidence,) = WORLD.evidence([0.0], seed)
    counts = evidence.counts.copy()
    change(counts, np.array([scene == "city street" for scene in evidence.scenes]))
    return replace(evidence, counts=counts)


def worsen_city(counts: np.ndarray, is_city: np.ndarray) -> None:
    """Half of the road pixels of city images are taken for buildings."""
    moved = counts[is_city, 0, 0] // 2
    counts[is_city, 0, 0] -= moved
    counts[is_city, 0, 1] += moved


def gap_of(evidence: Evidence) -> float:
    is_city = np.array([scene == "city street" for scene in evidence.scenes])
    return float(miou(evidence.counts[is_city].sum(0)) - miou(evidence.counts[~is_city].sum(0)))


def test_the_gap_is_city_less_non_city() -> None:
    evidence = made(worsen_city)
    found = answered(evidence)
    assert found is not None
    assert found.gaps[0].gap.estimate == pytest.approx(gap_of(evidence))


def test_a_large_gap_is_different() -> None:
    found = answered(made(worsen_city))
    assert found is not None
    assert (found.gaps[0].answer, found.gaps[0].why[:15]) == ("different", "Non-city images")


def test_a_gap_far_below_the_margin_is_equivalent() -> None:
    found = answered(made(), margin=0.2)
    assert found is not None
    assert found.gaps[0].answer == "equivalent"


def test_a_gap_about_the_margin_cannot_be_told() -> None:
    found = answered(made(), margin=0.0001)
    assert found is not None
    assert found.gaps[0].answer == "cannot tell"


def gap(estimate: float, sd: float = 0.01) -> ResampledFigure:
    return ResampledFigure(estimate, np.random.default_rng(0).normal(estimate, sd, 4000), 50)


@pytest.mark.parametrize(
    ("whole", "standard", "answer"),
    [
        (gap(0.0, 0.005), gap(0.0), "equivalent"),
        (gap(0.1), gap(0.1), "different"),
        (gap(0.1), gap(0.0), "class mix"),
        (gap(0.1), gap(-0.1), "class mix"),
        (gap(0.01), gap(0.01), "cannot tell"),
    ],
)
def test_raw_and_standardised_gap_give_four_answers(
    whole: ResampledFigure, standard: ResampledFigure, answer: str
) -> None:
    assert answer_gap(whole, standard, 0.02, DRIVES) == answer


def test_fewer_than_ten_drives_cannot_tell() -> None:
    assert answer_gap(gap(0.5), gap(0.5), 0.02, {**DRIVES, "city": 9}) == "cannot tell"


def test_names_without_drives_cannot_tell() -> None:
    (evidence,) = replace(WORLD, carries_drives=False).evidence([0.0], 0)
    found = answered(evidence, margin=0.5)
    assert found is not None
    assert (found.gaps[0].answer, found.gaps[0].drives) == ("cannot tell", {})
    assert "data.drive_pattern" in found.gaps[0].why


def test_the_noise_of_runs_widens_the_gap() -> None:
    without, noisy = answered(made()), answered(made(), run_sd=0.02)
    assert without is not None and noisy is not None
    assert noisy.gaps[0].gap.high > without.gaps[0].gap.high + 0.02


def test_the_noise_of_a_gap_is_that_of_the_whole_scaled_by_the_shares() -> None:
    lineup = lined_up(made())
    city = np.array([scene == "city street" for scene in lineup.attributes["scene"]])
    variance, _ = gap_noise(lineup, 0, (city, ~city), known_noise(0.01, lineup.runs), miou)
    assert variance == pytest.approx(0.0001 * (1 / city.mean() + 1 / (1 - city.mean())))


def test_a_noise_that_is_not_known_cannot_tell() -> None:
    lineup = lined_up(made())
    unknown = estimate_noise(lineup.run_scores, [])
    found = answer_scenes(lineup, draw_units(lineup.units, 300, 0), [0], asked(0.5), {}, unknown)
    assert found is not None and found.gaps[0].answer == "cannot tell"


def test_drives_to_tell_make_the_interval_narrow_enough_for_equivalence() -> None:
    sample = gap(0.0, 0.02)
    drives = drives_to_tell(sample, 0.02, 50)
    assert drives is not None
    error = sample.error()[0] * (50 / drives) ** 0.5
    assert 0.02 / error == pytest.approx(1.645 + 1.282, rel=0.02)


def test_a_stricter_level_needs_more_drives() -> None:
    usual, strict = (drives_to_tell(gap(0.0, 0.02), 0.02, 50, alpha) for alpha in (0.05, 0.05 / 3))
    assert usual and strict and strict / usual == pytest.approx(((2.128 + 1.282) / (1.645 + 1.282)) ** 2, rel=0.02)


def test_no_number_of_drives_tells_what_runs_hide() -> None:
    assert drives_to_tell(replace(gap(0.0), run_variance=0.01), 0.02, 50) is None


def test_without_a_non_city_image_there_is_no_answer() -> None:
    evidence = made()
    assert answered(relabelled(evidence, scene=("city street",) * len(evidence.scenes))) is None


def test_groups_add_up_to_the_whole() -> None:
    evidence = made()
    found = answered(evidence)
    assert found is not None
    assert sum(found.gaps[0].images.values()) == len(evidence.names)
    city = np.array([scene == "city street" for scene in evidence.scenes])
    parts = evidence.counts[city].sum(0) + evidence.counts[~city].sum(0)
    assert np.array_equal(parts, evidence.counts.sum(0))


def test_equal_counts_have_equal_gaps() -> None:
    found = answered(made(), made())
    assert found is not None
    assert (found.between["trial1"].low, found.between["trial1"].high) == (0.0, 0.0)


def test_a_trial_that_is_worse_in_the_city_has_another_gap() -> None:
    found = answered(made(), made(worsen_city))
    assert found is not None
    assert found.between["trial1"].high < 0
    assert found.between["trial1"].estimate == pytest.approx(gap_of(made(worsen_city)) - gap_of(made()))


def test_a_class_absent_in_a_group_has_no_gap() -> None:
    def remove_city_cars(counts: np.ndarray, is_city: np.ndarray) -> None:
        counts[is_city, 4, :] = 0
        counts[is_city, :, 4] = 0

    found = answered(made(remove_city_cars))
    assert found is not None
    assert found.gaps[0].by_class["car"] is None
    assert found.gaps[0].by_class["road"] is not None


def test_standard_iou_by_hand() -> None:
    counts = np.array([[8, 2], [1, 9]])  # recall 0.8 and 0.9
    assert standard_miou(counts, np.array([20, 10])) == pytest.approx((16 / 21 + 9 / 14) / 2)


def test_with_the_mix_it_has_the_standard_iou_is_the_plain_one() -> None:
    counts = np.array([[8, 2], [1, 9]])
    assert standard_miou(counts, counts.sum(1)) == pytest.approx(float(miou(counts)))


def test_groups_that_differ_in_their_mix_alone_have_no_standard_gap() -> None:
    def make_equal(counts: np.ndarray, is_city: np.ndarray) -> None:
        counts[:] = 0
        at = np.arange(5)
        counts[:, at, at], counts[:, at, (at + 1) % 5] = 80, 20
        counts[is_city, 4] *= 9  # nine times the cars, each as often mistaken for road

    found = answered(made(make_equal))
    assert found is not None and found.gaps[0].standardised is not None
    assert abs(found.gaps[0].gap.estimate) > 0.01
    assert found.gaps[0].standardised.estimate == pytest.approx(0.0, abs=1e-12)


def test_slices_are_corrected_for_their_number() -> None:
    evidence = made(worsen_city)
    lineup = lined_up(relabelled(evidence, weather=("clear", "rainy") * (len(evidence.names) // 2)))
    found = {(it.kind, it.value): it for it in find_slices(lineup, draw_units(lineup.units, 300, 0), 0, silent(lineup))}
    assert found["scene", "city street"].is_significant
    assert not found["weather", "rainy"].is_significant
    assert found["weather", "rainy"].images == len(evidence.names) // 2


def test_what_is_the_same_everywhere_is_no_slice() -> None:
    evidence = relabelled(made(), scene=("highway",) * WORLD.images)
    lineup = lined_up(evidence)
    assert find_slices(lineup, draw_units(lineup.units, 50, 0), 0, silent(lineup)) == ()


def test_drives_of_a_group_are_counted() -> None:
    lineup = lined_up(made())
    assert count_units(lineup, np.ones(lineup.images, dtype=bool)) == 40
    assert len(FIVE_CLASSES.group_names) == 2
