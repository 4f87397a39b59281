"""Hosts of a small network, as namespaces of this machine: each has its own network, processes, mounts and name.

They need root. Nothing outside sees them; all of them see the files of this machine, but those that are hidden.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest
from drills import CACHE, ROOT, Site

PORT = 6379
ATTEMPTS = 5
RAY_START = Path(__file__).with_name("ray_start.py")
PATIENT = {"RAY_agent_register_timeout_ms": "300000", "RAY_worker_register_timeout_seconds": "300"}
OPEN = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}


@dataclass
class Host:
    """A host of the network."""

    name: str
    address: str
    namespace: str
    folder: Path
    """Folder of this host alone, with a short path, for Ray's sessions."""
    hidden: Sequence[Path] = ()
    """Folders that are empty here."""
    _outer: "subprocess.Popen[bytes]" = field(init=False)
    _first: psutil.Process = field(init=False)

    def boot(self) -> None:
        """Start the first process of the host, with which all others end."""
        mounts = "".join(f"mount -t tmpfs none '{path}' && " for path in self.hidden)
        script = f"hostname {self.name} && {mounts}echo up && exec sleep infinity"
        isolated = ["unshare", "-m", "-u", "-p", "-f", "--mount-proc", "--kill-child", "bash", "-c", script]
        words = ["ip", "netns", "exec", self.namespace, *isolated]
        self._outer = subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self._outer.stdout and self._outer.stdout.readline() == b"up\n"
        (self._first,) = psutil.Process(self._outer.pid).children()

    def start(
        self, *words: str, log: Path | None = None, cwd: Path | None = None, **variables: str
    ) -> "subprocess.Popen[bytes]":
        """Start a command on this host."""
        environment = os.environ | OPEN | {"RAY_TMPDIR": str(self.folder)} | variables
        entered = ["nsenter", "-t", str(self._first.pid), "-n", "-m", "-u", "-p", f"--wd={cwd or Path.cwd()}"]
        with (log or self.folder / "log").open("ab") as file:
            return subprocess.Popen(
                [*entered, *words], env=environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL
            )

    def start_head(self, *options: str, cpus: int = 0, **variables: str) -> None:
        """Start the head of a Ray here, and wait until it is up."""
        own = ["--head", f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={self.folder}/r"]
        self._start_ray(*own, f"--num-cpus={cpus}", *options, **variables)

    def join(self, head: "Host", *options: str, cpus: int = 1, **variables: str) -> None:
        """Start a node of the Ray of another host here, and wait until it is up."""
        self._start_ray(f"--address={head.ray}", f"--num-cpus={cpus}", *options, **variables)

    def _start_ray(self, *options: str, **variables: str) -> None:
        """Start Ray's daemons, which end with the host. With --block all would end with the first that ends."""
        limits = ["--object-store-memory=150000000", "--disable-usage-stats"]
        python = [sys.executable, "-W", "ignore", str(RAY_START)]
        words = [*python, f"--node-ip-address={self.address}", *limits, *options]
        for _ in range(ATTEMPTS):
            if self.start(*words, **PATIENT, **variables).wait(600) == 0:
                return
            self.restart()  # a daemon of the attempt that failed may still run
        raise AssertionError((self.folder / "log").read_text()[-3000:])

    @property
    def ray(self) -> str:
        """Return the address of the Ray whose head is here."""
        return f"{self.address}:{PORT}"

    def cut(self, seconds: float) -> None:
        """Take the host's link down for some seconds."""
        in_namespace(self.namespace, "ip", "link", "set", "eth0", "down")
        time.sleep(seconds)
        in_namespace(self.namespace, "ip", "link", "set", "eth0", "up")
        in_namespace(self.namespace, "ip", "route", "replace", "default", "dev", "eth0")

    def restart(self) -> None:
        """Kill every process of this host, and start its first one again."""
        self.kill()
        self.boot()

    def kill(self) -> None:
        """Kill every process of this host."""
        self._outer.kill()  # the kernel kills the host's first process with it, and all others with that
        self._outer.wait(30)
        psutil.wait_procs([self._first], timeout=30)


def drive(place: Site, host: Host, *arguments: str, **variables: str) -> "subprocess.Popen[bytes]":
    """Start a command line on a host, in the storage folder of a site."""
    words = [sys.executable, "tune_main.py", *arguments, "--storage", str(place.storage)]
    settings = {"BDDSEG_CACHE": str(CACHE), "OMP_NUM_THREADS": "1"} | variables
    return host.start(*words, log=place.storage / "driver.log", cwd=ROOT, **settings)


def in_namespace(namespace: str, *words: str) -> None:
    subprocess.run(["ip", "netns", "exec", namespace, *words], check=True, capture_output=True)


def needs_hosts() -> None:
    """Skip the test where no namespaces can be made."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    probe = f"probe-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces cannot be made here")
    subprocess.run(["ip", "netns", "delete", probe], check=True)


@contextmanager
def network(*names: str, hidden: Mapping[str, Sequence[Path]] = MappingProxyType({})) -> Iterator[list[Host]]:
    """Yield hosts that reach each other through a switch, and nothing else; end all of their processes.

    Args:
        names: of the hosts.
        hidden: host -> folders that are empty there.
    """
    needs_hosts()
    tag = f"b{secrets.token_hex(3)}"
    with ExitStack() as stack:
        switch = _namespace(stack, f"{tag}-switch")
        in_namespace(switch, "ip", "link", "add", "bridge", "type", "bridge")
        in_namespace(switch, "ip", "link", "set", "bridge", "up")
        hosts = []
        for number, name in enumerate(names, 1):
            namespace = _namespace(stack, f"{tag}-{number}")
            folder = Path(tempfile.mkdtemp(prefix="h-", dir="/tmp"))  # short: sockets lie below it
            (folder / "ray").mkdir()
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            host = Host(name, f"10.77.0.{number}", namespace, folder, hidden.get(name, ()))
            _connect(switch, host, number)
            host.boot()
            stack.callback(host.kill)
            hosts.append(host)
        yield hosts


def _namespace(stack: ExitStack, name: str) -> str:
    subprocess.run(["ip", "netns", "add", name], check=True)
    stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
    return name


def _connect(switch: str, host: Host, number: int) -> None:
    port = f"port{number}"
    in_namespace(switch, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
    in_namespace(switch, "ip", "link", "set", port, "master", "bridge", "up")
    in_namespace(host.namespace, "ip", "link", "set", "lo", "up")
    in_namespace(host.namespace, "ip", "address", "add", f"{host.address}/24", "dev", "eth0")
    in_namespace(host.namespace, "ip", "link", "set", "eth0", "up")
    in_namespace(host.namespace, "ip", "route", "add", "default", "dev", "eth0")  # Ray asks it for its own address
