"""Outcomes of trials and sweeps as closed sets: stop reasons, statuses of MLflow runs, and states in words."""

from enum import StrEnum


class RunStatus(StrEnum):
    """The status of a run in MLflow, of a trial or of a sweep."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    KILLED = "KILLED"
    """Cancelled, interrupted or lost; in records of earlier versions also stopped early."""
    FAILED = "FAILED"

    @property
    def state(self) -> "TrialState":
        """Return the state of a trial whose run has this status."""
        return TRIAL_STATES[self]


class TrialState(StrEnum):
    """The state of a trial, as it is shown."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    """At a rung, until its scheduler promotes it."""
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


class SweepState(StrEnum):
    """The state of a sweep, as it is shown."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class StopReason(StrEnum):
    """Why a trial ended, recorded by the component that ended it at the moment of its decision."""

    MAX_EPOCHS = "max_epochs"
    PLATEAU = "plateau"
    """No better epoch for `train.patience` epochs."""
    ASHA = "asha"
    HYPERBAND = "hyperband"
    MEDIAN = "median"
    DIVERGED = "diverged"
    OOM = "oom"
    ERROR = "error"
    USER = "user"
    """Cancelled, or interrupted together with its sweep; the detail says which."""
    DRIVER_LOST = "driver_lost"
    TIME_BUDGET = "time_budget"
    """Written by earlier versions only."""

    @property
    def is_own_end(self) -> bool:
        """Return whether the trial trained to an end of its own."""
        return self in OWN_ENDS

    @property
    def status(self) -> RunStatus:
        """Return the status of the run of a trial that ended for this reason."""
        if self.is_own_end or self in STOPPED_EARLY:  # a stop by the schedule is as planned: the tag has the reason
            return RunStatus.FINISHED
        return RunStatus.KILLED if self in CUT_OFF else RunStatus.FAILED

    @property
    def words(self) -> str:
        """Return the reason as a report says it."""
        return REASON_WORDS[self]


TRIAL_STATES = {
    RunStatus.RUNNING: TrialState.RUNNING,
    RunStatus.FINISHED: TrialState.FINISHED,
    RunStatus.KILLED: TrialState.STOPPED,
    RunStatus.FAILED: TrialState.FAILED,
}

# Sets, because a recorded reason is a text that another version may have written: `text in CUT_OFF` holds for any text.
OWN_ENDS = frozenset({StopReason.MAX_EPOCHS, StopReason.PLATEAU})
"""Ends of completed trials: the budget, or no better epoch for `train.patience`."""

STOPPED_EARLY = frozenset({StopReason.ASHA, StopReason.HYPERBAND, StopReason.MEDIAN})

CUT_OFF = frozenset({StopReason.USER, StopReason.DRIVER_LOST, StopReason.TIME_BUDGET})
"""Ends that say nothing about the trial: a resume continues it."""

FAILURES = frozenset({StopReason.ERROR, StopReason.OOM})
"""Ends of trials that failed: `--resume --failed` continues them."""

ENDED = (RunStatus.FINISHED, RunStatus.KILLED, RunStatus.FAILED)
"""Statuses of runs that have ended."""

OPEN_STATES = frozenset({TrialState.WAITING, TrialState.RUNNING, TrialState.PAUSED})
"""States from which a trial may still train."""

CANCELLED = "cancelled"
"""How the detail of a trial begins that the user cancelled; with reason USER, any other trial was interrupted."""

REASON_WORDS = {
    StopReason.MAX_EPOCHS: "completed",
    StopReason.PLATEAU: "stopped improving",
    **dict.fromkeys(STOPPED_EARLY, "stopped early"),
    StopReason.DIVERGED: "diverged",
    StopReason.OOM: "out of memory",
    StopReason.ERROR: "error",
    StopReason.USER: "interrupted",
    StopReason.DRIVER_LOST: "driver lost",
    StopReason.TIME_BUDGET: "time was up",
}


def status_of(reason: str) -> RunStatus:
    """Return the status of the run of a trial that ended for a reason; an unknown reason is a failure."""
    return StopReason(reason).status if reason in REASON_WORDS else RunStatus.FAILED


def words_of(reason: str) -> str:
    """Return a recorded reason as a report says it; "" for one that this version does not know."""
    return StopReason(reason).words if reason in REASON_WORDS else ""


def trial_state(status: str, reason: str, unknown: TrialState) -> TrialState:
    """Return the state of a trial by the recorded status and stop reason of its run.

    Args:
        status: FINISHED for a trial that was stopped early, KILLED in records of earlier versions.
        reason: "" where none is recorded.
        unknown: the state for a status that is none of ours.
    """
    if status == RunStatus.FINISHED and reason in STOPPED_EARLY:
        return TrialState.STOPPED
    return RunStatus(status).state if status in TRIAL_STATES else unknown


def sweep_state(status: str) -> SweepState:
    """Return the state of a sweep by the recorded status of its run: KILLED, or any other, is an interrupt."""
    states = (SweepState.RUNNING, SweepState.FINISHED, SweepState.FAILED)
    return {state.name: state for state in states}.get(status, SweepState.INTERRUPTED)
