"""A sweep is recorded in the experiment that is named, and found there again."""

from pathlib import Path

import pytest
from recording import SWEEP, end, epoch, start

from sweeps.errors import NoSweepError, TrackingError
from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import open_client
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.experiment import named_experiment
from sweeps.tracking.reader import Store
from sweeps.tracking.store import prepare_store
from sweeps.tracking.sync import sync


@pytest.fixture
def recorded(uri: str, outbox: Outbox, tmp_path: Path) -> str:
    """Return the address of a store with a sweep in the experiment `mine`."""
    prepare_store(uri, tmp_path / "artifacts", "mine")
    for event in (start(""), start(), epoch(1), end(), end(trial="")):
        outbox.append(event)
    assert Delivery(outbox, uri, SWEEP, "mine").drain() == (0, "")
    return uri


def test_a_sweep_is_found_in_the_experiment_in_which_it_is_recorded(recorded: str) -> None:
    assert (Store(recorded).sweep_ids(), Store(recorded, "mine").sweep_ids()) == ([SWEEP], [SWEEP])


def test_a_sweep_of_another_experiment_than_the_named_one_is_not_read(recorded: str) -> None:
    with pytest.raises(NoSweepError, match="no sweep recorded yet in experiment bdd100k-unet of sqlite:"):
        Store(recorded, "bdd100k-unet").latest_sweep_id()


def test_a_sync_delivers_into_the_experiment_of_the_manifest(uri: str, tmp_path: Path) -> None:
    folder = tmp_path / SWEEP
    outbox = Outbox(folder / "outbox")
    (folder / "sweep.json").write_text(f'{{"version": 1, "tracking_uri": "{uri}", "mlflow_experiment": "mine"}}')
    outbox.append(start(""))
    assert (sync(folder, uri).is_left, Store(uri, "mine").sweep_ids()) == (False, [SWEEP])


def test_a_deleted_experiment_is_named_with_the_command_that_restores_it(recorded: str) -> None:
    client = open_client(recorded)
    experiment = client.get_experiment_by_name("mine")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(TrackingError, match=r"experiment mine is deleted .* mlflow experiments restore -x"):
        Store(recorded, "mine").sweep_ids()


def test_the_option_counts_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    assert (named_experiment("mine"), named_experiment(None)) == ("mine", "ours")


@pytest.mark.parametrize("name", ["a\nb", "x" * 501])
def test_a_name_that_mlflow_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(TrackingError, match="must be printable and have at most 500 characters"):
        named_experiment(name)
