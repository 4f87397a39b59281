"""Environment variables of Ray and Tune: a sweep sets those that it needs and removes the user's.

Some of the user's would make Ray raise, wait for minutes or crash during its import; others change behaviour that a
sweep relies on. They are removed before Ray is imported, because it reads many of them then.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping

ADDRESS = "RAY_ADDRESS"
"""Address of the Ray to join; read by the command line, not by Ray."""

SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune prints nothing under verbose=0 only with its former output
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our own tracking replaces its CSV, JSON and TensorBoard files
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CLIENT_MODE": "0",  # Ray itself sets this while it is imported
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own handler would take the first Ctrl-C from ours
    "TUNE_WARN_THRESHOLD_S": "5",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # tracebacks are in the trials' logs, the terminal has a line
    "TUNE_MAX_PENDING_TRIALS_PG": "16",
}
"""Variables that a sweep sets."""

OF_TUNE = ("TUNE_", "RAY_TUNE_", "RAY_TRAIN_", "RAY_AIR_", "RAY_CHDIR_TO_TRIAL_DIR")
OF_RAY = ("RAY_", *OF_TUNE)

MEMORY = {"RAY_memory_usage_threshold": 1.0, "RAY_memory_monitor_refresh_ms": 1e9}
"""Variables of Ray's memory monitor that a user may set, since they depend on the machine, with their maxima."""


def set_ray_variables(*, is_joining: bool) -> str:
    """Remove the user's variables of Ray and Tune, or of Tune alone when joining a cluster.

    A cluster is reached with its own variables (certificates, tokens). Returns a sentence that names the removed
    variables, or "".
    """
    prefixes = OF_TUNE if is_joining else OF_RAY
    ignored = [
        name
        for name, value in sorted(os.environ.items())
        if name.startswith(prefixes)
        and name != ADDRESS
        and SETTINGS.get(name) != value
        and not _is_allowed(name, value)
    ]
    for name in ignored:
        del os.environ[name]
    os.environ.update(SETTINGS)
    if not ignored:
        return ""
    whose = "Tune" if is_joining else "Ray and Tune"
    return f"ignored from the environment, since a sweep sets {whose} up itself: {', '.join(ignored)}"


def _is_allowed(name: str, value: str) -> bool:
    try:
        return name == ADDRESS or (name in MEMORY and 0 <= float(value) <= MEMORY[name])
    except ValueError:
        return False


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the duration of the context, for this process and its children.

    Variables that Ray sets meanwhile are removed: a later Ray of this process would take them for the user's.
    """
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in {*variables, *(name for name in {*os.environ, *before} if name.startswith("RAY_"))}:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)
