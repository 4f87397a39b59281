"""A registered version tells MLflow how to load it, with the files beside its weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from models import record_sweep, write_model

from sweeps.registry.pyfunc_files import example_images, pinned_requirements
from sweeps.registry.registration import Registration, register
from sweeps.tracking.client import open_client
from sweeps.tracking.uri import default_tracking_uri


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Registration:
    """A sweep whose leader is registered, in a store that the tests only read."""
    folder = tmp_path_factory.mktemp("registered")
    (folder / "mlflow.db").write_bytes(template.read_bytes())
    registration = record_sweep(folder, default_tracking_uri(folder), weights=write_model(folder / "weights"))
    register(registration)
    return registration


@pytest.fixture(scope="module")
def files(registered: Registration) -> Path:
    """The files of the version."""
    client = open_client(registered.store.tracking_uri)
    source = client.get_model_version("streets", "1").source
    return Path(client.get_logged_model(source.removeprefix("models:/")).artifact_location.removeprefix("file://"))


def test_mlmodel_names_loader_signature_example_and_origin(files: Path, registered: Registration) -> None:
    described = yaml.safe_load((files / "MLmodel").read_text())
    assert described["flavors"]["python_function"]["loader_module"] == "bddseg.pyfunc_model"
    spec = json.loads(described["signature"]["inputs"])[0]["tensor-spec"]
    assert spec == {"dtype": "uint8", "shape": [-1, -1, -1, 3]}
    assert described["metadata"]["sweep.id"] == registered.report.sweep_id
    assert (files / described["saved_input_example_info"]["artifact_path"]).exists()


def test_the_example_is_one_small_street() -> None:
    assert example_images().shape == (1, 36, 64, 3) and np.ptp(example_images()) > 50


def test_requirements_are_versions_that_a_registry_has(files: Path) -> None:
    assert (files / "requirements.txt").read_text().splitlines() == pinned_requirements()
    assert all("==" in line and "+" not in line for line in pinned_requirements())


def test_no_file_of_a_version_is_a_pickle(files: Path) -> None:
    assert not [path for path in files.rglob("*") if path.suffix in (".pkl", ".pickle", ".pyc")]
