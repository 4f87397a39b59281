"""The users of a team's MLflow server, as MLflow reads their configuration."""

import os
import subprocess
import sys
from pathlib import Path

from sweeps.tracking.team_server import ADMIN, USERS

READ = "from mlflow.server.auth.config import read_auth_config; print(read_auth_config().auth_cache_ttl_seconds)"


def test_mlflow_checks_a_password_once_a_minute_and_not_at_every_request(tmp_path: Path) -> None:
    path = tmp_path / "users.ini"
    path.write_text(USERS.format(database=f"sqlite:///{tmp_path}/users.db", admin=ADMIN))
    environment = os.environ | {"MLFLOW_AUTH_CONFIG_PATH": str(path), "MLFLOW_FLASK_SERVER_SECRET_KEY": "key"}
    command = [sys.executable, "-W", "ignore", "-c", READ]  # MLflow's own imports warn
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["60"], done.stderr
