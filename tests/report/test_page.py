"""Report -> page, Markdown, JSON, CSV, table: the same numbers in each, and nothing hostile gets through."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from counts import sides
from entries import make_entry, make_sweep
from pages import NoFigures, Page, hostile_report, markdown_row
from reports import LEADER, FakeStore, make_record, make_report

from sweeps.errors import StorageError
from sweeps.formatting import folder_name
from sweeps.report.files import write_report
from sweeps.report.formats import render_csv, render_json, render_table
from sweeps.report.gather import Report
from sweeps.report.page import build_sections, render_html, render_markdown, shorten_names
from sweeps.report.rendering import TEMPLATES

CANNOT_SEE = "Run-to-run noise was not measured. It is bounded by the learning curves"


def render(report: Report) -> str:
    return render_html(report, figures=NoFigures())


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report()


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return render_html(report)


def csv_rows(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_csv([report]))))


def test_every_score_is_the_same_number_in_all_formats(report: Report) -> None:
    trials = json.loads(render_json([report]))["trials"]
    from_json = [trial["scores"]["miou"] if trial["state"] != "failed" else None for trial in trials]
    from_csv = [float(row["val/miou"]) if row["state"] != "failed" else None for row in csv_rows(report)]
    shown = ["–" if score is None else f"{score:.3f}" for score in from_json]
    assert from_csv == from_json
    assert re.findall(r'<td class="n score"[^>]*>([^<]*)<', render(report)) == shown
    assert re.findall(r"  (0\.\d{3}|–)  ", render_table([report])) == shown
    rows = [markdown_row(render_markdown(report), str(n)) for n in range(1, 6)]
    assert [row[4] for row in rows] == shown[:5]


def test_a_stopped_trial_stands_in_every_format_at_the_epoch_where_it_stopped(report: Report) -> None:
    row = markdown_row(render_markdown(report), "vanilla-f8 cross_entropy lr=1e-05")
    assert row[3:6] == ["6", "0.420", "0.253"]
    cells = csv_rows(report)[5]
    assert (cells["judged"], cells["stopped/epoch"], cells["stopped/leader_miou"]) == ("false", "6", "0.25302")
    assert "stopped early at epoch 6, 16.70 points ahead of the leader there: not judged" in render_table([report])
    assert json.loads(render_json([report]))["verdict"]["stopped"][0]["epoch"] == 6


def test_class_and_group_figures_are_the_same_in_all_formats(html: str, report: Report) -> None:
    leader = csv_rows(report)[0]
    for column, label in [("val/iou/car", "car"), ("val/miou", "mIoU")]:
        shown = f"{float(leader[column]):.3f}"
        assert markdown_row(render_markdown(report), label)[1] == shown
        assert f"{label} {shown}" in Page(html).text


def test_test_figures_are_the_same_in_all_formats(html: str, report: Report) -> None:
    opened = json.loads(render_json([report]))["test"]["opened"][0]
    assert (opened["trial_id"], opened["scores"]["miou"]) == (LEADER, 0.816667)
    row = markdown_row(render_markdown(report).split("## Test set")[1], "cross_entropy lr=0.001 (leader)")
    assert row[1:4] == ["0.817", "0.843", "0.800"]
    assert "lr=0.001 leader 0.817 0.843 0.800" in Page(html).text


def test_every_format_says_what_an_arg_max_cannot_see(html: str, report: Report) -> None:
    for text in (Page(html).text, render_markdown(report), render_json([report]), render_table([report])):
        assert CANNOT_SEE in text


def test_the_page_says_what_a_leader_must_say(html: str) -> None:
    text = Page(html).text
    assert "Undecided cross_entropy lr=0.001 has the highest score, but all 4 rivals could be better" in text
    assert re.search(r"Score 0\.843 \(0\.\d{3} to 1\.000\) mIoU 12 validation images; epoch 20 of 20", text)
    assert "Runner-up −1.29 points between" in text
    assert "Reference −10.22 points" in text


def test_a_failed_trial_is_shown_with_reason_and_log(html: str) -> None:
    text = Page(html).text
    assert "train/loss is nan at epoch 9" in text
    assert "/runs/logs/lr1e-3-focal.log" in text


def test_a_stopped_trial_says_by_what(html: str) -> None:
    assert "stopped early val/miou 0.3100 at epoch 2 was below the cut-off 0.4000" in Page(html).text


def test_embedded_data_is_called_generated(html: str) -> None:
    assert "The embedded street scenes (generated pictures, no real data)" in Page(html).text


def test_a_data_folder_is_named() -> None:
    data = {**make_record().manifest["data"], "embedded": False, "root": "/data/bdd100k"}
    text = Page(render(make_report(manifest={"data": data}))).text
    assert "Trained and evaluated on /data/bdd100k: 308 images for training" in text


def test_the_leader_s_command_sets_every_axis(html: str) -> None:
    command = "python tune_main.py --space grid_lr_loss --set optim.lr=1e-3 --set loss.name=cross_entropy"
    assert command in Page(html).text
    assert f"    {command}\n" in render_markdown(make_report())


def test_a_setting_in_a_command_loses_no_digit() -> None:
    rows = make_record().trials
    rows = tuple(
        replace(row, settings={**row.settings, "optim.lr": 0.00012345678901 + n}) for n, row in enumerate(rows)
    )
    assert "--set optim.lr=4.00012345678901 " in render_markdown(make_report(trials=rows))


def test_agreement_with_torchmetrics_is_shown_with_its_largest_difference() -> None:
    page = Page(render(make_report(FakeStore(verification=sides(0.25, 0.25 + 4e-8)))))
    assert "its figures agree: the largest difference is 4.0e-08" in page.text
    assert "car 0.2500000 0.2500000" in page.text


def test_disagreement_with_torchmetrics_is_shouted() -> None:
    html = render(make_report(FakeStore(verification=sides(0.25, 0.3))))
    assert "its figures do NOT agree: the largest difference is 5.0e-02" in Page(html).text
    assert 'class="says alarm"' in html


def test_figures_that_were_not_recomputed_are_not_claimed(html: str) -> None:
    assert "figures were not recomputed" in Page(html).text


@pytest.mark.parametrize(("status", "words"), [("RUNNING", "still running"), ("KILLED", "was interrupted")])
def test_an_unfinished_sweep_is_marked(status: str, words: str) -> None:
    report = make_report(status=status)
    for text in (Page(render(report)).text, render_markdown(report)):
        assert words in text
        assert "so far" in text
        assert "stays sealed" in text


def test_the_page_is_well_formed_and_has_no_id_twice(html: str) -> None:
    ids = [attributes["id"] for _, attributes in Page(html).tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_fetches_nothing(html: str) -> None:
    links = [
        value or ""
        for _, found in Page(html).tags
        for key, value in found.items()
        if key in ("src", "href", "xlink:href")
    ]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", html)


def test_every_figure_has_a_text_alternative(html: str) -> None:
    figures = [found for tag, found in Page(html).tags if tag == "svg"]
    assert len(figures) >= 10
    assert all(found["role"] == "img" and found["aria-label"] for found in figures)


def test_scrolling_boxes_can_be_reached_with_the_keyboard(html: str) -> None:
    boxes = [found for _, found in Page(html).tags if "scroll" in (found.get("class") or "").split()]
    assert boxes
    assert all(found["tabindex"] == "0" and found["role"] == "region" for found in boxes)


def test_hostile_names_are_text_on_the_page() -> None:
    page = Page(render(hostile_report()))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "<script>alert(1)</script> | `x` [a](javascript:1) &amp; # title" in page.text
    assert not any(key.startswith("on") for _, found in page.tags for key in found)


def test_hostile_names_are_text_in_markdown() -> None:
    text = render_markdown(hostile_report())
    assert "<script" not in re.sub(r"(?m)^    .*$", "", text)
    assert r"&lt;script&gt;alert(1)&lt;/script&gt; \| \`x\` \[a\](javascript:1) &amp;amp; # title0" in text
    assert len(markdown_row(text, "1")) == 12
    assert "```" not in [line.strip() for line in text.splitlines()]


def test_hostile_names_are_text_in_csv_and_json() -> None:
    report = hostile_report()
    name = "<script>alert(1)</script> | `x` [a](javascript:1) &amp; # title4"
    assert csv_rows(report)[0]["trial"] == json.loads(render_json([report]))["trials"][0]["name"] == name


def test_a_cell_is_never_a_formula() -> None:
    rows = tuple(replace(row, name="=HYPERLINK(1)") for row in make_record().trials)
    assert csv_rows(make_report(trials=rows))[0]["trial"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("name", ["../x", "..", ".", "", "/etc/passwd", "a/b", "x" * 300, ".hidden", "<script>"])
def test_a_sweep_s_folder_stays_below_the_output(name: str, tmp_path: Path) -> None:
    folder = (tmp_path / folder_name(name)).resolve()
    assert folder.parent == tmp_path.resolve()
    assert len(folder.name) < 120


def test_an_ordinary_id_is_its_folder() -> None:
    assert folder_name("grid_lr_loss-20261123-034501-3f2a") == "grid_lr_loss-20261123-034501-3f2a"


def test_two_hostile_ids_never_share_a_folder() -> None:
    assert len({folder_name("a/b"), folder_name("a_b"), folder_name("a|b"), folder_name("a//b")}) == 4


@pytest.fixture(scope="module")
def folder(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(report, tmp_path_factory.mktemp("reports")).parent


def test_a_report_is_a_page_the_same_in_four_other_forms_and_its_figures(folder: Path) -> None:
    files = ["figures", "index.html", "leaderboard.csv", "report.json", "report.md", "verdict.json"]
    assert sorted(path.name for path in folder.iterdir()) == files


def test_every_figure_is_a_file_in_two_forms(folder: Path, report: Report) -> None:
    names = {f"{section.name}-{name}" for section in build_sections(report) for name in section.drawings}
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{n}.{end}" for n in names for end in ("svg", "png")
    }


def test_the_same_report_is_the_same_files(folder: Path, tmp_path: Path) -> None:
    again = write_report(make_report(), tmp_path).parent
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*.*"))]
    assert [(folder / name).read_bytes() for name in files] == [(again / name).read_bytes() for name in files]


def test_the_verdict_is_a_file_of_its_own(folder: Path) -> None:
    found = json.loads((folder / "verdict.json").read_text())["verdict"]
    assert (found["leader"], found["stage"]) == (LEADER, "screening")


def test_a_figure_that_stands_alone_has_its_colours(folder: Path) -> None:
    text = (folder / "figures" / "intervals-best.svg").read_text()
    assert "var(--" not in text
    assert "#0072b2" in text


def test_an_output_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/grid-1 cannot be written \(Not a directory\).*--out"):
        write_report(make_report(), tmp_path / "file")


def test_a_sweep_of_one_trial_has_a_page() -> None:
    text = Page(render(make_report(trials=make_record().trials[:1], manifest={"axes": {}, "trials": [{}]}))).text
    assert "is the only setting with usable evidence" in text
    assert "The grid" not in text


def test_a_report_without_details_has_no_empty_figures() -> None:
    rows = tuple(replace(row, metrics={"best/miou": row.metrics["best/miou"]}) for row in make_record().trials)
    store = FakeStore(val_evidence={row.trial_id: None for row in rows})
    text = Page(render(make_report(store, trials=rows))).text
    assert "The leader has no figures per class." in text
    assert "IoU of each class" not in text


def test_several_sweeps_make_one_table() -> None:
    table = render_table([make_report(), make_report(sweep_id="grid-2")])
    assert len(re.findall(r"(?m)^grid-[12]  ", table)) == 16
    assert table.count(CANNOT_SEE) == 1


def test_sentences_below_a_table_fit_the_terminal() -> None:
    rows = render_table([make_report()], columns=60).split("\n\n")[1].splitlines()
    assert len(rows) > 3 and max(map(len, rows)) <= 60


def test_several_sweeps_are_a_list_in_json() -> None:
    found: list[dict[str, Any]] = json.loads(render_json([make_report(), make_report(sweep_id="grid-2")]))
    assert [report["sweep_id"] for report in found] == ["grid-1", "grid-2"]


def named(*names: str) -> Report:
    entries = [make_entry(name, 0.5 - 0.1 * place, {"x": name}) for place, name in enumerate(names)]
    return make_sweep(entries, ("x",))


def test_words_that_all_have_are_left_out() -> None:
    short = shorten_names(named("vanilla lr=1 wd=0", "vanilla lr=2 wd=0"))
    assert [entry.name for entry in short.trials] == ["lr=1", "lr=2"]
    assert (short.leader.name, short.in_common) == ("lr=1", "vanilla wd=0")


def test_a_name_is_never_empty_nor_another_s() -> None:
    for names in (("a", "a b"), ("a", "b"), ("a",), ("a b c", "c b a")):
        assert [entry.name for entry in shorten_names(named(*names)).trials] == list(names)


def test_the_sentence_has_the_short_names_and_the_leaderboard_the_whole_ones() -> None:
    report = make_report()
    assert report.verdict is not None
    short = shorten_names(report)
    assert short.verdict == replace(report.verdict, sentence=report.verdict.sentence.replace("vanilla-f8 ", ""),
                                    scenes=short.verdict.scenes if short.verdict else None)  # fmt: skip
    assert 'title="vanilla-f8 focal lr=0.0005"' in render_html(report, figures=NoFigures())


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html.j2")), ids=lambda path: path.name)
def test_a_sentence_is_not_glued_to_the_next_line_of_its_template(template: Path) -> None:
    # the newline after a block is removed
    assert re.findall(r"\.{% endif %}\n(?:{% if [^%]*%})?[A-Z]\w+", template.read_text()) == []
