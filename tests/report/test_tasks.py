"""Pages of sweeps with other classes and groups than the five of BDD100K and its scenes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from reports import FakeStore, make_record, make_report, measured

from bddseg.task import FIVE_CLASSES, Group, Task
from sweeps.errors import ComparisonError
from sweeps.report.comparison import build_comparison
from sweeps.report.formats import render_csv, render_json
from sweeps.report.gather import Report
from sweeps.report.page import render_html, render_markdown
from sweeps.report.sections.classes import build_section

UNGROUPED = replace(FIVE_CLASSES, attribute="", groups=())
THREE = replace(
    FIVE_CLASSES, attribute="light", groups=(Group("day", ("d",)), Group("night", ("n",)), Group("dusk", ()))
)
LIGHTS = ("d", "n", "k") * 4


def reported(task: Task) -> Report:
    """Return the report of the usual sweep, as if it had been of this task."""
    record = make_record()
    rows = {row.trial_id: measured(row) for row in record.trials}
    attributes: dict[str, Any] = {"light": LIGHTS} if task.attribute else {}
    evidence = {name: replace(one, task=task, attributes=attributes) for name, one in rows.items()}
    data = {**record.manifest["data"], "task": task.to_dict(), "scenes": {}}
    return make_report(FakeStore(val_evidence=dict(evidence)), manifest={"data": data})


@pytest.fixture(scope="module")
def ungrouped() -> Report:
    return reported(UNGROUPED)


@pytest.fixture(scope="module")
def grouped() -> Report:
    return reported(THREE)


def test_without_groups_nothing_is_said_of_scenes(ungrouped: Report) -> None:
    text = render_markdown(ungrouped).lower()
    assert "city" not in text and "scene" not in text.replace("street scenes", "")


def test_without_groups_a_page_has_no_section_of_them(ungrouped: Report) -> None:
    page = render_html(ungrouped)
    assert 'id="scenes"' not in page and "City" not in page and "mIoU by scene" not in page


def test_without_groups_tables_have_no_columns_of_them(ungrouped: Report) -> None:
    head = render_csv([ungrouped]).splitlines()[0]
    assert "val/iou/road" in head and "group" not in head


def test_three_groups_are_each_compared_with_the_rest(grouped: Report) -> None:
    assert grouped.verdict is not None
    assert [answer.sides for answer in grouped.verdict.contrasts] == [
        ("day", "not_day"),
        ("night", "not_night"),
        ("dusk", "not_dusk"),
    ]
    page = render_html(grouped)
    assert all(f"<h3>{name} versus all others</h3>" in page for name in ("Day", "Night", "Dusk"))
    assert "98.3 % interval" in page and "City" not in page


def titles(report: Report) -> list[str]:
    """Return the columns of the leader's figures by class."""
    return [column.title for column in build_section(report).data[0].columns]


def test_a_group_of_the_value_that_it_is_named_after_has_one_column() -> None:
    task = replace(THREE, groups=(Group("day", ("d",)), Group("night", ("n",)), Group("k", ())))
    assert titles(reported(task)) == ["all", "day", "night", "k"]


def test_a_value_with_the_name_of_a_larger_group_has_a_column_of_its_own() -> None:
    task = replace(THREE, groups=(Group("d", ("d", "n")), Group("dusk", ())))
    assert titles(reported(task)) == ["all", "d", "dusk", "d alone", "k", "n"]


def test_three_groups_are_in_json(grouped: Report) -> None:
    assert '"further_scenes": [{' in render_json([grouped])


def test_colours_of_a_page_are_those_of_the_task() -> None:
    task = replace(UNGROUPED, palette=((1, 2, 3), *UNGROUPED.palette[1:]))
    assert "rgb(1, 2, 3)" in render_html(reported(task))


def test_sweeps_of_other_classes_are_not_compared(ungrouped: Report) -> None:
    other = replace(reported(replace(UNGROUPED, classes=("a", "b", "c", "d", "e"))), sweep_id="grid-2")
    with pytest.raises(ComparisonError, match=r"grid-1: road, building, vegetation .*; grid-2: a, b, c"):
        build_comparison([ungrouped, other])


def test_names_with_blanks_are_metrics_with_underscores() -> None:
    task = replace(UNGROUPED, classes=("road", "traffic light", "x y", "sky", "car"))
    store = FakeStore(val_evidence={row.trial_id: None for row in make_record().trials})
    data = {**make_record().manifest["data"], "task": task.to_dict()}
    record = make_record(manifest={"data": data})
    rows = tuple(replace(row, metrics={**row.metrics, "best/iou/traffic_light": 0.25}) for row in record.trials)
    report = make_report(store, trials=rows, manifest={"data": data})
    assert report.leader.scores.iou["traffic light"] == 0.25 and np.isfinite(report.leader.scores.miou or np.nan)
