"""Why a trial failed: its last traceback, the cause in one line, and whether memory was short."""

import re
from pathlib import Path

from ray.tune.experiment import Trial

from sweeps.execution.system_limits import kernel_kills

OUT_OF_MEMORY = re.compile(r"out ?of ?memory|MemoryError|running low on memory|cannot allocate memory", re.IGNORECASE)
DIED, NEVER_RAN = "worker process has died", "The actor never ran"
"""Parts of Ray's messages about a process that ended without a traceback."""

KILLED_FOR_MEMORY = "the kernel killed its process for lack of memory"


class FailureCauses:
    """Explains failures; it counts the kernel's kills, since a killed process leaves no traceback."""

    def __init__(self) -> None:
        self._kernel_kills = kernel_kills()
        """Processes that the kernel had killed for lack of memory at the last look."""

    def explain(self, traceback: str) -> str:
        """Return the cause of a failure in one line: the last line of its traceback, or how its process ended."""
        if NEVER_RAN in traceback:
            return "its process could not be started"
        if DIED not in traceback:
            return traceback.splitlines()[-1].strip() if traceback else "no traceback was left"
        kills_before, self._kernel_kills = self._kernel_kills, kernel_kills()
        return KILLED_FOR_MEMORY if self._kernel_kills > kills_before else "its process was killed, or it crashed"


def is_memory_failure(traceback: str, cause: str) -> bool:
    """Return whether a trial failed because memory was short."""
    return bool(OUT_OF_MEMORY.search(traceback)) or cause == KILLED_FOR_MEMORY


def last_failure(trial: Trial) -> str:
    """Return the traceback of a trial's last failure; Ray appends the failure of every attempt to one file."""
    path = Path(trial.error_file or "")
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    return re.split(r"^Failure # \d+.*$", text, flags=re.MULTILINE)[-1].strip()


def write_traceback(log_file: Path, traceback: str) -> None:
    """Append a traceback to a trial's log, unless the trial wrote it: a killed process writes nothing."""
    content = log_file.read_text(encoding="utf-8", errors="replace") if log_file.is_file() else ""
    if traceback and traceback.splitlines()[-1] not in content:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{traceback}\n")
