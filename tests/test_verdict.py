"""Evidence in, verdict out: outcomes, order, what is left out, two judges, and the same verdict again."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from test_ranking import make_evidence
from torchmetrics.classification import MulticlassJaccardIndex

from bddseg.confusion import count_pixels
from benchmarks.simulated import World
from benchmarks.verdict import shuffled
from sweeps.errors import NothingFinishedError
from sweeps.statistics.contest import hold_contest
from sweeps.statistics.needs import bearable_sd, residual_sd
from sweeps.statistics.noise import Noise
from sweeps.verdict import Candidate, Finalist, Needed, Verdict, confirm, screen

WORLD = World(drives=30)
FOLD = World(drives=12)
DRAWS = 400
SILENT = Noise(0.0)


def screened(*skills: float, seed: int = 0, noise: Noise | None = None) -> Verdict:
    return screen(WORLD.screening(skills, seed), draws=DRAWS, noise=noise)


def confirmed(*skills: float, runs: int = 5) -> Verdict:
    return confirm(FOLD.confirmation(skills, 0, runs), draws=DRAWS)


# Screening


def test_a_trial_that_is_much_better_leads() -> None:
    found = screened(0.0, 0.9, 0.0)
    assert (found.stage, found.outcome, found.leader, found.tied) == ("screening", "leader", "trial1", ("trial1",))
    assert found.rivals[0].p_best > 0.99


def test_a_screening_never_has_a_winner() -> None:
    assert "winner" not in {screened(skill, 0.0).outcome for skill in (0.0, 0.5, 2.0)}


def test_copies_are_undecided_for_noise_alone_may_part_them() -> None:
    found = screened(0.0, 0.0, 0.0)
    assert (found.outcome, len(found.tied)) == ("undecided", 3)


def test_identical_evidence_is_a_tie_where_runs_have_no_noise() -> None:
    (evidence,) = WORLD.evidence([0.0], 0)
    found = screen([Candidate(name, evidence) for name in "abc"], draws=DRAWS, noise=SILENT)
    assert (found.outcome, found.leader, found.tied) == ("tie", "a", ("a", "b", "c"))
    assert [rival.p_best for rival in found.rivals] == pytest.approx([1 / 3] * 3)


def test_of_a_tie_the_cheapest_is_recommended() -> None:
    (evidence,) = WORLD.evidence([0.0], 0)
    costs = {"a": (2.0, 5), "b": (1.0, 7), "c": (1.0, 6)}
    found = screen([Candidate(name, evidence, *cost) for name, cost in costs.items()], draws=DRAWS, noise=SILENT)
    assert (found.leader, found.recommended) == ("a", "c")


def test_noise_between_runs_makes_intervals_wider() -> None:
    with_noise, without = screened(0.0, 0.0), screened(0.0, 0.0, noise=SILENT)
    assert with_noise.rivals[1].difference.low < without.rivals[1].difference.low


def test_seeds_of_one_setting_measure_the_noise() -> None:
    candidates = [replace(it, setting="one") for it in WORLD.screening([0.0] * 6, 0)]
    assert "was measured between seeds" in screen(candidates, draws=DRAWS).caveats[0]
    assert "is assumed" in screen(WORLD.screening([0.0] * 6, 0), draws=DRAWS).caveats[0]


def test_a_single_trial_leads_nobody() -> None:
    found = screened(0.0)
    assert (found.outcome, found.needed, len(found.rivals)) == ("leader", None, 1)
    assert found.sentence.startswith("Nothing to compare")


def test_one_image_decides_nothing() -> None:
    good, bad = make_evidence("highway"), make_evidence("highway")
    bad.counts[0, 0, :2] = (1, 9)
    found = screen([Candidate("bad", bad), Candidate("good", good)], draws=DRAWS)
    assert (found.leader, found.outcome, found.tied) == ("good", "undecided", ("good", "bad"))


def test_two_images_do_not_break_it() -> None:
    found = screen([Candidate(name, make_evidence("highway", "city street")) for name in "ab"], draws=DRAWS)
    assert (found.outcome, found.images, found.drives) == ("undecided", 2, 0)


def in_few(drives: int) -> list[Candidate]:
    """Two trials, the first better at cars, which are in a few drives only."""
    found = []
    for candidate, right in zip(WORLD.screening([0.0, 0.0], 0), (9, 4), strict=True):
        assert candidate.evidence is not None
        counts = candidate.evidence.counts.copy()
        counts[:, :, 0] += counts[:, :, 4]
        counts[:, 4], counts[:, :, 4] = 0, 0
        counts[: 5 * drives, 4, 4], counts[: 5 * drives, 4, 0] = right, 10 - right
        found.append(replace(candidate, evidence=replace(candidate.evidence, counts=counts)))
    return found


def test_a_class_in_few_drives_widens_intervals_and_is_named() -> None:
    few, many = screen(in_few(3), draws=DRAWS), screen(in_few(30), draws=DRAWS)
    assert "occurs in 3 drives only" in " ".join(few.caveats) and "occurs in" not in " ".join(many.caveats)
    assert (few.outcome, many.outcome) == ("undecided", "leader")


def test_a_class_in_one_drive_decides_nothing() -> None:
    assert screen(in_few(1), draws=DRAWS).needed == Needed(None, None, 1.0)


def test_a_lead_holds_up_to_the_noise_that_is_said() -> None:
    contest = hold_contest(np.array([0.5, 0.4]), np.zeros((2, 50)) + [[0.01], [-0.01]] * np.tile([1.0, -1.0], 25))
    assert bearable_sd(contest, np.zeros((2, 50))) == pytest.approx(0.1 / contest.critical / 2**0.5)


def test_evidence_of_another_split_is_listed_and_not_compared() -> None:
    candidates = WORLD.screening([0.0, 0.0], 0)
    odd = Candidate("odd", make_evidence("highway"))
    found = screen([odd, *candidates, Candidate("none", None, missing="it is damaged")], draws=DRAWS)
    assert set(found.left_out) == {"odd", "none"} and "another split" in found.left_out["odd"]
    assert len(found.rivals) == 2


def test_nothing_to_compare_is_one_line() -> None:
    with pytest.raises(NothingFinishedError, match="no usable evidence in 1 trial,"):
        screen([Candidate("a", None)])


def test_images_in_another_order_change_nothing() -> None:
    candidates = WORLD.screening([0.0, 0.1, 0.0], 0)
    assert screen(candidates, draws=DRAWS) == screen(shuffled(candidates, 1), draws=DRAWS)


def test_the_same_seed_gives_the_same_verdict() -> None:
    assert screened(0.0, 0.1) == screened(0.0, 0.1)


def test_the_score_is_that_of_torchmetrics() -> None:
    generator = np.random.default_rng(0)
    truth, prediction = generator.integers(0, 5, (2, 3, 16, 16))
    counts = count_pixels(truth, prediction, 5)
    evidence = replace(make_evidence("highway", "highway", "city street"), counts=counts)
    metric = MulticlassJaccardIndex(5)(torch.from_numpy(prediction), torch.from_numpy(truth))
    assert screen([Candidate("a", evidence)], draws=DRAWS).rivals[0].score.estimate == pytest.approx(float(metric))


def test_an_absent_class_is_named() -> None:
    found = screen([Candidate("a", make_evidence("highway", "city street"))], draws=DRAWS)
    assert "No pixel of vegetation, sky, car" in " ".join(found.caveats)


def test_drives_are_drawn_whole_where_names_carry_them() -> None:
    assert (screened(0.0, 0.0).images, screened(0.0, 0.0).drives) == (150, 30)
    loose = screen(replace(WORLD, carries_drives=False).screening([0.0, 0.0], 0), draws=DRAWS)
    assert loose.drives == 0 and "Names carry no drive" in " ".join(loose.caveats)


def test_what_would_decide_is_said() -> None:
    found = screened(0.0, 0.0)
    assert found.needed is not None and found.needed.detectable > 0.01
    assert "would decide" in found.sentence


def test_more_trials_than_are_ranked_have_no_shares_of_ranks() -> None:
    found = screened(*np.linspace(0, 0.2, 40))
    assert {rival.rank_shares for rival in found.rivals} == {()}


def test_the_leader_s_score_is_corrected_downwards() -> None:
    pairs = [(v.rivals[0].score.estimate, v.corrected) for v in (screened(*[0.0] * 8, seed=s) for s in range(5))]
    assert all(corrected is not None and corrected.estimate < counted for counted, corrected in pairs)


# Confirmation


def test_a_setting_that_is_much_better_wins() -> None:
    found = confirmed(0.0, 1.0)
    assert (found.stage, found.outcome, found.leader, found.runs) == ("confirmation", "winner", "trial1", 5)


def test_copies_are_not_confirmed() -> None:
    assert confirmed(0.0, 0.0, 0.0).outcome in ("tie", "undecided")


def test_one_run_confirms_nothing() -> None:
    found = confirmed(0.0, 2.0, runs=1)
    assert found.outcome == "undecided" and found.needed == Needed(None, None, 1.0)


def test_one_lucky_run_does_not_win() -> None:
    finalists = FOLD.confirmation([0.0, 0.0], 0)
    lucky = FOLD.confirmation([0.0, 2.0], 0)[1].runs[0]  # one run of five is much better
    mixed = replace(finalists[1], runs=(lucky, *finalists[1].runs[1:]))
    found = confirm([finalists[0], mixed], draws=DRAWS)
    assert found.leader == "trial1" and found.outcome == "undecided"


def test_runs_are_scored_one_by_one() -> None:
    found = confirmed(0.0, 1.0)
    assert [len(rival.run_scores) for rival in found.rivals] == [5, 5]
    assert found.images == 5 * FOLD.images and found.drives == 5 * FOLD.drives


def test_identical_finalists_tie() -> None:
    runs = FOLD.confirmation([0.0], 0)[0].runs
    found = confirm([Finalist("a", runs), Finalist("b", runs)], draws=DRAWS)
    assert (found.outcome, found.rivals[1].difference.low, found.rivals[1].difference.high) == ("tie", 0.0, 0.0)


def test_a_finalist_without_all_runs_is_left_out() -> None:
    finalists = FOLD.confirmation([0.0, 0.0, 0.0], 0)
    short = replace(finalists[2], runs=finalists[2].runs[:3])
    assert "3 runs" in confirm([*finalists[:2], short], draws=DRAWS).left_out["trial2"]


@pytest.mark.parametrize(("screened_scores", "tau"), [((0.5, 0.6, 0.7), 1.0), ((0.7, 0.6, 0.5), -1.0)])
def test_the_order_of_the_screening_is_compared(screened_scores: tuple[float, ...], tau: float) -> None:
    finalists = FOLD.confirmation([0.0, 0.5, 1.0], 0)
    made = [replace(it, screening_score=score) for it, score in zip(finalists, screened_scores, strict=True)]
    assert confirm(made, draws=DRAWS).kendall_tau == pytest.approx(tau)


def test_without_screening_scores_there_is_no_order_to_compare() -> None:
    assert confirmed(0.0, 0.0).kendall_tau is None


def test_what_all_share_in_a_fold_is_no_noise() -> None:
    assert residual_sd(np.array([[0.5, 0.6, 0.7], [0.4, 0.5, 0.6]])) == pytest.approx(0.0, abs=1e-12)


def test_names_stand_in_sentences_for_ids() -> None:
    made = [replace(it, name=f"setting {it.trial_id}") for it in WORLD.screening([0.0, 0.9], 0)]
    assert "setting trial1 has" in screen(made, draws=DRAWS).sentence


def test_an_image_without_a_label_is_drawn_like_any_other() -> None:
    evidence = make_evidence("highway", "city street", "highway")
    counts = evidence.counts.copy()
    counts[1:] = 0
    found = screen([Candidate("a", replace(evidence, counts=counts))], draws=DRAWS)
    assert found.draws < DRAWS and found.rivals[0].score.estimate == pytest.approx((0.8 + 10 / 12) / 2)
    assert found.scenes is None


def test_every_number_of_a_verdict_is_finite() -> None:
    for verdict in (screened(0.0), screened(0.0, 0.1), confirmed(0.0, 0.1), confirmed(0.0, 0.1, runs=1)):
        json.dumps(asdict(verdict), allow_nan=False)


def test_where_runs_make_the_noise_no_number_of_images_would_decide() -> None:
    noisy = replace(FOLD, drives=60, run_sd=0.2)
    found = confirm(noisy.confirmation([0.0, 0.0], 0), draws=DRAWS)
    assert found.needed is not None and found.needed.images is None
