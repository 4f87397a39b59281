"""The commands that a page offers are those of its own sweep and store."""

from dataclasses import replace

import pytest
from test_gather import make_report

from sweeps.paths import PREDICT, program
from sweeps.sections.origin import build_again


def commands(report_command: str) -> dict[str, str]:
    report = make_report()
    return dict(build_again(replace(report, facts={**report.facts, "report_command": report_command})).data)


@pytest.mark.parametrize("store", ["", " --tracking-uri http://host:5000", ' --tracking-uri "$MLFLOW_TRACKING_URI"'])
def test_a_page_says_how_to_register_and_use_its_model(store: str) -> None:
    found = commands(f"python report.py{store} grid-1")
    assert found["Its model in the registry, as @champion"] == f"python report.py{store} grid-1 --register"
    assert found["New images painted by it"] == f"{program(PREDICT)} @champion IMAGES --out painted{store}"


def test_a_page_that_does_not_know_its_command_offers_no_use() -> None:
    assert not any("@champion" in command for command in commands("").values())
