"""The task that asks a node whether it can run trials, and the line that names those that cannot."""

from pathlib import Path

import pytest

from sweeps.errors import ClusterError
from sweeps.execution.node_probe import NodeReport, _marker, _why_unanswered, check_reports, look_around, own_versions
from sweeps.storage.object_store import open_object_store


def test_a_node_like_this_machine_lacks_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    storage = tmp_path / "new" / "runs"
    with _marker(storage) as marker:
        report = look_around(own_versions(), str(marker), needs_gpu=False)
    assert (report.device, report.flaws) == ("cpu", ())
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_does_not_see_the_marker_has_another_storage(tmp_path: Path) -> None:
    report = look_around(own_versions(), str(tmp_path / ".probe-0"), needs_gpu=False)
    assert report.flaws == (f"does not see the storage folder {tmp_path} (mount it there under the same path)",)


def test_other_versions_are_named(tmp_path: Path) -> None:
    expected = own_versions() | {"torch": "1.0", "recipe": "0"}
    with _marker(tmp_path) as marker:
        flaws = look_around(expected, str(marker), needs_gpu=False).flaws
    assert [flaw.split(" (")[0] for flaw in flaws] == [
        f"has torch {own_versions()['torch']} instead of 1.0",
        f"has recipe {own_versions()['recipe']} instead of 0",
    ]


def test_nodes_with_the_same_flaw_are_named_together() -> None:
    reports = [NodeReport("a", flaws=("is cold",)), NodeReport("b"), NodeReport("c", flaws=("is cold", "is far"))]
    with pytest.raises(ClusterError, match=r"sweep: 2 nodes \(a, c\) is cold; 1 node \(c\) is far; or take such"):
        check_reports(reports)


def test_nodes_without_flaws_are_fine() -> None:
    check_reports([NodeReport("a"), NodeReport("b")])


def test_a_missing_package_is_named_from_the_middle_of_a_traceback() -> None:
    traceback = "a long story\n  File x\nModuleNotFoundError: No module named 'torch'\nAn internal error occurred."
    assert _why_unanswered(traceback).startswith("cannot import the project (ModuleNotFoundError: No module named 'to")


def test_a_node_that_does_not_reach_the_object_store_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = open_object_store("s3://bucket/x")
    (flaw,) = look_around(own_versions(), str(tmp_path / ".probe-0"), needs_gpu=False, store=store).flaws
    assert flaw.startswith("cannot use s3://bucket/x for checkpoints: it does not answer: check the network")
