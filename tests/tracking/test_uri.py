"""Where MLflow is: what is taken, what is refused, and what is never shown."""

import argparse
from pathlib import Path

import mlflow
import pytest

from sweeps.cli.prepare import tune_command
from sweeps.errors import TrackingError
from sweeps.paths import ROOT
from sweeps.tracking.store import prepare_store
from sweeps.tracking.uri import (
    check_server,
    check_uri,
    database_file,
    database_uri,
    default_tracking_uri,
    folder_of,
    has_password,
    hide_password,
    portable_uri,
    present_uri,
    resolve_tracking_uri,
    runs_page,
    start_command,
    tracking_flag,
)


def test_the_flag_beats_the_environment_beats_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:5000")
    assert resolve_tracking_uri("http://here:5000", tmp_path) == "http://here:5000"
    assert resolve_tracking_uri(None, tmp_path) == "http://there:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve_tracking_uri(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_relative_database_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_tracking_uri("sqlite:///some/where.db", tmp_path) == f"sqlite:///{tmp_path}/some/where.db"


ODD = "100% %41/a?b#c&token=x/ü ñ/@:+'q\"/back\\\\slash"


@pytest.mark.parametrize("name", ["plain", "two words", "a@b", "a+b", "a:b", "%20", "a?b=c", "a#b", "a&key=b", ODD])
def test_a_path_in_an_address_is_the_same_path_on_its_way_back(name: str) -> None:
    path = Path("/data") / name / "mlflow.db"
    assert database_file(database_uri(path)) == path
    assert database_file(check_uri(database_uri(path))) == path
    assert folder_of(path.as_uri()) == path


@pytest.mark.parametrize("name", ["plain", "two words", "a@b+c:d", "ü"])
def test_an_address_stays_readable_where_nothing_in_it_has_a_meaning(name: str) -> None:
    assert database_uri(Path("/data") / name) == f"sqlite:////data/{name}"


def test_a_path_that_looks_like_a_password_is_no_password() -> None:
    assert not has_password(database_uri(Path("/data/a?token=b&password=c/d@e/mlflow.db")))


@pytest.mark.parametrize("name", ["a%20b", "a?b", "a#b&key=c", "plain"])
def test_mlflow_opens_the_database_that_is_meant_and_makes_no_folder_beside(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    prepare_store(default_tracking_uri(folder), folder / "artifacts")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (folder / "mlflow.db").stat().st_size > 100_000


def test_the_database_of_the_storage_folder_is_written_down_relative_and_moves_with_it() -> None:
    inside, outside = "sqlite:////old/runs/mlflow.db", "sqlite:////data/all.db"
    assert [portable_uri(uri, Path("/old/runs")) for uri in (inside, outside)] == ["sqlite:///mlflow.db", outside]
    assert present_uri("sqlite:///mlflow.db", Path("/new")) == "sqlite:////new/mlflow.db"
    assert present_uri(inside, Path("/new"), Path("/old/runs")) == "sqlite:////new/mlflow.db"
    assert present_uri(outside, Path("/new"), Path("/old/runs")) == outside


@pytest.mark.parametrize("uri", ["mlruns", "/data/mlruns", "file:///data/mlruns", "./mlruns"])
def test_a_folder_is_refused_with_the_cure(tmp_path: Path, uri: str) -> None:
    with pytest.raises(
        TrackingError, match=r"is a folder, but .* use sqlite:///.*mlruns/mlflow.db .*migrate-filestore"
    ):
        prepare_store(uri, tmp_path)


@pytest.mark.parametrize("uri", ["sqlite:", "sqlite://", "sqlite:///:memory:"])
def test_a_database_without_a_file_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(TrackingError, match=r"names no file, but must be like sqlite:////absolute/path"):
        resolve_tracking_uri(uri, tmp_path)


def test_an_unknown_kind_of_store_names_the_known_ones_and_no_password(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"'ftp://\*\*\*@there' is of an unknown kind; known: sqlite, postgresql"):
        resolve_tracking_uri("ftp://me:secret@there", tmp_path)


# ---------------------------------------------------------------------------------------------------------- passwords


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:secret@there:5000/x", "https://***@there:5000/x"),
        ("https://token@there", "https://***@there"),
        ("http://me:se@cret@there", "http://***@there"),
        ("http://me:se/cret@there/x", "http://***@there/x"),
        ("postgresql+psycopg://me:secret@there/db", "postgresql+psycopg://***@there/db"),
        ("postgresql://there/db?user=me&password=secret&a=b", "postgresql://there/db?user=***&password=***&a=b"),
        ("http://there:5000", "http://there:5000"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("cannot reach http://me:secret@there, sorry", "cannot reach http://***@there, sorry"),
        ("--tracking-uri=http://me:secret@there --quiet", "--tracking-uri=http://***@there --quiet"),
    ],
)
def test_a_password_is_never_shown(uri: str, shown: str) -> None:
    assert hide_password(uri) == shown


def test_an_address_that_hides_nothing_has_no_password() -> None:
    uris = ("http://me:secret@there", "http://***@there", "http://there", "sqlite:////a@b.db")
    assert [has_password(uri) for uri in uris] == [True, True, False, False]


def test_a_printed_command_refers_to_the_environment_instead_of_a_password() -> None:
    assert tracking_flag("http://me:secret@there") == '--tracking-uri "$MLFLOW_TRACKING_URI"'
    assert tracking_flag("sqlite:////my runs/mlflow.db") == "--tracking-uri 'sqlite:////my runs/mlflow.db'"


@pytest.mark.parametrize(
    ("uri", "command"),
    [
        ("sqlite:////my runs/mlflow.db", "python tune_main.py --storage '/my runs' --space smoke"),
        ("sqlite:////runs/other.db", "python tune_main.py --tracking-uri sqlite:////runs/other.db --space smoke"),
        (default_tracking_uri(ROOT / "runs"), "python tune_main.py --space smoke"),
    ],
)
def test_the_command_for_a_first_sweep_names_the_store(uri: str, command: str) -> None:
    assert start_command(uri) == command


def test_the_line_about_a_silent_server_has_no_password() -> None:
    with pytest.raises(TrackingError, match=r"answers at http://\*\*\*@127.0.0.1:9 ") as refusal:
        check_server("http://me:secret@127.0.0.1:9")
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("http://there:5000", "http://there:5000/#/experiments/7/runs?workflowType=machine_learning"),
        ("https://me:secret@there/mlflow/", "https://there/mlflow/#/experiments/7/runs?workflowType=machine_learning"),
        ("sqlite:////runs/mlflow.db", ""),
        ("postgresql://me:secret@there/mlflow", ""),
    ],
)
def test_a_server_has_a_page_of_runs_and_its_address_no_password(uri: str, page: str) -> None:
    assert runs_page(uri, "7") == page


def test_the_installed_mlflow_has_the_page_of_runs() -> None:
    (program,) = (Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js").glob("main.*.js")
    text = program.read_text()
    assert '"/experiments/:experimentId/runs"' in text
    assert '.get("workflowType")' in text and 'MACHINE_LEARNING="machine_learning"' in text


def test_a_relative_address_is_absolute_in_the_commands_that_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = argparse.Namespace(storage=ROOT / "runs", tracking_uri="sqlite:///some/where.db")
    assert tune_command(arguments).endswith(f"tune_main.py --tracking-uri sqlite:///{tmp_path}/some/where.db")
