"""Sweeps side by side: the same images are compared, others are listed, other data are refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from comparisons import weaker
from decisions import confirmation, finalists, of_folds, runs_of
from pages import HOSTILE, NoFigures, Page
from repeats import seeded
from reports import LEADER, FakeLedger, FakeStore, make_record, make_report, measured

from sweeps.errors import ComparisonError
from sweeps.report.comparison import build_comparison
from sweeps.report.decision import Margins
from sweeps.report.files import write_comparison
from sweeps.report.gather import Report, gather_report
from sweeps.report.page import render_comparison


def other_data() -> Report:
    return weaker(data={**make_record().manifest["data"], "fingerprint": "0" * 16})


def test_the_better_leader_comes_first_and_the_other_has_its_distance() -> None:
    found = build_comparison([weaker(), make_report()])
    assert [it.report.sweep_id for it in found.contenders] == ["grid-1", "grid-2"]
    rival = found.contenders[1].rival
    assert rival is not None
    assert rival.difference.estimate == pytest.approx(0.8305 - 0.8434, abs=1e-5)


def test_the_margin_is_that_of_the_reports() -> None:
    wide = [replace(it, margins=Margins(2.0, 0.05)) for it in (make_report(), weaker())]
    verdict, usual = (build_comparison(it).verdict for it in (wide, [make_report(), weaker()]))
    assert verdict is not None and usual is not None
    assert (verdict.margin, verdict.rivals[1].is_surely_close, usual.rivals[1].is_surely_close) == (2.0, True, False)


def test_sweeps_on_other_data_are_refused_and_named() -> None:
    with pytest.raises(ComparisonError, match=r"grid-1 on .+ \(f{16}\); grid-2 on .+ \(0{16}\)"):
        build_comparison([make_report(), other_data()])


def test_a_leader_measured_on_other_images_is_listed_but_not_compared() -> None:
    store = FakeStore()
    for row in make_record().trials:
        evidence = measured(row)
        store.val_evidence[row.trial_id] = replace(evidence, names=tuple(f"other{n}" for n in range(12)))
    found = build_comparison([make_report(), make_report(store, sweep_id="grid-2")])
    assert found.verdict is None
    page = Page(render_comparison(found, "html", NoFigures()))
    assert "Not compared: other images." in page.text
    assert "bars" not in [attributes.get("id") for _, attributes in page.tags]


def test_sweeps_of_one_space_have_names_of_their_own_and_links_to_their_pages() -> None:
    reports = [
        make_report(),
        weaker(space="grid_lr_loss"),
        weaker("grid-3", "grid_lr_loss", started="2026-11-27T09:30:00Z"),
    ]
    found = build_comparison(reports)
    assert {it.title for it in found.contenders} == {"grid-1", "grid-2", "grid_lr_loss of 27 November 2026, 09:30"}
    assert found.title == "grid_lr_loss, 3 sweeps"
    assert 'href="../grid-3/index.html"' in render_comparison(found, "html", NoFigures())


def test_the_page_and_markdown_have_the_same_figures() -> None:
    found = build_comparison([make_report(), weaker()])
    page, text = Page(render_comparison(found, "html", NoFigures())).text, render_comparison(found, "md")
    for words in ("0.843", "0.831", "grid-2", "other"):
        assert words in page
        assert words in text


def test_hostile_names_are_text() -> None:
    found = build_comparison([make_report(), weaker(f"../{HOSTILE}", HOSTILE)])
    page = Page(render_comparison(found, "html", NoFigures()))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "<script" not in render_comparison(found, "md")


def test_a_comparison_is_a_folder_of_its_own(tmp_path: Path) -> None:
    page = write_comparison(build_comparison([make_report(), weaker("../x")]), tmp_path)
    assert page.parent.parent == tmp_path
    found = json.loads((page.parent / "comparison.json").read_text())
    assert [it["sweep_id"] for it in found["sweeps"]] == ["grid-1", "../x"]
    assert {path.name for path in (page.parent / "figures").iterdir()} == {"bars-bars.svg", "bars-bars.png"}


def repeated() -> Report:
    """A sweep of the first one's leader alone, with another seed that is 2 points better."""
    row = next(row for row in make_record().trials if row.trial_id == LEADER)
    first = make_record(sweep_id="grid-2", trials=(seeded(row, 5, 0.02),), manifest={"space": "again"})
    return gather_report(first, FakeStore(), FakeLedger())


def test_all_completed_trials_of_all_sweeps_compete_and_equal_settings_are_one() -> None:
    found = build_comparison([make_report(), repeated()])
    assert found.verdict is not None
    assert [(place.name, len(place.rival.seeds)) for place in found.settings][:2] == [
        ("vanilla-f8 cross_entropy lr=0.001 (grid_lr_loss, again)", 2),
        ("vanilla-f8 cross_entropy lr=0.0005 (grid_lr_loss)", 1),
    ]
    assert (len(found.settings), found.verdict.noise.repeats) == (5, 1)
    assert [it.rival.difference.estimate for it in found.contenders if it.rival] == [0.0, 0.0]
    assert "| the only setting | " in render_comparison(found, "md")


def test_a_trial_that_two_sweeps_have_is_one_run() -> None:
    found = build_comparison([make_report(), weaker()])
    assert found.verdict is not None
    assert (len(found.settings), {len(place.rival.seeds) for place in found.settings}) == (5, {1})
    assert found.settings[1].sweeps == ("grid_lr_loss", "other")


def test_a_confirmation_is_not_compared_with_screenings() -> None:
    rows = tuple(run for finalist in finalists() for run in runs_of(finalist))
    last = gather_report(confirmation(*rows), of_folds(rows), FakeLedger(), screening=make_record())
    found = build_comparison([make_report(), weaker(), last])
    assert [it.left_out for it in found.contenders if it.rival is None] == ["a confirmation has images of its own"]


def test_two_confirmations_compare_all_their_finalists() -> None:
    rows = tuple(run for finalist in finalists() for run in runs_of(finalist))
    first, second = (
        gather_report(confirmation(*some), of_folds(some), FakeLedger(), screening=make_record())
        for some in (rows, rows[:3])
    )
    found = build_comparison([first, replace(second, sweep_id="confirm-2")])
    assert found.verdict is not None
    assert (found.verdict.stage, len(found.settings)) == ("confirmation", 3)
