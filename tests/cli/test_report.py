"""The command line, from a real store: what was delivered to MLflow comes out as pages, tables and exit codes."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from counts import make_evidence, sides
from pages import NoFigures
from reports import LEADER, REFERENCE, make_record, measured, rising_curve

import report
from bddseg.evidence import save_evidence
from sweeps.errors import TrackingError
from sweeps.report.holdout import read_openings
from sweeps.storage.events import PARENT, Artifact, End, Epoch, Event, Start
from sweeps.storage.outbox import Outbox
from sweeps.storage.records import TrialRow
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.reader import Store
from sweeps.tracking.store import prepare_store
from sweeps.tracking.uri import default_tracking_uri

ROOT = Path(report.__file__).parent


def trial_events(row: TrialRow, folder: Path) -> list[Event]:
    """What a sweep writes about one trial, from its start to its end."""
    save_evidence(folder / "evidence-test.npz", make_evidence("city street", "highway"))
    (folder / row.trial_id).mkdir()
    save_evidence(folder / row.trial_id / "evidence-val.npz", measured(row))
    (folder / "verification.json").write_text(json.dumps(sides(0.25, 0.25)))
    tags = {"sweep.config_digest": row.digest, "sweep.reference": "true" if row.is_reference else "false"}
    ends = {"sweep.stop_reason": row.stop_reason, "sweep.stop_detail": row.stop_detail, "sweep.log_file": row.log_file}
    curves = rising_curve(row)
    steps = [(step, {key: dict(curve)[step] for key, curve in curves.items()}) for step, _ in curves["val/miou"]]
    artifacts = [("evidence-test.npz", "evidence"), ("verification.json", "")]
    artifacts.append((f"{row.trial_id}/evidence-val.npz", "evidence"))
    files = [Artifact(row.trial_id, folder / name, where) for name, where in artifacts]
    events: list[Event] = [
        Start(row.trial_id, row.name, dict(row.settings), tags),
        *(Epoch(row.trial_id, step, metrics) for step, metrics in steps),
        *(files if row.status == "FINISHED" else []),
        End(row.trial_id, row.status, ends, row.metrics, len(steps)),
    ]
    return [replace(event, time_ms=1_000_000 + place) for place, event in enumerate(events)]


def deliver(folder: Path, uri: str, sweep_id: str, rows: tuple[TrialRow, ...], started_ms: int) -> None:
    """Record a sweep by the way that every sweep takes: outbox, delivery, MLflow."""
    folder.mkdir()
    manifest = {**make_record().manifest, "sweep_id": sweep_id}
    manifest["trials"] = [
        {"trial_id": row.trial_id, "name": row.name, "settings": row.settings, "reference": row.is_reference}
        for row in rows
    ]
    (folder / "sweep.json").write_text(json.dumps(manifest))
    outbox = Outbox(folder / "outbox")
    outbox.append(Start(PARENT, sweep_id, time_ms=started_ms))
    outbox.append(Artifact(PARENT, folder / "sweep.json", time_ms=started_ms))
    for row in rows:
        for event in trial_events(row, folder):
            outbox.append(event)
    outbox.append(End(PARENT, "FINISHED", time_ms=started_ms))
    assert Delivery(outbox, uri, sweep_id).close(60) == 0


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of two sweeps: of all eight trials, and a later one of which every trial failed."""
    folder = tmp_path_factory.mktemp("runs")
    found = default_tracking_uri(folder)
    prepare_store(found, folder / "artifacts")
    rows = make_record().trials
    deliver(folder / "grid-1", found, "grid-1", rows, 1_000_000)
    deliver(folder / "broken-1", found, "broken-1", tuple(row for row in rows if row.status == "FAILED"), 2_000_000)
    return found


@pytest.fixture(autouse=True)
def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.report.files.RenderedFigures", NoFigures)


def call(uri: str, out: Path, *words: str) -> int:
    return report.main([*words, "--tracking-uri", uri, "--out", str(out)])


def test_help_needs_neither_torch_nor_ray_nor_mlflow() -> None:
    check = (
        "import sys, report; report.build_parser().format_help(); print({'torch', 'ray', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_writing_a_page_needs_neither_torch_nor_ray() -> None:
    rooms = "sweeps.report.page, sweeps.report.gather, sweeps.tracking.reader"
    check = f"import sys, {rooms}; print({{'torch', 'ray', 'mlflow'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_recorded_sweep_becomes_a_table_and_files(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(uri, tmp_path, "grid-1") == 0
    said = capsys.readouterr()
    assert "1  vanilla-f8 cross_entropy lr=0.001   leader     0.843" in said.out
    assert said.err == f"page: {tmp_path}/grid-1/index.html\n"
    assert len(list((tmp_path / "grid-1").iterdir())) == 5


def test_what_was_recorded_comes_out_in_json(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(uri, tmp_path, "grid-1", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["leader"], found["reference"], found["gap"]) == (LEADER, REFERENCE, 0.0129)
    assert [opened["trial_id"] for opened in found["test"]["opened"]] == [LEADER, REFERENCE]
    assert found["check"]["difference"] == 0.0
    assert len(found["trials"][0]["curve"]) == 20


def test_csv_has_a_line_per_trial_with_its_settings(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(uri, tmp_path, "grid-1", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 8
    assert (rows[0]["optim.lr"], rows[0]["loss.name"], rows[0]["val/miou"]) == ("0.001", "cross_entropy", "0.8434")


def test_markdown_goes_to_stdout(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(uri, tmp_path, "grid-1", "--format", "markdown") == 0
    assert capsys.readouterr().out == (tmp_path / "grid-1" / "report.md").read_text()


def test_html_prints_where_the_page_is(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(uri, tmp_path, "grid-1", "--format", "html") == 0
    assert capsys.readouterr() == (f"{tmp_path}/grid-1/index.html\n", "")


def test_top_shortens_what_is_printed_but_not_the_files(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(uri, tmp_path, "grid-1", "--format", "csv", "--top", "3") == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert len((tmp_path / "grid-1" / "leaderboard.csv").read_text().splitlines()) == 9


def test_top_shortens_the_leaderboard_of_markdown_and_no_other_words(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(uri, tmp_path, "grid-1", "--format", "markdown", "--top", "1") == 0
    printed, whole = capsys.readouterr().out, (tmp_path / "grid-1" / "report.md").read_text()
    settings, stopped, not_compared = 4, 7, 6  # lines of each
    assert len(whole.splitlines()) - len(printed.splitlines()) == settings + stopped + not_compared
    assert set(printed.splitlines()) <= set(whole.splitlines())


def openings(uri: str) -> int:
    return len(read_openings(Store(uri).read_sweep("grid-1").tags))


@pytest.mark.parametrize(
    "words",
    [
        ["nothing", "nobody"],
        ["grid-1", "broken-1", "--register"],
        ["grid-1", "--register", "--model-name", "a/b"],
        ["grid-1", "--register", "--data", str(ROOT)],
        ["grid-1", "--top", "3", "--format", "json"],
    ],
)
def test_a_refused_command_opens_no_test_part(uri: str, tmp_path: Path, words: list[str]) -> None:
    before = openings(uri)
    assert call(uri, tmp_path, *words) == 2
    assert openings(uri) == before


def test_a_report_that_cannot_be_written_opens_no_test_part(uri: str, tmp_path: Path) -> None:
    before = openings(uri)
    (tmp_path / "file").write_text("")
    assert call(uri, tmp_path / "file", "grid-1") == 2
    assert openings(uri) == before


def test_without_a_name_the_latest_sweep_is_reported_and_exits_1_when_all_failed(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(uri, tmp_path) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "no trial of sweep broken-1 has a usable figure" in said.err
    assert "train/loss is nan at epoch 9" in said.err
    assert not list(tmp_path.iterdir())


def test_of_several_sweeps_the_usable_ones_are_reported(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(uri, tmp_path, "broken-1", "grid-1") == 1
    assert "vanilla-f8 cross_entropy lr=0.001" in capsys.readouterr().out
    assert [folder.name for folder in tmp_path.iterdir()] == ["grid-1"]


def test_a_sweep_that_is_not_recorded_does_not_hold_up_the_others(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(uri, tmp_path, "grid-9", "grid-1", "grid-8") == 2
    said = capsys.readouterr()
    assert [line.split(" in ")[0] for line in said.err.splitlines() if line.startswith("error")] == [
        "error: no sweep 'grid-9'",
        "error: no sweep 'grid-8'",
    ]
    assert "vanilla-f8 cross_entropy lr=0.001" in said.out and (tmp_path / "grid-1" / "index.html").exists()


def test_a_sweep_that_cannot_be_written_does_not_hold_up_the_others(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grid-1").write_text("a file where the report's folder would be")
    assert call(uri, tmp_path, "grid-1", "broken-1") == 2
    said = capsys.readouterr().err
    assert f"{tmp_path}/grid-1 cannot be written" in said and "no trial of sweep broken-1" in said


def test_an_unknown_sweep_names_the_known_ones(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(uri, tmp_path, "grid-9") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no sweep 'grid-9'") and "known: " in said and "grid-1" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["../grid-1", "", "/etc", ".."])
def test_a_sweep_is_named_by_its_id_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        report.main([name])
    assert caught.value.code == 2 and "must be the id of a sweep" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--data", "d"], ["--model-name", "m"]])
def test_an_option_of_registering_is_refused_without_it(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        report.main(["grid-1", *words])
    assert f"a plain report does not go with {words[0]}: {words[0]} goes with --register" in capsys.readouterr().err


def test_a_place_without_sweeps_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(f"sqlite:///{tmp_path}/none.db", tmp_path) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_dead_server_is_refused_in_the_words_of_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = "http://me:secret@127.0.0.1:9"
    with pytest.raises(TrackingError) as refusal:
        prepare_store(dead, tmp_path)
    assert call(dead, tmp_path) == 2
    said = capsys.readouterr().err
    assert said == f"error: {refusal.value}\n"
    assert "no MLflow server answers at http://***@127.0.0.1:9 (connection refused)" in said


def test_an_output_that_cannot_be_written_is_refused_in_one_line(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert call(uri, tmp_path / "file", "grid-1") == 2
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert said.count("\n") == 1


def test_debug_adds_the_traceback(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(uri, tmp_path, "nothing", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--top", "0"], ["--top", "x"], ["--format", "pdf"], ["--nothing"]])
def test_misuse_is_one_line_and_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        report.main(words)
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_the_variable_is_read_where_no_flag_is_given(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_URI", uri)
    assert report.main(["grid-1", "--out", str(tmp_path), "--format", "html"]) == 0
    assert capsys.readouterr().out.endswith("grid-1/index.html\n")
