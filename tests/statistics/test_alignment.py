"""Who can be compared: same images of the same frames; everybody else is named with the reason."""

from dataclasses import replace

import numpy as np
from counts import make_evidence

from bddseg.confusion import miou
from bddseg.evidence import Evidence
from sweeps.statistics.alignment import AlignedEvidence, AlignmentInput, align_evidence

EVIDENCE = make_evidence("city street", "highway", "city street")


def entrant(name: str, *runs: Evidence, **changes: bool | str) -> AlignmentInput:
    return replace(AlignmentInput(name, runs), **changes)  # type: ignore[arg-type]


def lined_up(*entrants: AlignmentInput) -> AlignedEvidence:
    found = align_evidence(entrants)
    assert found is not None
    return found


def named(*names: str) -> Evidence:
    return replace(make_evidence(*["highway"] * len(names)), names=names)


def test_the_larger_group_on_the_same_images_is_compared() -> None:
    other = replace(EVIDENCE, names=("a", "b", "image0"))
    found = lined_up(entrant("odd", other), entrant("one", EVIDENCE), entrant("two", EVIDENCE))
    assert found.ids == ("one", "two")
    assert "another split: 3 images, of which 1 are among the others' 3" in found.left_out["odd"]


def test_of_two_groups_of_one_the_one_with_the_reference_is_compared() -> None:
    other = replace(EVIDENCE, names=("a", "b", "c"))
    assert lined_up(entrant("odd", other), entrant("one", EVIDENCE, is_reference=True)).ids == ("one",)


def test_evidence_of_other_frames_is_left_out() -> None:
    other = replace(EVIDENCE, fingerprint="0" * 16)
    found = lined_up(entrant("one", EVIDENCE), entrant("two", EVIDENCE), entrant("odd", other))
    assert "of other frames: 0000000000000000" in found.left_out["odd"]


def test_evidence_that_is_missing_is_left_out_with_its_reason() -> None:
    found = lined_up(entrant("one", EVIDENCE), entrant("none"), entrant("torn", missing="it is damaged"))
    assert found.left_out == {"none": "it left no evidence", "torn": "it is damaged"}


def test_counts_of_other_masks_are_left_out() -> None:
    other = replace(EVIDENCE, counts=EVIDENCE.counts * 2)
    found = lined_up(entrant("one", EVIDENCE), entrant("two", EVIDENCE), entrant("odd", other))
    assert "of other masks" in found.left_out["odd"]


def test_negative_counts_are_damaged() -> None:
    counts = EVIDENCE.counts.copy()
    counts[0, 0, :2] = (11, -1)  # the sum is right
    found = lined_up(entrant("one", EVIDENCE), entrant("odd", replace(EVIDENCE, counts=counts)))
    assert "negative" in found.left_out["odd"]


def test_with_fewer_runs_than_the_others_one_is_left_out() -> None:
    folds = (EVIDENCE, named("a", "b"))
    found = lined_up(entrant("one", *folds), entrant("two", *folds), entrant("odd", EVIDENCE))
    assert found.left_out["odd"] == "it has evidence of 1 run, the others of 2"


def test_nobody_can_be_compared_without_evidence() -> None:
    assert align_evidence([entrant("none")]) is None
    assert align_evidence([]) is None


def test_evidence_without_a_pixel_is_none() -> None:
    assert align_evidence([entrant("empty", replace(EVIDENCE, counts=EVIDENCE.counts * 0))]) is None


def test_images_are_lined_up_whatever_their_order() -> None:
    counts = np.zeros((2, 5, 5), dtype=np.int64)
    counts[0, 0, 0], counts[1, 1, 1] = 7, 9
    one = replace(named("a", "b"), counts=counts)
    two = replace(named("b", "a"), counts=counts[::-1])
    found = lined_up(entrant("one", one), entrant("two", two))
    assert np.array_equal(found.intersection[0], found.intersection[1])


def test_images_of_a_drive_are_drawn_together() -> None:
    names = ("0000000b-00000001", "0000000a-00000002", "0000000b-00000000")
    found = lined_up(entrant("one", named(*names)))
    assert (found.drives, found.units, found.unit.tolist()) == (2, 2, [0, 1, 1])


def test_images_without_a_drive_are_drawn_in_blocks() -> None:
    lineup = lined_up(entrant("one", named("0000000b-00000001", "0000000b-00000002", "frame")))
    assert (lineup.drives, lineup.units, lineup.without_drive) == (1, 2, 1)


def test_seeds_of_a_setting_are_summed() -> None:
    lineup = lined_up(entrant("one", EVIDENCE, replace(EVIDENCE)), entrant("two", EVIDENCE))
    assert np.array_equal(lineup.intersection[0], 2 * lineup.intersection[1])
    assert (lineup.runs.tolist(), lineup.scores[0]) == ([2, 1], lineup.scores[1])


def test_runs_have_scores_of_their_own() -> None:
    worse = replace(EVIDENCE, counts=np.roll(EVIDENCE.counts, 1, axis=2))
    lineup = lined_up(entrant("one", EVIDENCE, worse))
    assert lineup.run_scores[0].tolist() == [float(miou(run.counts.sum(0))) for run in (EVIDENCE, worse)]


def test_folds_are_joined_and_an_image_scored_twice_counts_twice() -> None:
    first, second = named("a", "b"), named("c")
    once = lined_up(entrant("one", first, second))
    twice = lined_up(entrant("one", first, second, first))
    assert (once.images, twice.images) == (3, 3)
    assert np.array_equal(twice.intersection[0, :2], 2 * once.intersection[0, :2])


def test_a_class_counts_where_the_masks_have_it() -> None:
    counts = np.array([np.diag([8, 8, 0, 0, 0])])
    stray = counts.copy()
    stray[0, 0, :3] = (7, 0, 1)  # one road pixel is taken for vegetation, which no mask has
    lineup = lined_up(
        entrant("one", replace(named("a"), counts=counts)), entrant("two", replace(named("a"), counts=stray))
    )
    assert lineup.scores.tolist() == [1.0, (7 / 8 + 1) / 2]
    assert lineup.bearing_units.tolist() == [1, 1, 0, 0, 0]


def test_the_score_is_that_of_the_counting_room() -> None:
    assert lined_up(entrant("one", EVIDENCE)).scores.tolist() == [float(miou(EVIDENCE.counts.sum(0)))]
