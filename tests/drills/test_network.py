"""Drills: hosts of a Ray cluster that are lost, cut off and replaced during a sweep."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from drills import PATIENCE_S, SMALL, Site, site, survived
from hosts import Host, drive, network

pytestmark = pytest.mark.drill

LONG = ("--set", "data.max_images=90", "--set", "train.epochs=20", "--scheduler", "none", "--checkpoint-every", "0",
        "--replicates", "0")  # fmt: skip
LONG_S = 4 * PATIENCE_S


@dataclass
class Bed:
    """A head without cores, and hosts for trials that are no nodes yet."""

    head: Host
    a: Host
    b: Host


@pytest.fixture
def bed() -> Iterator[Bed]:
    """Start a head."""
    with network("head", "a", "b") as hosts:
        hosts[0].start_head()
        yield Bed(*hosts)


def retries(place: Site) -> set[str]:
    """Return how often the trials were retried after failures of their own, as their ends say."""
    ends = [event["tags"] for event in place.events() if event["kind"] == "end" and event["trial"]]
    return {tags["sweep.retries"] for tags in ends}


def test_a_trial_whose_node_is_lost_three_times_has_not_failed(tmp_path: Path, template: Path, bed: Bed) -> None:
    bed.a.join(bed.head)
    with site(tmp_path, template) as place:
        driver = drive(place, bed.head, *SMALL, *LONG, "--limit", "1", "--address", bed.head.ray)
        for epochs in (3, 7, 11):
            place.await_that(lambda epochs=epochs: len(place.epochs()) >= epochs, LONG_S)  # type: ignore[misc]
            bed.a.restart()
            bed.a.join(bed.head)
        assert driver.wait(LONG_S) == 0, place.said()
        audited = survived("node_lost_three_times", place, 3, repeated_at_most=6)
        assert list(audited.reasons.values()) == [["max_epochs"]] and retries(place) == {"0"}, place.said()
        assert place.said().count(" continues on another node: its own was lost or cannot be reached; see ") == 3


def test_a_link_that_is_cut_for_20_seconds_costs_no_trial(tmp_path: Path, template: Path, bed: Bed) -> None:
    bed.a.join(bed.head)
    bed.b.join(bed.head)
    with site(tmp_path, template) as place:
        driver = drive(place, bed.head, *SMALL, *LONG, "--address", bed.head.ray)
        place.await_that(lambda: len(place.running()) == 2 and min(place.running().values()) >= 2, LONG_S)
        bed.a.cut(seconds=20)
        assert driver.wait(LONG_S) == 0, place.said()
        audited = survived("link_cut_20_s", place, 1, repeated_at_most=4)
        assert set(map(tuple, audited.reasons.values())) == {("max_epochs",)} and retries(place) == {"0"}


def test_a_driver_whose_head_is_lost_names_the_command_that_continues_the_sweep(
    tmp_path: Path, template: Path, bed: Bed
) -> None:
    bed.a.join(bed.head)
    with site(tmp_path, template) as place:
        driver = drive(place, bed.a, *SMALL, *LONG, "--limit", "1", "--address", bed.head.ray)
        place.await_that(lambda: len(place.epochs()) >= 4, LONG_S)
        bed.head.kill()
        assert driver.wait(LONG_S) == 2, place.said()
        last = place.said().splitlines()[-1]
        assert last.startswith(f"error: the head of the cluster, {bed.head.ray}, has not answered for "), place.said()
        resume = f"--storage {place.storage} --resume {place.sweep_id}"
        assert last.endswith(f"; once this is fixed, resume with: python tune_main.py {resume}"), place.said()
        bed.head.boot()
        bed.a.restart()
        bed.head.start_head()
        bed.a.join(bed.head)
        assert drive(place, bed.a, "--resume", "--address", bed.head.ray).wait(LONG_S) == 0, place.said()
        survived("head_lost_and_resumed", place, 1, repeated_at_most=3)
