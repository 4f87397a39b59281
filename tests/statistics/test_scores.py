"""Who leads, the figures of evidence, and whether two counts agree: numbers that one can check by hand."""

import math
from dataclasses import dataclass, field, replace

import pytest
from counts import make_evidence, sides

from bddseg.confusion import iou, pool
from sweeps.sanitize import figure
from sweeps.statistics.scores import compare_figures, pareto_front, rank, score_evidence


@dataclass(frozen=True)
class Trial:
    name: str
    miou: float = math.nan
    status: str = "FINISHED"
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metrics["best/miou"] = self.miou


def test_trials_are_ranked_by_their_score_and_of_equal_ones_the_earlier_comes_first() -> None:
    ranked = rank([Trial("a", 0.50), Trial("b", 0.75), Trial("c", 0.50)])
    assert [trial.name for trial in ranked] == ["b", "a", "c"]


def test_a_trial_that_failed_leads_nothing() -> None:
    assert [trial.name for trial in rank([Trial("diverged", 0.9, "FAILED"), Trial("fine", 0.4)])] == ["fine"]


def test_a_trial_that_was_stopped_early_is_ranked() -> None:
    assert [trial.name for trial in rank([Trial("stopped", 0.6, "KILLED"), Trial("fine", 0.4)])] == ["stopped", "fine"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_none(value: float) -> None:
    assert rank([Trial("a", value)]) == []


def test_iou_of_evidence_is_computed_from_the_sum_of_counts() -> None:
    scores = score_evidence(make_evidence("city street", "highway"))
    assert (scores.iou["road"], scores.iou["building"]) == (0.8, round(20 / 24, 6))  # 16 of 20; 20 of 20 + 4


def test_scores_are_those_of_the_counting_room() -> None:
    evidence = make_evidence("city street", "highway")
    assert list(score_evidence(evidence).iou.values())[:2] == pytest.approx(
        list(iou(pool(evidence.counts))[:2]), abs=1e-6
    )


def test_a_class_without_a_pixel_has_no_figure_and_leaves_the_mean() -> None:
    scores = score_evidence(make_evidence("city street"))
    assert scores.iou["car"] is None
    assert scores.miou == pytest.approx((0.8 + 20 / 24) / 2, abs=1e-6)


def test_a_group_without_an_image_has_no_figure_and_no_gap() -> None:
    scores = score_evidence(make_evidence("city street", "city street"))
    assert (scores.images, scores.groups["non_city"], scores.gap) == ({"city": 2, "non_city": 0}, None, None)


def test_the_gap_is_city_less_non_city() -> None:
    scores = replace(score_evidence(make_evidence("city street")), groups={"city": 0.7, "non_city": 0.8})
    assert scores.gap == -0.1


@pytest.mark.parametrize("value", [None, "0.5", True, math.nan, math.inf, [0.5]])
def test_what_is_no_finite_number_is_no_figure(value: object) -> None:
    assert figure(value) is None


def test_equal_counts_agree() -> None:
    assert compare_figures(sides(0.25, 0.25 + 1e-8)).agrees


def test_the_difference_is_taken_from_the_figures_not_from_the_summary() -> None:
    check = compare_figures(sides(0.25, 0.75))
    assert (check.difference, check.agrees) == (0.5, False)


def test_a_class_absent_on_both_sides_agrees() -> None:
    assert compare_figures(sides(None, None)).agrees


def test_a_class_absent_on_one_side_cannot_be_compared() -> None:
    check = compare_figures(sides(0.25, None))
    assert (check.difference, check.agrees) == (None, False)


@pytest.mark.parametrize("record", [{}, {"evidence": 3, "torchmetrics": []}, {"evidence": {"miou": "x", "iou": None}}])
def test_a_record_without_figures_never_agrees(record: dict[str, object]) -> None:
    assert not compare_figures(record).agrees


def test_the_front_has_the_points_that_no_other_beats_in_both() -> None:
    points = [("a", 0.5, 2.0), ("b", 0.4, 1.0), ("c", 0.4, 3.0), ("d", 0.6, 4.0), ("e", 0.3, 1.5)]
    front = pareto_front(points, cost=lambda point: point[2], value=lambda point: point[1])
    assert [name for name, *_ in front] == ["b", "a", "d"]


def test_of_equal_cost_the_better_is_on_the_front_and_of_equals_one() -> None:
    points = [("a", 0.5, 1.0), ("b", 0.6, 1.0), ("c", 0.6, 1.0)]
    front = pareto_front(points, cost=lambda point: point[2], value=lambda point: point[1])
    assert [name for name, *_ in front] == ["b"]
