"""The nodes of a Ray: how many trials they run at a time, and the wait for one that can run any."""

import pytest

from sweeps.errors import ExperimentError
from sweeps.execution.cluster_nodes import await_node, fitting_nodes, needed_words, slots


def nodes(*resources: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": amounts} for amounts in resources])


def test_a_trial_that_fits_on_no_node_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes(*[{"CPU": 2.0}] * 3, monkeypatch=monkeypatch)
    with pytest.raises(ExperimentError, match="a trial needs CPU 4, but no node has that"):
        slots({"CPU": 4.0, "GPU": 0.0}, 0)


def test_trials_side_by_side_are_counted_node_by_node(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [{"Alive": True, "Resources": {"CPU": 3.0}}, {"Alive": False, "Resources": {"CPU": 64.0}}]
    monkeypatch.setattr("ray.nodes", lambda: [*entries, entries[0]])
    assert (slots({"CPU": 2.0}, 0), slots({"CPU": 1.0}, 4)) == (2, 4)


def test_a_node_fits_only_with_all_that_a_trial_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes({"CPU": 8.0}, {"CPU": 4.0, "GPU": 1.0}, {"GPU": 8.0}, monkeypatch=monkeypatch)
    assert [node["Resources"]["CPU"] for node in fitting_nodes({"CPU": 1.0, "GPU": 0.5})] == [4.0]


def test_without_a_wait_a_cluster_without_nodes_is_refused_with_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes({}, monkeypatch=monkeypatch)
    with pytest.raises(ExperimentError, match=r"a trial needs CPU 1, GPU 1, but .* give --wait-for-nodes SECONDS$"):
        await_node({"CPU": 1.0, "GPU": 1.0}, 0)


def test_needs_are_named_without_what_is_not_needed() -> None:
    assert needed_words({"CPU": 2.0, "GPU": 0.0}) == "CPU 2"
