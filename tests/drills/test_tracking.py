"""Drills: what is deleted in a real MLflow server while a sweep is delivered to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from browser import FOUND, MISSING, Wire, browser, open_page
from recording import SWEEP, artifact, end, epoch, history, rejects, runs, start, until
from servers import server
from trial_events import A, make_board
from trial_events import epoch as trained

from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.preflight import try_store
from sweeps.tracking.store import prepare_store
from sweeps.tracking.sync import sync
from sweeps.tracking.uri import runs_page

pytestmark = pytest.mark.drill


def test_what_is_deleted_in_a_server_is_waited_for_or_made_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "runs" / SWEEP / "outbox")
    file = outbox.folder / "evidence.npz"
    file.write_bytes(b"counts")
    with server(tmp_path) as mlflow:
        client = open_client(mlflow.uri)
        prepare_store(mlflow.uri, tmp_path / "unused")
        try_store(mlflow.uri)
        delivery = Delivery(outbox, mlflow.uri, SWEEP)
        delivery.start()
        for event in (start(""), start(params={"optim.lr": 0.1}), epoch(1), artifact(file), start("b")):
            outbox.append(event)
        assert until(lambda: outbox.pending() == 0)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        client.delete_experiment(experiment.experiment_id)
        for event in (epoch(2), epoch(1, trial="b"), start("c")):
            outbox.append(event)
        assert not until(lambda: outbox.pending() == 0, 4) and rejects(outbox) == []
        client.restore_experiment(experiment.experiment_id)
        assert until(lambda: outbox.pending() == 0)
        for trial in ("", "a"):
            client.delete_run(runs(mlflow.uri)[trial].info.run_id)
        for event in (end(), end(trial="b"), end(trial="c"), end(trial="")):
            outbox.append(event)
        assert delivery.close(60, is_checked=True) == 0
        found = runs(mlflow.uri)
        assert ({run.info.status for run in found.values()}, sorted(found)) == ({"FINISHED"}, ["", "a", "b", "c"])
        assert (found["a"].info.run_name, found["a"].data.params) == ("trial a", {"optim.lr": "0.1"})
        assert [step for step, _, _ in history(mlflow.uri)] == [1, 2]
        assert [item.path for item in client.list_artifacts(found["a"].info.run_id)] == ["evidence.npz"]
        parents = {run.data.tags.get("mlflow.parentRunId") for trial, run in found.items() if trial}
        assert parents == {found[""].info.run_id}


def test_a_server_that_lost_its_database_gets_everything_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "runs" / SWEEP / "outbox")
    for event in (start(""), start(), epoch(1), epoch(2), end(), end(trial="")):
        outbox.append(event)
    with server(tmp_path) as mlflow:
        folder = outbox.folder.parent
        assert sync(folder, mlflow.uri).delivered == 6
        mlflow.kill()
        for file in tmp_path.glob("server.db*"):
            file.unlink()
        mlflow.start()
        assert (sync(folder, mlflow.uri).delivered, sync(folder, mlflow.uri).delivered) == (6, 0)
        assert (len(history(mlflow.uri)), runs(mlflow.uri)["a"].info.status) == (2, "FINISHED")


@contextmanager
def recorded_sweep(folder: Path) -> Iterator[tuple[str, str]]:
    """Give the address of a server that has a sweep with its leaderboard, and the id of the experiment."""
    outbox = Outbox(folder / "runs" / SWEEP / "outbox")
    with server(folder) as mlflow:
        prepare_store(mlflow.uri, folder / "unused")
        delivery = Delivery(outbox, mlflow.uri, SWEEP)
        for event in (
            start(""),
            start(),
            end(),
            replace(end(trial=""), note=make_board(trained(A, 1, 0.25)).markdown()),
        ):
            outbox.append(event)
        delivery.drain()
        yield mlflow.uri, try_store(mlflow.uri)


def shows(wire: Wire, blank: Path, page: str, script: str) -> bool:
    """Return whether a script becomes true on a page that draws itself."""
    tab = open_page(wire, blank)
    tab.send("Page.navigate", url=page)
    return bool(until(lambda: tab.run(script), 60))


@pytest.mark.skipif(not FOUND, reason=MISSING)
def test_mlflows_pages_open_on_the_runs_and_show_the_leaderboard_as_a_table(tmp_path: Path) -> None:
    blank = tmp_path / "blank.html"
    blank.touch()
    with recorded_sweep(tmp_path) as (uri, experiment), browser() as wire:
        page = runs_page(uri, experiment)
        assert shows(wire, blank, page, "document.body?.innerText.includes('2 matching runs')")
        sweep_page = page.replace("/runs?", f"/runs/{runs(uri)[''].info.run_id}?")
        cells = "[...document.querySelectorAll('th')].map(cell => cell.innerText)"
        assert shows(wire, blank, sweep_page, f"{cells}.includes('best val/miou')")
