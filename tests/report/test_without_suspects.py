"""The verdict without the images whose labels are most suspect."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
from reports import LEADER, RUNNER_UP, FakeLedger, FakeStore, make_record, measured

from bddseg.evidence import Evidence
from sweeps.report.formats import render_json
from sweeps.report.gather import Report, gather_report
from sweeps.report.page import render_html, render_markdown
from sweeps.storage.suspects import FILE, FOLDER, RecordedSuspect, RecordedSuspects

IMAGES = 40


class ReviewedStore(FakeStore):
    """Has a record of suspects beside what the sweep recorded itself."""

    suspects: dict[str, Any] | None = None

    def json_artifact(self, run_id: str, name: str) -> dict[str, Any] | None:
        return self.suspects if name == f"{FOLDER}/{FILE}" else super().json_artifact(run_id, name)


def make_suspects(*names: str, fingerprint: str = "f" * 16) -> dict[str, Any]:
    suspects = tuple(RecordedSuspect(name, 0.3, f"road is missing in {name}") for name in names)
    recorded = RecordedSuspects("grid-1", fingerprint, "validation", IMAGES, IMAGES, ("a",), suspects)
    record: dict[str, Any] = json.loads(json.dumps(recorded.to_dict()))
    return record


def gather(suspects: dict[str, Any] | None, evidence: dict[str, Evidence] | None = None) -> Report:
    record = make_record()
    store = ReviewedStore(
        val_evidence={row.trial_id: measured(row, IMAGES) for row in record.trials} | (evidence or {})
    )
    store.suspects = suspects
    return gather_report(record, store, FakeLedger())


def carried_by_two_images() -> dict[str, Evidence]:
    """Return evidence in which the runner-up is best but for two images, which are all wrong in it."""
    rows = {row.trial_id: row for row in make_record().trials}
    leader = measured(rows[LEADER], IMAGES)
    counts = leader.counts.copy()
    for label in range(5):
        counts[:, label, label] += 2_000
        counts[:, label, (label + 1) % 5] -= 2_000
        counts[:2, label, (label + 1) % 5] += counts[:2, label, label]
        counts[:2, label, label] = 0
    return {RUNNER_UP: replace(leader, counts=counts)}


def test_without_a_record_there_is_no_second_verdict() -> None:
    assert gather(None).without_suspects is None


def test_the_verdict_is_repeated_without_the_most_suspect_images() -> None:
    without = gather(make_suspects("image0", "image1", "image2")).without_suspects
    assert without is not None
    assert (without.images, [suspect.name for suspect in without.suspects]) == (IMAGES - 2, ["image0", "image1"])
    assert without.verdict.images == IMAGES - 2 and without.is_same_leader


def test_a_leader_that_two_wrong_masks_made_is_replaced() -> None:
    report = gather(make_suspects("image0", "image1"), carried_by_two_images())
    assert report.verdict is not None and report.verdict.leader == LEADER
    assert report.without_suspects is not None and report.without_suspects.verdict.leader == RUNNER_UP


def test_suspects_of_other_frames_are_not_used() -> None:
    assert gather(make_suspects("image0", fingerprint="0" * 16)).without_suspects is None


def test_suspects_outside_the_validation_part_change_nothing() -> None:
    assert gather(make_suspects("of-training")).without_suspects is None


def test_page_and_markdown_say_whether_the_leader_survives() -> None:
    report = gather(make_suspects("image0", "image1"), carried_by_two_images())
    sentence = "Without the 2 most suspect images the leader is"
    assert sentence in render_markdown(report) and "road is missing in image0" in render_markdown(report)
    assert "Without suspect labels" in render_html(report)


def test_the_sentence_speaks_of_a_single_image() -> None:
    assert "Without the most suspect image the leader stays" in render_markdown(gather(make_suspects("image0")))


def test_json_has_the_second_verdict() -> None:
    record = json.loads(render_json([gather(make_suspects("image0", "image1"), carried_by_two_images())]))
    assert record["without_suspects"]["verdict"]["leader"] == RUNNER_UP
    assert record["without_suspects"]["suspects"][0]["name"] == "image0"


def test_the_evidence_of_the_remaining_images_stays_as_it_is() -> None:
    report = gather(make_suspects("image0", "image1"))
    assert report.without_suspects is not None
    scores = [rival.score.estimate for rival in report.without_suspects.verdict.rivals]
    assert np.all(np.diff(scores) <= 0) and len(scores) == len(report.verdict.rivals if report.verdict else ())
