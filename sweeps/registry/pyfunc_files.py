"""The files with which MLflow itself loads a registered model: MLmodel, requirements, an example and the code.

The weights stay a file without pickle. The code of `bddseg` (0.4 MB) is shipped with each version, so that it loads
where this project is not installed, with the code that registered it.
"""

import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

import bddseg
from bddseg.data.streets.render import draw
from bddseg.data.streets.scene import make_drive

PACKAGES = ("mlflow", "numpy", "pillow", "torch", "tqdm")
"""What `mlflow` and `bddseg.pyfunc_model` import."""

EXAMPLE_SIZE = (64, 36)
"""Width and height of the example, a generated street: it is written as text, 25 KB."""


def write_pyfunc(folder: Path, metadata: Mapping[str, object]) -> None:
    """Write MLflow's files beside the weights.

    Args:
        folder: of the version.
        metadata: what MLmodel says of the model's origin.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow's import warns of type hints of its own, in yellow
        import mlflow.pyfunc
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

    pixel = np.dtype(np.uint8)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(pixel, (-1, -1, -1, 3), name=None)]),
        outputs=Schema([TensorSpec(pixel, (-1, -1, -1), name=None)]),
    )
    with tempfile.TemporaryDirectory(prefix="bddseg-pyfunc-") as temporary:
        files = Path(temporary) / "model"
        mlflow.pyfunc.save_model(
            files,
            loader_module="bddseg.pyfunc_model",
            code_paths=[str(Path(bddseg.__file__).parent)],
            signature=signature,
            input_example=example_images(),
            pip_requirements=pinned_requirements(),
            metadata=dict(metadata),
        )
        for path in (path for path in files.rglob("*") if path.is_file()):  # written, so that the umask decides modes
            target = folder / path.relative_to(files)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def example_images() -> np.ndarray:
    """Return one generated street.

    Shape:
        returns: (1, H, W, 3), uint8.
    """
    image, _ = draw(make_drive(0, 0), 0, EXAMPLE_SIZE, np.random.default_rng(0))
    return np.asarray(image)[None]


def pinned_requirements() -> list[str]:
    """Return the packages that loading needs, each with its installed version.

    A local version such as 2.15.0+cpu is of one machine, and no registry has it under that name.
    """
    return [f"{name}=={version(name).split('+')[0]}" for name in PACKAGES]
