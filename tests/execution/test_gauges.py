"""The live figures as Ray's node has them for whoever scrapes it."""

import re
import urllib.request
from pathlib import Path

import pytest
import ray
from plans import FIRST, PLAN, growing
from recording import end, epoch, start, until

from sweeps.execution.cluster import ray_cluster
from sweeps.execution.gauges import DESCRIPTIONS, Gauges
from sweeps.execution.progress import TrialTable
from sweeps.storage.outbox import Outbox

LINE = re.compile(r'^ray_(sweep_\w+)\{.*?(?:state="(\w+)",)?sweep="s-1"\} (\S+)$', re.MULTILINE)
HELP = re.compile(r"^# HELP ray_sweep_(\w+) (.*)$", re.MULTILINE)
LAST = "sweep_outbox_refused_events"
"""The gauge that is set last."""


def scrape() -> str:
    """Return the node's metrics."""
    address = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The metrics of a sweep with a finished trial, another one that waits, and three events that nobody delivers."""
    board, folder = TrialTable(growing(PLAN)), tmp_path_factory.mktemp("sweep")
    outbox = Outbox(folder / "outbox")
    events = (start(FIRST), epoch(1, 0.25, FIRST), end("FINISHED", FIRST))
    outbox.extend(events)
    with ray_cluster(tmp_path_factory.mktemp("cache")), Gauges(board, "s-1", folder, outbox) as gauges:
        for event in events:
            board.apply(event)
            gauges.apply(event)
        assert until(lambda: {LAST, "sweep_best_miou"} <= set(figures(scrape())), 60), scrape()
        return scrape()


def figures(text: str) -> dict[str, float]:
    """Return name (and state) -> value."""
    return {f"{name} {state}".strip(): float(value) for name, state, value in LINE.findall(text)}


def test_trials_are_counted_by_state(metrics: str) -> None:
    counts = figures(metrics)
    states = ("finished", "waiting", "running", "failed")
    assert [counts[f"sweep_trials {state}"] for state in states] == [1, 1, 0, 0]


def test_the_progress_of_a_sweep_is_among_the_metrics_of_the_node(metrics: str) -> None:
    progress = figures(metrics)
    assert (progress["sweep_best_miou"], progress["sweep_epochs_done"], progress["sweep_epochs_budget"]) == (0.25, 1, 4)
    assert progress["sweep_trials_to_come"] == 0


def test_events_that_are_not_delivered_are_counted(metrics: str) -> None:
    assert (figures(metrics)["sweep_outbox_pending_events"], figures(metrics)[LAST]) == (3, 0)


def test_every_gauge_is_set_and_has_its_help_text(metrics: str) -> None:
    assert dict(HELP.findall(metrics)) == DESCRIPTIONS
    assert {name.split()[0] for name in figures(metrics)} == {f"sweep_{name}" for name in DESCRIPTIONS}


def test_a_trial_that_has_ended_adds_no_images_per_second(tmp_path: Path) -> None:
    board, name = TrialTable(growing(PLAN)), "throughput/img_s"
    gauges = Gauges(board, "s-1", tmp_path, None)
    shown: list[float | None] = []
    gauges._set = lambda figure, value: shown.append(value) if figure == "images_per_second" else None  # type: ignore
    gauges._gauges["trials"] = type("Silent", (), {"set": lambda *_: None})()  # type: ignore[assignment]
    for event in (start(FIRST), epoch(1, 120.0, FIRST, name=name), end("FINISHED", FIRST)):
        board.apply(event)
        gauges.apply(event)
    assert shown == [0, 120, 0]
