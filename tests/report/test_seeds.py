"""Seeds of one setting are one row of the leaderboard, with those of other sweeps, which the page names."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from pages import NoFigures, Page, markdown_row
from repeats import seeded, with_replicates
from reports import LEADER, FakeLedger, FakeStore, make_record, measured

from sweeps.report.formats import render_csv, render_json, render_table
from sweeps.report.gather import Report, gather_report
from sweeps.report.page import render_html, render_markdown
from sweeps.report.seeds import group_settings, setting_name
from sweeps.storage.records import Repeat, SweepRecord

SETTING = "0123456789ab"


@pytest.fixture(scope="module")
def replicated() -> Report:
    return gather_report(with_replicates(), FakeStore(), FakeLedger())


@pytest.fixture(scope="module")
def text(replicated: Report) -> str:
    return render_html(replicated, figures=NoFigures())


def test_seeds_of_a_setting_are_one_entrant_and_one_row(replicated: Report) -> None:
    assert replicated.verdict is not None
    assert [len(rival.seeds) for rival in replicated.verdict.rivals] == [2, 2, 1, 1, 1]
    assert [entry.rank for entry in replicated.settings] == [1, 2, 3, 4, 5]
    assert replicated.planned == 10


def test_the_score_of_a_setting_lies_between_those_of_its_seeds(replicated: Report) -> None:
    leader = replicated.leader
    seeds = [seed.scores.miou for seed in replicated.seeds(leader)]
    assert leader.scores.miou is not None and None not in seeds
    assert min(seeds) < leader.scores.miou < max(seeds)  # type: ignore[type-var]


def test_a_setting_is_called_without_its_seed_and_the_seeds_stand_below_it(text: str, replicated: Report) -> None:
    assert "seed=" not in replicated.leader.name
    bodies = re.findall(r"<tbody[^>]*>.*?</tbody>", text.split('id="leaderboard"')[1], re.DOTALL)
    leader = next(body for body in bodies if "badge leader" in body)
    assert leader.count("<tr") == 3
    assert [f"seed {seed}" in Page(leader).text for seed in (0, 1)] == [True, True]


def test_noise_that_was_measured_is_said(text: str) -> None:
    assert "Run-to-run noise was estimated from 2 repeats and the learning curves together" in Page(text).text


def test_in_csv_a_row_is_a_trial_with_its_setting_and_seed(replicated: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv([replicated]))))
    leader = replicated.leader.trial_id
    own = [(row["seed"], row["rank"], row["judged"]) for row in rows if row["setting"] == leader]
    assert (len(rows), sorted(own)) == (10, [("0", "1", "true"), ("1", "1", "true")])
    assert len({row["setting/miou"] for row in rows if row["setting"] == leader}) == 1


def test_every_format_has_the_seeds_under_their_setting(replicated: Report) -> None:
    setting = json.loads(render_json([replicated]))["settings"][0]
    assert setting["seeds"] == [seed.trial_id for seed in replicated.seeds(replicated.leader)]
    lines = render_table([replicated]).splitlines()
    assert "(2 seeds)" in lines[2] and [line.split()[:2] for line in lines[3:5]] == [["seed", "1"], ["seed", "0"]]
    assert markdown_row(render_markdown(replicated), "1")[1].startswith("vanilla-f8 cross_entropy lr=0.")


def tagged() -> SweepRecord:
    rows = make_record().trials
    return make_record(trials=tuple(replace(r, setting=SETTING) if r.trial_id == LEADER else r for r in rows))


def other_seed() -> Repeat:
    row = next(row for row in make_record().trials if row.trial_id == LEADER)
    return Repeat("grid-0", seeded(row, 7, 0.01, setting=SETTING))


def test_a_seed_of_another_sweep_counts_and_the_page_says_where_the_noise_comes_from() -> None:
    report = gather_report(tagged(), FakeStore(repeats=[other_seed()]), FakeLedger())
    assert report.verdict is not None
    assert (report.verdict.noise.outside, report.verdict.noise.sweeps) == (1, ("grid-0",))
    page = Page(render_html(report, figures=NoFigures())).text
    assert (
        "1 repeat (from sweep grid-0 on the same data) and the learning curves together: a standard deviation" in page
    )
    assert "1 seed of sweep grid-0: 0.853 (seed 7)" in page
    assert "seed 7 of grid-0" in render_table([report])


def test_a_trial_that_was_reused_is_no_repeat() -> None:
    own = next(row for row in tagged().trials if row.trial_id == LEADER)
    reused = replace(other_seed(), row=replace(other_seed().row, digest=own.digest))
    report = gather_report(tagged(), FakeStore(repeats=[reused]), FakeLedger())
    assert report.verdict is not None
    assert (report.others, report.verdict.noise.outside) == ((), 0)


def test_a_seed_on_other_images_is_not_pooled() -> None:
    found = other_seed()
    evidence = measured(found.row)
    store = FakeStore(repeats=[found])
    store.val_evidence[found.row.trial_id] = replace(evidence, names=tuple(f"other{n}" for n in range(12)))
    assert gather_report(tagged(), store, FakeLedger()).others == ()


def test_records_without_the_tag_ask_for_no_repeats() -> None:
    store = FakeStore(repeats=[other_seed()])
    gather_report(make_record(), store, FakeLedger())
    assert not [asked for asked in store.asked if asked.startswith("repeats of")]


def test_trials_that_differ_in_more_than_the_seed_are_settings_of_their_own() -> None:
    assert len(group_settings(make_record().trials)) == 8


def test_a_setting_is_named_by_what_its_seeds_share() -> None:
    assert setting_name(["unet lr=1 seed=0", "unet lr=1 seed=1"]) == "unet lr=1"
    assert setting_name(["a", "b"]) == "a"
