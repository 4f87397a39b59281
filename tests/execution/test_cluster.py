"""The Ray of a sweep: our own listens on loopback alone and leaves nothing behind; another's is left running."""

import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from sweeps.cli.draft import address_of
from sweeps.errors import ClusterError
from sweeps.execution.cluster import _object_folder, _why_ended, ray_cluster

ROOT = Path(__file__).resolve().parent.parent.parent

LIFE = """
import json
import sys
from pathlib import Path
import psutil
import ray
import requests
from sweeps.execution.cluster import ray_cluster
from sweeps.execution.ray_session import user_folder

cache = Path(sys.argv[1])
with ray_cluster(cache, dashboard=True) as dashboard:
    (entry,) = json.loads((user_folder(cache) / "prometheus.json").read_text())
    page = requests.get(f"http://{entry['targets'][0]}/metrics", timeout=30).text
    print("# HELP" in page, entry["targets"][0] in dashboard.sentence())
    print([node["NodeManagerAddress"] for node in ray.nodes()])
    print(dashboard.sentence())
    scripts = {Path(word).name for child in psutil.Process().children() for word in child.cmdline()[:4]}
    print(sorted(scripts & {"monitor.py", "log_monitor.py", "dashboard.py"}))
print(sorted(path.name for path in user_folder(cache).iterdir()))
print(ray.is_initialized())
print((user_folder(cache) / "prometheus.json").read_text())
"""


PLAIN_LIFE = """
import os
import sys
from pathlib import Path
import psutil
import ray
from sweeps.execution.cluster import ray_cluster

os.environ.update(PYTHONPATH="theirs", RAY_USE_TLS="1", TUNE_RESULT_DIR="/nowhere")
before = dict(os.environ)
with ray_cluster(Path(sys.argv[1])):
    daemons = {Path(word).name for child in psutil.Process().children() for word in child.cmdline()[:4]}
    print(sorted(daemons & {"monitor.py", "log_monitor.py", "dashboard.py"}))
    print(ray.get(ray.remote(lambda: os.environ["MALLOC_ARENA_MAX"]).remote()))
    print(ray.get(ray.remote(lambda: ray.get_runtime_context().runtime_env).remote()))
    print(ray.get(ray.remote(lambda: os.environ["PYTHONPATH"]).remote()))
print([name for name in ("PYTHONPATH", "MALLOC_ARENA_MAX") if os.environ.get(name) != before.get(name)])
"""


def printed(program: str, folder: Path) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-c", program, str(folder)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the whole life of a Ray with a dashboard printed, started in a process of its own."""
    return printed(LIFE, tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def plain_life(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The same without a dashboard."""
    return printed(PLAIN_LIFE, tmp_path_factory.mktemp("p"))


def test_without_a_dashboard_ray_runs_no_daemon_that_nobody_needs(life: list[str], plain_life: list[str]) -> None:
    assert (life[3], plain_life[0]) == ("['dashboard.py', 'log_monitor.py', 'monitor.py']", "[]")


def test_trials_inherit_their_environment_so_that_ray_starts_their_processes_once(plain_life: list[str]) -> None:
    assert plain_life[1:3] == ["1", "{}"]


def test_starting_ray_leaves_our_own_environment_as_it_was(plain_life: list[str]) -> None:
    assert plain_life[4] == "[]"


def test_the_users_own_modules_can_be_imported_in_trials(plain_life: list[str]) -> None:
    assert plain_life[3] == f"{ROOT}:{ROOT / 'theirs'}"


def test_an_own_ray_is_reached_on_loopback_alone(life: list[str]) -> None:
    assert life[1] == "['127.0.0.1']"


def test_the_dashboard_says_where_it_is_and_how_to_log_in(life: list[str]) -> None:
    assert "http://127.0.0.1:" in life[2] and "token" in life[2]


def test_prometheus_finds_the_metrics_of_an_own_ray_in_one_file_while_it_is_up(life: list[str]) -> None:
    assert (life[0], life[6]) == ("True True", "[]")


def test_an_own_ray_leaves_only_its_token_and_an_empty_list_for_prometheus(life: list[str]) -> None:
    assert life[4:6] == ["['lock', 'prometheus.json', 'token']", "False"]


def test_a_machine_without_loopback_is_refused_at_once(tmp_path: Path) -> None:
    names = "import sys; from pathlib import Path; from sweeps.execution.ray_session import check_machine;"
    program = f"{names} check_machine(Path(sys.argv[1]))"
    command = ["unshare", "-n", sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip("networks cannot be taken away here")
    assert "ClusterError: Ray cannot be started: 127.0.0.1 cannot be reached (" in done.stderr.splitlines()[-1]


def test_the_first_error_of_a_daemon_says_why_ray_could_not_start(tmp_path: Path) -> None:
    logs = tmp_path / "session_2026-11-29_19-28-32_372144_26684" / "logs"
    logs.mkdir(parents=True)
    head = "[2026-11-29 19:28:32,427 E 26701 26709] (gcs_server) logging.cc:118:"
    (logs / "gcs_server.err").write_text(
        f"{head} Unhandled exception: epoll: Too many open files [system:24] /a/b(+0x14) [0x5] /c/d\n"
        f"{head}     @     0x7f766e6661d0  (unknown)\n"
    )
    assert _why_ended(tmp_path) == "gcs_server: Unhandled exception: epoll: Too many open files [system:24]"


def test_frames_lie_on_the_disk_where_shared_memory_has_no_room_for_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert _object_folder(1, tmp_path) == Path("/dev/shm")
    assert _object_folder(10**18, tmp_path) == tmp_path
    assert re.search(r"/dev/shm has room for \d+ MB of 10{12} .*: frames are kept in ", caplog.text)


def test_no_ray_at_an_address_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ClusterError, match=r"no Ray answers at 127\.0\.0\.1:1"),
        ray_cluster(tmp_path, address="127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(
    ("given", "variable", "recorded", "joined"),
    [
        (None, None, None, None),
        (None, None, "host:1", "host:1"),
        (None, "host:2", "host:1", "host:2"),
        ("host:3", "host:2", "host:1", "host:3"),
        ("local", "host:2", "host:1", None),
    ],
)
def test_the_command_line_says_which_ray_before_the_environment_and_the_sweep(
    given: str | None, variable: str | None, recorded: str | None, joined: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", variable or "")
    assert address_of(Namespace(address=given), {"address": recorded}) == joined
