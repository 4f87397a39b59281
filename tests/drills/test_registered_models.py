"""Drills: a registered version is loaded by MLflow in a process that knows nothing of this project."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import record_sweep, write_model
from PIL import Image

from bddseg.checkpoint import load_checkpoint
from bddseg.overlays import paint_images
from bddseg.predictor import load_trained
from sweeps.registry.registration import register
from sweeps.registry.weights import open_weights

pytestmark = pytest.mark.drill

PREDICT = """
import sys
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/streets@champion")
images = np.load("images.npy")
np.save("classes.npy", model.predict(images))
print(sys.modules["bddseg"].__file__, model.metadata.run_id, model.metadata.model_id)
try:
    model.predict(images.astype(np.float32))
except mlflow.exceptions.MlflowException as error:
    print(error)
"""
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 30, 50, 3), dtype=np.uint8)


def test_a_process_without_this_project_sees_the_pixels_of_our_own_prediction(tmp_path: Path, uri: str) -> None:
    registered = record_sweep(tmp_path, uri, weights=write_model(tmp_path / "weights"))
    register(registered)
    np.save(tmp_path / "images.npy", IMAGES)
    Image.fromarray(IMAGES[8]).save(tmp_path / "last.png")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MLFLOW", "BDDSEG"))}
    command = [sys.executable, "-c", PREDICT, registered.store.tracking_uri]
    ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    code, run_id, model_id, *refusal = ended.stdout.split()
    assert "/code/bddseg/" in code and run_id == registered.report.trials[0].run_id and model_id.startswith("m-")
    assert "does not match expected dtype uint8" in " ".join(refusal)
    with open_weights("streets@champion", registered.store) as path:
        list(paint_images(load_trained(load_checkpoint(path)), [tmp_path / "last.png"], tmp_path, ["mask"]))
    assert np.array_equal(np.load(tmp_path / "classes.npy")[8], np.asarray(Image.open(tmp_path / "last.mask.png")))
