"""Which models review which images: those that they did not train on."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from confirmations import make_record, make_row
from tiny import make_config, make_frames, make_split

from sweeps.errors import ModelError
from sweeps.planning.dataset import Dataset
from sweeps.review.unseen import assign_images, choose_rows
from sweeps.storage.records import TrialRow

MATERIAL = Dataset(Path("/data"), is_embedded=False, frames=make_frames(), split=make_split(), summary=())
OPEN = {*MATERIAL.split.train, *MATERIAL.split.val}
SCREENED = make_record(make_row("first", 0.5), make_row("second", 0.4), make_row("third", 0.3))


@dataclass
class KeptWeights:
    """Knows the weights of some trials."""

    kept: set[str] = field(default_factory=set)

    def has_artifact(self, row: TrialRow, name: str) -> bool:
        return name == "weights/best.pt" and row.trial_id in self.kept


def make_run(finalist: str, fold: int, miou: float) -> TrialRow:
    config = make_config(data_folds=4, data_fold=fold)
    row = make_row(f"{finalist} run {fold + 1}", miou)
    return replace(row, finalist=finalist, settings=config.flat())


RUNS = tuple(make_run(finalist, fold, miou) for fold in range(4) for finalist, miou in (("a", 0.5), ("b", 0.6)))
CONFIRMED = replace(make_record(*RUNS), tags={"sweep.confirms": "made-1"})


def test_the_best_settings_whose_weights_are_kept_review() -> None:
    rows = choose_rows(SCREENED, KeptWeights({"id-second", "id-third"}), top=1)
    assert [row.name for row in rows] == ["second"]


def test_all_runs_of_the_best_finalist_review() -> None:
    rows = choose_rows(CONFIRMED, KeptWeights({row.trial_id for row in RUNS}), top=1)
    assert [row.name for row in rows] == ["b run 1", "b run 2", "b run 3", "b run 4"]


def test_a_sweep_without_weights_is_refused_with_the_cure() -> None:
    with pytest.raises(ModelError, match=r"weights of none of its 3 completed trials.*--keep-weights all"):
        choose_rows(SCREENED, KeptWeights(), top=4)


def test_a_failed_trial_does_not_review() -> None:
    failed = make_record(make_row("first", 0.5, status="KILLED"), make_row("second", 0.4))
    rows = choose_rows(failed, KeptWeights({"id-first", "id-second"}), top=4)
    assert [row.name for row in rows] == ["second"]


def test_a_screening_reviews_its_validation_part() -> None:
    row = replace(SCREENED.trials[0], settings=make_config().flat())
    reviewers = assign_images(SCREENED, [row], MATERIAL)
    assert reviewers.images == MATERIAL.split.val and "validation part only" in reviewers.sentence()


def test_runs_on_all_folds_review_train_and_validation() -> None:
    reviewers = assign_images(CONFIRMED, RUNS[::2], MATERIAL)
    assert set(reviewers.images) == OPEN and reviewers.notes == ()
    assert reviewers.sentence() == "4 models of 1 setting, each on the fold that it did not see: 20 of 20 images"


def test_no_model_reviews_an_image_that_it_trained_on() -> None:
    reviewers = assign_images(CONFIRMED, RUNS[::2], MATERIAL).reviewers
    counts = [image for reviewer in reviewers for image in reviewer.images]
    assert sorted(counts) == sorted(OPEN)


def test_the_test_part_is_never_reviewed() -> None:
    assert not set(assign_images(CONFIRMED, RUNS, MATERIAL).images) & set(MATERIAL.split.test)


def test_folds_without_weights_are_noted_with_the_cure() -> None:
    reviewers = assign_images(CONFIRMED, RUNS[:2], MATERIAL)
    assert "15 images of 20 are in folds of which no weights are kept" in reviewers.notes[0]
    assert "--keep-weights all" in reviewers.notes[0]
