"""The code that travels to the nodes of a cluster: the project's packages, and the user's own models and losses."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

import bddseg
import sweeps
from sweeps.execution.code_package import EXCLUDED, modules_to_send, own_names, size_bytes
from sweeps.execution.ray_job import JOB_SETTINGS
from sweeps.planning.experiment import load_experiment

PROJECT = [Path(str(package.__file__)).parent for package in (bddseg, sweeps)]
LOSS = "from torch.nn.functional import cross_entropy\n\ndef plain(logits, target, weight): ...\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module and a package of the user's."""
    (tmp_path / "single_own.py").write_text(LOSS)
    (tmp_path / "package_own" / "inner").mkdir(parents=True)
    (tmp_path / "package_own" / "__init__.py").touch()
    (tmp_path / "package_own" / "inner" / "__init__.py").write_text(LOSS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_projects_packages_travel() -> None:
    assert modules_to_send() == PROJECT


def test_no_module_of_the_project_is_left_behind() -> None:
    for package in PROJECT:
        modules = [path.relative_to(package) for path in package.rglob("*.py")]
        assert [path for path in modules if any(fnmatch(part, name) for part in path.parts for name in EXCLUDED)] == []


def test_a_module_of_the_users_own_travels_as_a_file_and_a_package_whole(own: Path) -> None:
    names = [("loss.name", "single_own:plain"), ("loss.name", "package_own.inner:plain")]
    assert modules_to_send(names)[2:] == [own / "single_own.py", own / "package_own"]


def test_an_installed_module_does_not_travel() -> None:
    assert modules_to_send([("model.name", "torch.nn:Identity")]) == PROJECT


def test_a_job_that_sends_the_code_itself_gets_no_second_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB_SETTINGS, '{"runtime_env": {"py_modules": ["a"]}}')
    assert modules_to_send() == []


def test_the_size_leaves_out_compiled_files(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    for name, size in {"a.py": 10, "__pycache__/a.pyc": 1000, "b.pyc": 100}.items():
        (tmp_path / name).write_bytes(bytes(size))
    assert size_bytes([tmp_path]) == 10


def test_models_and_losses_of_a_space_are_found_among_its_settings_and_axes(own: Path) -> None:
    overrides = ["loss.name=[focal, single_own:plain]"]
    experiment = load_experiment("smoke", profile="quick", overrides=overrides)
    assert own_names(experiment) == [("loss.name", "single_own:plain")]
