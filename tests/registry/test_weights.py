"""The name of a model leads to a file; what a registry that others write to says is not trusted."""

from pathlib import Path

import pytest
from models import write_model
from recording import delivered, end, start

from bddseg.checkpoint import BEST
from sweeps.errors import ModelError, TrackingError
from sweeps.registry.registry import Registry
from sweeps.registry.weights import open_weights
from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import open_client
from sweeps.tracking.reader import Store

NOWHERE = Store("sqlite:////nonexistent/mlflow.db")


@pytest.fixture
def store(uri: str, outbox: Outbox) -> Store:
    """A store with one run, which kept no weights."""
    delivered(outbox, uri, start(""), end(trial=""))
    return Store(uri)


def run_id(store: Store) -> str:
    return store.read_sweep(store.latest_sweep_id()).run_id


@pytest.mark.parametrize("inside", ["", "weights"])
def test_a_folder_leads_to_the_weights_in_it(tmp_path: Path, inside: str) -> None:
    path = write_model(tmp_path / inside)
    with open_weights(str(tmp_path), NOWHERE) as found:
        assert found == path


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no best.pt in it"), open_weights(str(tmp_path), NOWHERE):
        pass


@pytest.mark.parametrize("word", ["../../etc/passwd@champion", "models:/a/../b", "@", "a b@champion", "x'--", "no"])
def test_a_word_that_names_nothing_says_what_names_are(word: str) -> None:
    with pytest.raises(ModelError, match="give @champion, NAME@ALIAS"), open_weights(word, NOWHERE):
        pass


def test_a_run_without_weights_is_refused(store: Store) -> None:
    with pytest.raises(ModelError, match=r"has no weights/best.pt"), open_weights(run_id(store), store):
        pass


def test_a_run_that_is_not_there_is_one_line(store: Store) -> None:
    with pytest.raises(TrackingError, match="not found"), open_weights("0" * 32, store):
        pass


@pytest.mark.parametrize(
    ("word", "complaint"),
    [("@champion", "no @champion of model bdd100k-unet is registered"), ("streets/7", "no version 7 of model streets")],
)
def test_a_version_that_is_not_there_says_how_to_make_one(store: Store, word: str, complaint: str) -> None:
    with pytest.raises(ModelError, match=f"{complaint}.*--register makes one"), open_weights(word, store):
        pass


@pytest.mark.parametrize("source", ["/etc", "file:///etc", "http://127.0.0.1:9/x", "models:/other/1"])
def test_a_version_that_lies_elsewhere_is_not_fetched(
    store: Store, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client(store.tracking_uri)
    client.create_registered_model("streets")
    version = client.create_model_version("streets", "/etc")
    monkeypatch.setattr(type(version), "source", source)
    with (
        pytest.raises(ModelError, match="but must be a version that --register made"),
        open_weights("streets/1", store),
    ):
        pass


def test_a_version_without_weights_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "card.md").write_text("nothing else")
    Registry(store).add("streets", run_id(store), tmp_path / "model", {}, "")
    with pytest.raises(ModelError, match=f"has no {BEST}"), open_weights("streets/1", store):
        pass


def test_the_users_own_tracking_address_is_left_as_it_is(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere.db")
    version = Registry(store).add("streets", run_id(store), write_model(tmp_path / "model").parent, {}, "")
    with open_weights(f"streets/{version.number}", store):
        assert mlflow.get_tracking_uri() == "sqlite:////elsewhere.db"
