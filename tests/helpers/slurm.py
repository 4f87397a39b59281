"""A real Slurm of one node in namespaces of its own: no other process of this machine sees it, or is seen."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recording import until

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "unshare", "nsenter")
NODE = "node1"
CONFIGURATION = """\
ClusterName=drill
SlurmctldHost={node}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ReturnToService=2
SchedulerParameters=sched_interval=5,bf_interval=5
NodeName={node} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""
START = """\
set -e
hostname {node}
ip link set lo up
ip link add v0 type veth peer name v1
ip address add 10.213.77.1/24 dev v0
ip link set v0 up
munged --force --key-file={folder}/munge/key --socket={folder}/munge/socket --pid-file={folder}/munge/pid \
    --log-file={folder}/munge/log --seed-file={folder}/munge/seed
slurmctld -i
slurmd
echo ready
sleep infinity
"""


def missing() -> str:
    """Return why there can be no Slurm here; "" when there can."""
    if os.geteuid():
        return "namespaces need root"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"{', '.join(absent)} not installed" if absent else ""


@dataclass(frozen=True)
class Slurm:
    """A Slurm that runs."""

    folder: Path
    process: int
    """First process in its namespaces."""

    def run(self, *command: str, folder: Path | None = None, **variables: str) -> str:
        """Run a command where it sees the Slurm; return what it prints."""
        within = ["nsenter", "-t", str(self.process), "-n", "-p", "-m", "-u", f"--wd={folder or self.folder}", *command]
        environment = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")} | variables
        done = subprocess.run(within, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def submit(self, script: Path, *words: str, folder: Path, options: tuple[str, ...] = (), **variables: str) -> str:
        """Submit a batch script; return the job's number."""
        printed = self.run("sbatch", "--parsable", *options, str(script), *words, folder=folder, **variables)
        return printed.splitlines()[-1]

    def job(self, number: str) -> dict[str, str]:
        """Return what Slurm knows of a job."""
        words = self.run("scontrol", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def await_restarts(self, number: str, restarts: int, seconds: float = 400) -> None:
        """Wait until a job was requeued so often."""
        assert until(lambda: int(self.job(number)["Restarts"]) >= restarts, seconds), self.job(number)

    def await_state(self, number: str, *states: str, seconds: float = 900) -> None:
        """Wait until a job is in one of the states."""
        assert until(lambda: self.job(number)["JobState"] in states, seconds), self.job(number)


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """Start a Slurm with its files in a folder; end it and all its jobs."""
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "munge" / "key").write_bytes(os.urandom(128))
    (folder / "munge" / "key").chmod(0o600)
    (folder / "slurm.conf").write_text(CONFIGURATION.format(node=NODE, folder=folder))
    unshare = ["unshare", "-n", "-p", "-m", "-u", "-f", "--mount-proc", "--kill-child"]
    process = subprocess.Popen(
        [*unshare, "bash", "-c", START.format(node=NODE, folder=folder)],
        env=os.environ | {"SLURM_CONF": str(folder / "slurm.conf")},
        stdout=subprocess.PIPE,
        stderr=(folder / "start.log").open("w"),
        start_new_session=True,
    )
    try:
        assert process.stdout and process.stdout.readline() == b"ready\n", (folder / "start.log").read_text()
        (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        running = Slurm(folder, int(first))
        assert until(lambda: running.run("sinfo", "-h", "-o", "%T") == "idle", 60)
        yield running
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.2)
