"""The users of a team's MLflow server, as MLflow reads their configuration."""

from pathlib import Path

import pytest

from sweeps.tracking.team_server import ADMIN, USERS


def test_mlflow_checks_a_password_once_a_minute_and_not_at_every_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users.ini"
    path.write_text(USERS.format(database=f"sqlite:///{tmp_path}/users.db", admin=ADMIN))
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(path))
    from mlflow.server.auth.config import read_auth_config

    assert read_auth_config().auth_cache_ttl_seconds == 60
