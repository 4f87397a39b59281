"""Drill: two users run sweeps on one machine at the same time, with one cache and hostile surroundings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from drills import SMALL
from users import NOBODY, ROOT, folder_of, needs_another_user, start_as

from sweeps.execution.ray_session import PREFIX

pytestmark = [pytest.mark.drill, needs_another_user]

WORDS = ("tune_main.py", *SMALL, "--storage")
HOSTILE = {"TUNE_RESULT_DIR": "/nowhere", "RAY_USE_TLS": "1", "SLURM_CPUS_PER_TASK": "1", "HOME": "/nonexistent"}


def test_two_users_run_sweeps_at_the_same_time() -> None:
    with folder_of(0) as shared, folder_of(NOBODY) as theirs, folder_of(0) as ours:
        shared.chmod(0o1777)
        common = {"BDDSEG_CACHE": str(shared / ("c" * 90)), "TMPDIR": str(shared)}
        Path(common["BDDSEG_CACHE"]).mkdir()
        Path(common["BDDSEG_CACHE"]).chmod(0o1777)
        first = subprocess.Popen([sys.executable, *WORDS, str(ours / "runs")], cwd=ROOT, env=os.environ | common)
        second = start_as(NOBODY, *WORDS, str(theirs / "runs"), **common, **HOSTILE)
        printed, _ = second.communicate()
        assert (first.wait(), second.returncode) == (0, 0), printed
        assert list(shared.glob(f"{PREFIX}*")) == []
    assert re.search(r"^ignored from the environment.*: RAY_USE_TLS, TUNE_RESULT_DIR$", printed, re.MULTILINE)
    assert re.search(r"^1 trial at a time, on 1 of \d+ cores \(SLURM_CPUS_PER_TASK\)$", printed, re.MULTILINE)
    assert "Traceback" not in printed
