"""A head that is lost is noticed by its silent port, with the command that resumes the sweep."""

import socket
import subprocess
import sys
import time

import pytest

from sweeps.errors import PassError
from sweeps.execution.cluster_watch import (
    ANSWER_SECONDS,
    BLOCKED_SECONDS,
    POLL_SECONDS,
    SILENT_SECONDS,
    ClusterWatch,
)

RAY_ENDS_SECONDS = 60
"""Ray's gcs_rpc_server_reconnect_timeout_s; it is compiled, and nothing in Python tells it."""

BLOCKED = f"""
import time
from sweeps.execution.cluster_watch import ClusterWatch
heard = time.monotonic() - {SILENT_SECONDS + BLOCKED_SECONDS + 1}
ClusterWatch("127.0.0.1:1", "python x --resume s", heard=heard).ask()
"""


def test_a_head_that_answers_is_fine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch = ClusterWatch(f"127.0.0.1:{server.getsockname()[1]}", "", heard=time.monotonic() - 1e6)
        watch.ask()
        watch.check()


def test_a_head_that_was_silent_for_long_ends_the_pass() -> None:
    watch = ClusterWatch("127.0.0.1:1", "", heard=time.monotonic() - SILENT_SECONDS - 1)
    watch.ask()
    with pytest.raises(PassError, match=r"the head of the cluster, 127\.0\.0\.1:1, has not answered for 41 s"):
        watch.check()


def test_the_process_ends_before_ray_ends_it_and_survives_a_cut_of_20_seconds() -> None:
    notices_late = POLL_SECONDS + ANSWER_SECONDS
    assert SILENT_SECONDS + BLOCKED_SECONDS + notices_late < RAY_ENDS_SECONDS
    assert 20 + POLL_SECONDS + notices_late < SILENT_SECONDS


def test_a_sweep_that_is_blocked_in_ray_is_ended_with_the_command_that_resumes_it() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", BLOCKED], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("has not answered for 53 s; once this is fixed, resume with: python x --resume s\n")
