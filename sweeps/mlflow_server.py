"""Start an MLflow server for a team, on this machine: `make mlflow`.

python -m sweeps.mlflow_server                                         its database and files below runs/mlflow-server
python -m sweeps.mlflow_server --backend postgresql://USER@HOST/NAME   with PostgreSQL
MLFLOW_ADMIN_PASSWORD=... python -m sweeps.mlflow_server --auth        with users and passwords

MLFLOW_BACKEND, MLFLOW_FILES, MLFLOW_PORT, MLFLOW_ALLOWED_HOSTS and MLFLOW_ADMIN_PASSWORD stand for the options.
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: imports must start at the project, not here, where modules would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse
import os
from collections.abc import Sequence

from sweeps.cli import parsing
from sweeps.cli.console import Parser, execute, run_command
from sweeps.notes import show_notes
from sweeps.paths import default_folder

PORT = 5000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is stopped; return the exit code."""
    options = build_parser().parse(arguments)
    show_notes()
    return execute(run, options)


def build_parser() -> Parser:
    """Return the parser of the command line."""
    environment = os.environ.get
    parser = Parser(
        prog="python -m sweeps.mlflow_server", description="Start an MLflow server for a team, on this machine only."
    )
    folder = default_folder("runs") / "mlflow-server"
    parser.add_argument("--folder", type=parsing.folder, default=folder, metavar="DIR",
                        help="of its database, files and users (default: runs/mlflow-server)")  # fmt: skip
    parser.add_argument("--backend", type=parsing.address, default=environment("MLFLOW_BACKEND") or None, metavar="URI",
                        help="database, such as postgresql://... (default: MLFLOW_BACKEND, else a file)")  # fmt: skip
    parser.add_argument("--files", type=parsing.some_text, default=environment("MLFLOW_FILES") or None, metavar="URI",
                        help="where files go, such as s3://BUCKET/PATH (MLFLOW_FILES, or a folder)")  # fmt: skip
    parser.add_argument("--port", type=parsing.positive, default=environment("MLFLOW_PORT") or PORT, metavar="N",
                        help=f"on 127.0.0.1 (default: MLFLOW_PORT, else {PORT})")  # fmt: skip
    parser.add_argument("--allowed-hosts", type=parsing.some_text, default=environment("MLFLOW_ALLOWED_HOSTS") or None,
                        metavar="HOSTS", help="names under which a proxy or tunnel may ask, with commas")  # fmt: skip
    parser.add_argument("--auth", action="store_true", default=bool(environment("MLFLOW_ADMIN_PASSWORD")),
                        help="ask for users and passwords; MLFLOW_ADMIN_PASSWORD is that of `admin`")  # fmt: skip
    parsing.add_debug(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Start the server, print its addresses once it answers, and wait for its end."""
    from sweeps.tracking.team_server import ServerPlan, TeamServer

    plan = ServerPlan(options.folder, options.backend, options.files, options.port, options.allowed_hosts, options.auth)
    with TeamServer(plan) as server:
        print(f"runs: {server.runs_page}", flush=True)
        print(f"sweeps: python tune_main.py --space smoke --tracking-uri {plan.uri}", flush=True)
        if plan.has_users:
            print("users: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for each command", flush=True)
        print("Ctrl-C stops the server", flush=True)
        return server.wait()


if __name__ == "__main__":
    run_command(main)
