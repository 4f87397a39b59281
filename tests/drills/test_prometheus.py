"""Drill: a real Prometheus, with the shipped configuration, scrapes a sweep while it runs."""

import os
from pathlib import Path

import pytest
from drills import CACHE, SMALL, Site
from monitoring import DASHBOARD, RULES, prometheus, queries
from recording import until

pytestmark = pytest.mark.drill

LONG = ("--set", "data.max_images=180", "--set", "train.epochs=400", "--scheduler", "none")
OF_GPUS = {panel["title"] for panel in DASHBOARD["panels"] if panel.get("description") == "Empty without a GPU."}


def test_every_query_of_the_dashboard_answers_about_a_running_sweep(place: Site, tmp_path: Path) -> None:
    with prometheus(tmp_path) as server:
        discovered = tmp_path / "monitoring" / "targets" / "sweeps.json"
        discovered.symlink_to(CACHE / f"ray-{os.getuid()}" / "prometheus.json")
        place.start(*SMALL, *LONG)
        place.await_epochs(4)
        panels = {name: query for name, query in queries().items() if name.rpartition(" ")[0] not in OF_GPUS}
        shown = {name: query for name, query in panels.items() if name not in {rule["alert"] for rule in RULES}}
        empty = lambda: [name for name, query in shown.items() if not server.ask(query)]  # noqa: E731
        assert until(lambda: not empty(), 120), (empty(), server.targets())
        (sample,) = server.ask('max by (sweep) (ray_sweep_trials{sweep=~"$sweep", state="running"})')
        assert (sample["metric"]["sweep"], sample["value"][1]) == (place.sweep_id, "2")
        assert {target["health"] for target in server.targets()} == {"up"}
        assert server.ask("ALERTS") == []  # nothing is wrong
