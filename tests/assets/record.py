"""Record what a version of this project leaves behind, for the tests of later versions.

    python tests/assets/record.py --code CHECKOUT --out tests/assets/VERSION

Every command is run as a user would run it, by the code of the checkout; README.md beside this file lists them.
"""

import argparse
import io
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

HELPERS = Path(__file__).resolve().parent.parent / "helpers"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""More threads add in another order, which changes the last bits of a sum."""

SMALL = (
    *("--space", "smoke", "--profile", "quick", "--max-concurrent", "1"),
    *("--set", "model.name=unet", "--set", "model.base_filters=1"),
    *("--set", "train.epochs=9", "--set", "train.precision=fp32"),
)
"""Four trials of a network with 2,010 weights: an archive has about 200 kB. One trial at a time: the order of events is
fixed, and with it what is stopped early."""

SUGGESTED = (*SMALL, "--search", "optuna", "--samples", "4", "--set", "optim.lr={low: 1e-3, high: 3e-2, log: true}")

PHOTO_SIZE = (96, 54)
PATIENCE_S, POLL_S, EXIT_S = 300.0, 0.01, 60.0
RECORDED_AT = 1_796_000_000
"""Modification time of every file in an archive, so that the same content gives the same bytes."""

LEFT_OUT = frozenset({"mlflow.db-shm"})
"""Shared memory of SQLite, which makes it again from the database and its log."""


@dataclass(frozen=True)
class Recorder:
    """Runs commands of a checkout that record into a temporary folder."""

    code: Path
    folder: Path

    @property
    def storage(self) -> Path:
        return self.folder / "runs"

    @property
    def expected(self) -> Path:
        """Return the folder for what a later version is compared with."""
        return self.folder / "expected"

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own."""
        environment = os.environ | THREADS | {"BDDSEG_CACHE": str(self.folder / "cache")}
        python = self.code / ".venv" / "bin" / "python"
        command = [str(python if python.exists() else sys.executable), *words]
        return subprocess.Popen(command, cwd=self.code, env=environment, start_new_session=True)

    def run(self, *words: str) -> None:
        """Run a command to its end.

        Raises:
            SystemExit: when it fails.
        """
        if code := self.start(*words).wait(PATIENCE_S):
            raise SystemExit(f"{' '.join(words)} ended with exit code {code}")

    def sweep(self, *words: str) -> None:
        """Run a sweep to its end."""
        self.run("tune_main.py", *words, "--storage", str(self.storage))

    def cut(self, words: tuple[str, ...], number: signal.Signals, epoch: int) -> None:
        """Start a sweep and send its driver a signal once a trial has ended and another has reported `epoch` epochs.

        Raises:
            SystemExit: when the sweep ended before the signal, or no trial was cut off by it.
        """
        driver = self.start("tune_main.py", *words, "--storage", str(self.storage))
        deadline = time.monotonic() + PATIENCE_S
        while not is_amid_a_trial(self.events(), epoch):
            if driver.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the sweep was never in the middle of a trial")
            time.sleep(POLL_S)
        family = psutil.Process(driver.pid).children(recursive=True)
        driver.send_signal(number)
        driver.wait(PATIENCE_S)
        _, alive = psutil.wait_procs(family, timeout=EXIT_S)
        for process in alive:
            process.kill()
        if last_reason(self.events()) not in ("", "user"):
            raise SystemExit("the trial ended before it was cut off: record again")

    def events(self) -> list[dict[str, Any]]:
        """Return every event so far of the only sweep; none before it has started."""
        texts = [path.read_bytes() for path in self.storage.glob("*/outbox/outbox.jsonl")]
        return [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line.endswith(b"\n")]

    def pack(self, archive: Path) -> None:
        """Write the storage folder and what is expected as one archive whose bytes depend on their content alone."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted((*self.storage.rglob("*"), *self.expected.rglob("*"))):
                if path.name not in LEFT_OUT:
                    add_member(tar, path, str(path.relative_to(self.folder)))
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(lzma.compress(stream.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def is_amid_a_trial(events: list[dict[str, Any]], epoch: int) -> bool:
    """Return whether a trial has ended and another one has reported so many epochs."""
    ended = {event["trial"] for event in events if event["kind"] == "end"}
    reported = {event["trial"] for event in events if event["kind"] == "epoch" and event["step"] >= epoch}
    return bool(ended and reported - ended)


def last_reason(events: list[dict[str, Any]]) -> str:
    """Return why the trial ended that was the last to report an epoch; "" where its end is not recorded."""
    trial = [event["trial"] for event in events if event["kind"] == "epoch"][-1]
    ends = [event for event in events if event["kind"] == "end" and event["trial"] == trial]
    return str(ends[-1]["tags"]["sweep.stop_reason"]) if ends else ""


def add_member(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file or a folder without what differs from one recording to the next: times, owner and modes."""
    member = tar.gettarinfo(path, name)
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime, member.mode = RECORDED_AT, 0o755 if member.isdir() else 0o644
    if member.isdir():
        tar.addfile(member)
        return
    with path.open("rb") as file:
        tar.addfile(member, file)


def record_finished(recorder: Recorder) -> None:
    """Record a sweep that has ended, the figures of its report, its registered model and a mask that it paints."""
    recorder.sweep(*SMALL)
    recorder.expected.mkdir()
    photo, reports, painted = write_photo(recorder), recorder.folder / "reports", recorder.folder / "painted"
    where = ("--tracking-uri", f"sqlite:///{recorder.storage}/mlflow.db")
    recorder.run("report.py", *where, "--out", str(reports), "--no-upload", "--register", "--force")
    recorder.run("-m", "sweeps.predict", "@champion", str(photo), *where, "--out", str(painted))
    (report,) = reports.iterdir()
    for path in (report / "verdict.json", report / "leaderboard.csv", painted / "photo.mask.png"):
        shutil.copy(path, recorder.expected)


def write_photo(recorder: Recorder) -> Path:
    """Write one of the generated street scenes as a small picture; return its path."""
    scenes = sorted((recorder.folder / "cache").glob("streets-*/images/10k/val/*.jpg"))
    path = recorder.expected / "photo.png"
    with Image.open(scenes[0]) as image:
        image.resize(PHOTO_SIZE).save(path)
    return path


def record_interrupted(recorder: Recorder) -> None:
    """Record a sweep that Ctrl-C has ended in the middle of its second trial; it is the one that `finished` holds."""
    recorder.cut(SMALL, signal.SIGINT, epoch=1)


def record_killed(recorder: Recorder) -> None:
    """Record a sweep with suggested trials whose driver was killed, and the epochs that it has when it is not."""
    recorder.sweep(*SUGGESTED)
    recorder.expected.mkdir()
    (events,) = recorder.storage.glob("*/outbox/outbox.jsonl")
    shutil.copy(events, recorder.expected)
    shutil.rmtree(recorder.storage)
    recorder.cut(SUGGESTED, signal.SIGKILL, epoch=2)


RECORDINGS = {"finished": record_finished, "interrupted": record_interrupted, "killed": record_killed}


def record(code: Path, out: Path, states: list[str]) -> Iterator[Path]:
    """Record the named states; yield each archive once it is written."""
    for state in states:
        with tempfile.TemporaryDirectory(prefix="recorded-") as folder:
            recorder = Recorder(code, Path(folder))
            RECORDINGS[state](recorder)
            recorder.pack(out / f"{state}.tar.xz")
        yield out / f"{state}.tar.xz"


def main() -> None:
    """Record what the command line asks for."""
    parser = argparse.ArgumentParser(description="Record what a version leaves behind, as assets for tests.")
    parser.add_argument("--code", type=Path, required=True, metavar="DIR", help="checkout whose commands are run")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the archives")
    parser.add_argument("states", nargs="*", default=list(RECORDINGS), metavar="STATE", help=", ".join(RECORDINGS))
    arguments = parser.parse_args()
    os.environ.update(THREADS)
    sys.path.insert(0, str(HELPERS))
    from arithmetic import arithmetic_digest

    for archive in record(arguments.code.resolve(), arguments.out.resolve(), arguments.states):
        print(f"{archive}: {archive.stat().st_size / 1000:.0f} kB")
    (arguments.out / "arithmetic.txt").write_text(f"{arithmetic_digest()}\n")


if __name__ == "__main__":
    main()
