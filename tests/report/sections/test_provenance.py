"""The commands that a page offers are those of its own sweep and store."""

import re
from dataclasses import replace
from typing import Any

import pytest
from pages import NoFigures, Page
from reports import make_report

from sweeps.paths import PREDICT, program
from sweeps.report.gather import Report
from sweeps.report.page import render_html, render_markdown
from sweeps.report.sections.provenance import build_provenance


def decided(outcome: str, report_command: str = "python report.py grid-1", **changes: Any) -> Report:
    report = make_report()
    assert report.verdict is not None
    facts = {**report.facts, "report_command": report_command}
    return replace(report, facts=facts, verdict=replace(report.verdict, outcome=outcome), **changes)


def commands(report_command: str, outcome: str = "leader") -> dict[str, str]:
    return dict(build_provenance(decided(outcome, report_command)).data)


@pytest.mark.parametrize("store", ["", " --tracking-uri http://host:5000", ' --tracking-uri "$MLFLOW_TRACKING_URI"'])
def test_a_page_says_how_to_register_and_use_its_model(store: str) -> None:
    found = commands(f"python report.py{store} grid-1")
    assert found["Register its model as @champion"] == f"python report.py{store} grid-1 --register"
    assert found["Predict new images with it"] == f"{program(PREDICT)} @grid-1 IMAGES --out painted{store}"


def test_the_model_of_an_undecided_verdict_is_offered_with_force_and_not_as_champion() -> None:
    found = commands("python report.py grid-1", "undecided")
    title = "Register its model, not as @champion: the verdict is undecided"
    assert found[title] == "python report.py grid-1 --register --force"


def test_a_page_that_does_not_know_its_command_offers_no_use() -> None:
    assert not any("predict" in command or "--register" in command for command in commands("").values())


PROGRAM = re.compile(r"(?:python \S*|\S*/)(?:report|tune_main|predict|export|explain)\.py [^`\n]*")


@pytest.mark.parametrize("outcome", ["leader", "tie", "undecided"])
@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_every_command_on_a_page_names_its_sweep(outcome: str, state: str) -> None:
    report = decided(outcome, state=state)
    text = render_markdown(report)
    found = set(PROGRAM.findall(text)) - {text.split("Repeat the sweep:\n\n    ")[1].splitlines()[0]}
    alone = {
        command for command in found if command.startswith("python tune_main.py --space")
    }  # these start new sweeps
    assert len(found - alone) >= 4
    assert [command for command in found - alone if "grid-1" not in command] == []
    page = Page(render_html(report, figures=NoFigures())).text
    assert all(" ".join(command.split()) in page for command in found)
