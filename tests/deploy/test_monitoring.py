"""The configuration of Prometheus, its alerts and the dashboard: read by their own programs."""

import subprocess
from collections import Counter

import promql_parser
import pytest
from monitoring import DASHBOARD, FOLDER, RULES, metrics_of, needs, queries

from sweeps.execution.gauges import DESCRIPTIONS, PREFIX

OWN = f"ray_{PREFIX}"


@pytest.mark.parametrize(
    "command",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
    ids=" ".join,
)
def test_promtool_accepts(command: tuple[str, ...]) -> None:
    checked = subprocess.run([needs("promtool"), *command], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_is_tested() -> None:
    tests = (FOLDER / "alerts_test.yml").read_text()
    assert [rule["alert"] for rule in RULES if rule["alert"] not in tests] == []


def test_every_metric_of_a_sweep_that_a_query_reads_is_exported() -> None:
    read = set().union(*map(metrics_of, queries().values()))
    assert {name.removeprefix(OWN) for name in read if name.startswith(OWN)} - set(DESCRIPTIONS) == set()


def test_the_dashboard_shows_every_metric_of_a_sweep() -> None:
    shown = set().union(*map(metrics_of, queries().values()))
    assert {f"{OWN}{name}" for name in DESCRIPTIONS} - shown == set()


def test_every_query_is_promql() -> None:
    for query in queries().values():
        promql_parser.parse(query)  # raises where it is not


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    identities = Counter(panel["id"] for panel in DASHBOARD["panels"])
    cells = Counter(
        (column, line)
        for panel in DASHBOARD["panels"]
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for line in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    )
    assert max(identities.values()) == max(cells.values()) == 1
    assert max(column for column, _ in cells) < 24


def test_every_panel_takes_the_data_source_and_the_sweep_that_are_chosen() -> None:
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    targets = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    assert variables == {"datasource", "sweep"}
    assert {target["datasource"]["uid"] for target in targets} == {"${datasource}"}
    assert [target["expr"] for target in targets if OWN in target["expr"] and "$sweep" not in target["expr"]] == []


def test_metrics_are_named_by_their_unit() -> None:
    units = ("seconds", "bytes", "events", "images_per_second")
    countless = {"trials", "trials_to_come", "epochs_done", "epochs_budget", "best_miou"}
    assert [name for name in DESCRIPTIONS if name not in countless and not name.endswith(units)] == []
