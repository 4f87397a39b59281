"""Evidence in, verdict out: outcomes, order, what is left out, two judges, and the same verdict again."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from counts import make_evidence
from torchmetrics.classification import MulticlassJaccardIndex

from bddseg.confusion import count_pixels, miou
from benchmarks.simulated_evidence import World
from benchmarks.verdict import shuffled
from sweeps.errors import NothingFinishedError
from sweeps.statistics.comparisons import compare_settings
from sweeps.statistics.sample_size import bearable_sd
from sweeps.statistics.seed_noise import known_noise
from sweeps.statistics.verdict import Candidate, Verdict, confirm, screen

WORLD = World(drives=30)
FOLD = World(drives=12)
DRAWS = 400


def screened(*skills: float, seed: int = 0, run_sd: float = 0.006) -> Verdict:
    return screen(WORLD.screening(skills, seed), draws=DRAWS, run_sd=run_sd)


def curved(candidates: list[Candidate], *curve: float) -> list[Candidate]:
    """Return the candidates with one and the same learning curve."""
    return [replace(candidate, curve=curve) for candidate in candidates]


def two_settings() -> list[Candidate]:
    """Return three seeds of a good setting and three of a poor one."""
    made = WORLD.screening([0.9] * 3 + [0.0] * 3, 0)
    names = [f"{setting}{seed}" for setting in ("good", "poor") for seed in range(3)]
    return [replace(it, trial_id=name, setting=name[:-1]) for it, name in zip(made, names, strict=True)]


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
    found = screen([Candidate(name, evidence) for name in "abc"], draws=DRAWS, run_sd=0.0)
    assert (found.outcome, found.leader, found.tied) == ("tie", "a", ("a", "b", "c"))
    assert [rival.p_best for rival in found.rivals] == pytest.approx([1 / 3] * 3)


def test_of_a_tie_the_cheapest_is_recommended() -> None:
    (evidence,) = WORLD.evidence([0.0], 0)
    costs = {"a": (2.0, 5), "b": (1.0, 7), "c": (1.0, 6)}
    found = screen([Candidate(name, evidence, *cost) for name, cost in costs.items()], draws=DRAWS, run_sd=0.0)
    assert (found.leader, found.recommended) == ("a", "c")


def test_noise_between_runs_makes_intervals_wider() -> None:
    with_noise, without = screened(0.0, 0.0), screened(0.0, 0.0, run_sd=0.0)
    assert with_noise.rivals[1].difference.low < without.rivals[1].difference.low


def test_without_seeds_and_curves_nothing_is_sure() -> None:
    found = screen(WORLD.screening([0.0, 2.0], 0), draws=DRAWS)
    assert (found.outcome, found.noise.basis, found.corrected) == ("undecided", "unknown", None)
    assert found.rivals[1].difference.low == -1.0


def test_curves_that_still_rise_bound_the_noise() -> None:
    found = screen(curved(WORLD.screening([0.0, 0.9], 0), 0.4, 0.5, 0.6), draws=DRAWS)
    assert (found.outcome, found.noise.basis, found.noise.sd) == ("undecided", "bounded", pytest.approx(0.1))


def test_flat_curves_let_a_leader_lead() -> None:
    assert screen(curved(WORLD.screening([0.0, 0.9], 0), 0.6, 0.6, 0.6), draws=DRAWS).outcome == "leader"


def test_seeds_of_a_setting_are_one_entrant() -> None:
    found = screen(two_settings(), draws=DRAWS)
    assert (found.outcome, len(found.rivals)) == ("leader", 2)
    assert [sorted(rival.seeds) for rival in found.rivals] == [["good0", "good1", "good2"], ["poor0", "poor1", "poor2"]]
    assert (found.noise.basis, found.noise.repeats) == ("measured", 4)


def test_the_best_seed_stands_for_its_setting() -> None:
    found = screen(two_settings(), draws=DRAWS)
    leader = found.rivals[0]
    assert leader.run_scores[leader.seeds.index(leader.trial_id)] == max(leader.run_scores)


def test_the_score_of_a_setting_is_that_of_its_seeds_together() -> None:
    made = two_settings()[:3]
    counts = sum(it.evidence.counts.sum(0) for it in made if it.evidence)
    assert screen(made, draws=DRAWS).rivals[0].score.estimate == pytest.approx(float(miou(np.asarray(counts))))


def test_trials_that_were_stopped_are_no_rivals() -> None:
    made = curved(WORLD.screening([0.0, 0.9, 0.5], 0), 0.5, 0.6, 0.6)
    stopped = replace(made[2], is_stopped=True, curve=(0.4,), overtaking=0.25)
    found = screen([*made[:2], stopped], draws=DRAWS)
    (trial,) = found.stopped
    assert [rival.trial_id for rival in found.rivals] == ["trial1", "trial0"]
    assert (trial.trial_id, trial.epoch, trial.score, trial.leader_score) == ("trial2", 1, 0.4, 0.5)


def test_what_stopping_may_have_cost_enters_the_probability_of_being_best() -> None:
    made = curved(WORLD.screening([0.0, 0.9, 0.5], 0), 0.5, 0.6, 0.6)
    stopped = replace(made[2], is_stopped=True, overtaking=0.25)
    found = screen([*made[:2], stopped], draws=DRAWS)
    assert found.stopped[0].p_best == pytest.approx(0.25)
    assert sum(rival.p_best for rival in found.rivals) == pytest.approx(0.75)


def test_a_single_trial_leads_nobody() -> None:
    found = screened(0.0)
    assert (found.outcome, found.needed, len(found.rivals)) == ("leader", None, 1)
    assert found.sentence.endswith("there is nothing to compare it with.")


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
        rights = right - np.arange(5 * drives) // 5 % 3  # drives differ
        counts[: 5 * drives, 4, 4], counts[: 5 * drives, 4, 0] = rights, 10 - rights
        found.append(replace(candidate, evidence=replace(candidate.evidence, counts=counts)))
    return found


def test_a_class_in_few_drives_widens_intervals_and_is_named() -> None:
    few, many = (screen(in_few(drives), draws=DRAWS, run_sd=0.006) for drives in (3, 30))
    assert "occurs in only 3 drives" in " ".join(few.caveats) and "occurs in" not in " ".join(many.caveats)
    widths = [found.rivals[0].score.high - found.rivals[0].score.low for found in (few, many)]
    assert widths[0] > 1.5 * widths[1]


def test_a_class_in_one_drive_decides_nothing() -> None:
    found = screen(in_few(1), draws=DRAWS, run_sd=0.006)
    assert (found.outcome, found.needed.detectable if found.needed else None) == ("undecided", 1.0)
    assert {rival.p_best for rival in found.rivals} == {None}


def test_a_lead_holds_up_to_the_noise_that_is_said() -> None:
    noise = known_noise(0.001, np.ones(2))
    nothing = np.zeros((2, 50), dtype=np.float32)
    contest = compare_settings(np.array([0.5, 0.4]), nothing, noise.draw(50, 0), noise.variance)
    assert bearable_sd(contest, noise) == pytest.approx(0.1 / contest.critical / 2**0.5)


def test_evidence_of_another_split_is_listed_and_not_compared() -> None:
    candidates = WORLD.screening([0.0, 0.0], 0)
    odd = Candidate("odd", make_evidence("highway"))
    found = screen([odd, *candidates, Candidate("none", None, missing="it is damaged")], draws=DRAWS)
    assert set(found.left_out) == {"odd", "none"} and "another split" in found.left_out["odd"]
    assert len(found.rivals) == 2


def test_nothing_to_compare_is_one_line() -> None:
    with pytest.raises(NothingFinishedError, match="no usable evidence of 0 settings"):
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
    assert "No mask has a pixel of vegetation, sky, car" in " ".join(found.caveats)


def test_drives_are_drawn_whole_where_names_carry_them() -> None:
    assert (screened(0.0, 0.0).images, screened(0.0, 0.0).drives) == (150, 30)
    loose = screen(replace(WORLD, carries_drives=False).screening([0.0, 0.0], 0), draws=DRAWS, run_sd=0.006)
    assert loose.drives == 0 and "Names carry no drive" in " ".join(loose.caveats)


def test_what_would_decide_is_a_confirmation_of_those_tied() -> None:
    found = screened(0.0, 0.12, 0.0)
    assert found.needed is not None and found.needed.runs is not None
    assert (found.needed.finalists, found.needed.lead) == (len(found.tied), -found.rivals[1].difference.estimate)


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
    assert (found.outcome, found.needed.detectable if found.needed else None) == ("undecided", 1.0)


def test_runs_so_far_are_judged_by_all_folds() -> None:
    finalists = [replace(it, runs=it.runs[:3]) for it in FOLD.confirmation([0.0, 0.3], 0)]
    of_three, of_five = (confirm(finalists, draws=DRAWS, folds=folds) for folds in (3, 5))
    assert of_five.rivals[1].difference.low > of_three.rivals[1].difference.low


def test_a_stricter_look_has_wider_intervals() -> None:
    finalists = FOLD.confirmation([0.0, 0.3], 0)
    usual, strict = confirm(finalists, draws=DRAWS), confirm(finalists, draws=DRAWS, alpha=0.01)
    assert strict.rivals[1].difference.low < usual.rivals[1].difference.low


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
    finalists = FOLD.confirmation([0.0, 0.0], 0)
    hard = replace(FOLD, image_sd=3.0, drive_sd=3.0).confirmation([0.0, 0.0], 0)
    mixed = [replace(a, runs=(b.runs[0], *a.runs[1:])) for a, b in zip(finalists, hard, strict=True)]
    noises = [confirm(made, draws=DRAWS).noise.sd or 0.0 for made in (finalists, mixed)]
    assert noises[1] < 2 * noises[0] + 0.005


def test_names_stand_in_sentences_for_ids() -> None:
    made = [replace(it, name=f"setting {it.trial_id}") for it in WORLD.screening([0.0, 0.9], 0)]
    assert "setting trial1 leads" in screen(made, draws=DRAWS, run_sd=0.006).sentence


def test_an_image_without_a_label_is_drawn_like_any_other() -> None:
    evidence = make_evidence("highway", "city street", "highway")
    counts = evidence.counts.copy()
    counts[1:] = 0
    found = screen([Candidate("a", replace(evidence, counts=counts))], draws=DRAWS)
    assert (found.draws, found.rivals[0].score.estimate) == (DRAWS, pytest.approx((0.8 + 10 / 12) / 2))
    assert found.scenes is None


def test_every_number_of_a_verdict_is_finite() -> None:
    unknown = screen(WORLD.screening([0.0, 0.1], 0), draws=DRAWS)
    for verdict in (unknown, screened(0.0), screened(0.0, 0.1), confirmed(0.0, 0.1), confirmed(0.0, 0.1, runs=1)):
        json.dumps(asdict(verdict), allow_nan=False)


def test_where_runs_differ_too_much_no_number_of_runs_decides() -> None:
    found = screened(0.0, 0.0, run_sd=0.2)
    assert found.needed is not None and found.needed.runs is None
