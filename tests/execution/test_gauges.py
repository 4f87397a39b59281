"""The live figures as Ray's node has them for whoever scrapes it."""

import re
import urllib.request
from pathlib import Path

import ray
from plans import FIRST, PLAN, growing
from recording import end, epoch, start, until

from sweeps.execution.cluster import ray_cluster
from sweeps.execution.gauges import Gauges
from sweeps.execution.progress import TrialTable

LINE = re.compile(r'^ray_(sweep_\w+)\{.*?(?:state="(\w+)",)?sweep="s-1"\} (\S+)$', re.MULTILINE)


def scraped() -> dict[str, float]:
    """Return name (and state) -> value, as the node's metrics say."""
    address = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return {f"{name} {state}".strip(): float(value) for name, state, value in LINE.findall(answer.read().decode())}


def test_a_sweep_is_seen_among_the_metrics_of_the_node(tmp_path: Path) -> None:
    board = TrialTable(growing(PLAN))
    with ray_cluster(tmp_path):
        gauges = Gauges(board, "s-1")
        for event in (start(FIRST), epoch(1, 0.25, FIRST), end("FINISHED", FIRST)):
            board.apply(event)
            gauges.apply(event)
        assert until(lambda: "sweep_best_miou" in scraped(), 60)
        figures = scraped()
    assert (figures["sweep_trials finished"], figures["sweep_trials waiting"], figures["sweep_trials running"]) == (
        1,
        1,
        0,
    )
    assert (figures["sweep_best_miou"], figures["sweep_epochs_done"], figures["sweep_epochs_budget"]) == (0.25, 1, 4)
    assert figures["sweep_trials_to_come"] == 0
