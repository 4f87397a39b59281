"""Errors of sweeps that a user can fix, with their exit codes.

UserError                     (bddseg.errors)
└── SweepError
    ├── ExperimentError       2  experiments.yaml or a command-line setting is wrong
    ├── StorageError          2  the output folder cannot be used
    ├── ClusterError          2  no Ray can be started on this machine, or joined elsewhere
    ├── FencedError           3  another process has taken over the sweep
    ├── PassError             2  Ray left trials unfinished, or no further one could be suggested
    ├── TrackingError         2  the MLflow store cannot be reached or used
    ├── NoSweepError          2  no such sweep is recorded
    ├── ComparisonError       2  sweeps that cannot be compared
    ├── ModelError            2  a model's name or its registered files cannot be used
    ├── NothingFinishedError  1  the sweep ran, but no trial has a usable score
    ├── UndecidedError        2  registration of an undecided verdict without --force
    └── NothingToRegisterError  1  the sweep has no weights to register
"""

from bddseg.errors import UserError


class SweepError(UserError):
    """An error of a sweep that the user can fix or must know."""


class ExperimentError(SweepError):
    """experiments.yaml or a command-line setting is wrong."""


class StorageError(SweepError):
    """The output folder cannot be created, written or locked."""


class ClusterError(SweepError):
    """Ray cannot be started on this machine, or no cluster answers at the given address."""


class FencedError(SweepError):
    """Another process has taken over the sweep; nothing more may be written into it from here."""

    exit_code = 3


class PassError(SweepError):
    """A pass of a sweep left trials unfinished, or no further trial could be suggested."""


class TrackingError(SweepError):
    """The MLflow store cannot be reached or used."""


class NoSweepError(SweepError):
    """No such sweep is recorded; the message names the known ones."""


class ComparisonError(SweepError):
    """Sweeps that cannot be compared; the message has their ids and the reason."""


class NothingFinishedError(SweepError):
    """The sweep ran, but no trial has a usable score."""

    exit_code = 1


class ModelError(SweepError):
    """A model's name or its registered files cannot be used."""


class UndecidedError(SweepError):
    """An undecided verdict is registered only with --force."""


class NothingToRegisterError(SweepError):
    """The sweep has no verdict or no weights to register."""

    exit_code = 1
