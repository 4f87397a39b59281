"""What can go wrong in a sweep; each leaf says its exit code.

UserError                     (bddseg.errors)
└── SweepError
    ├── ExperimentError       2  experiments.yaml or a command-line setting is wrong
    ├── StorageError          2  the output folder cannot be used
    ├── ClusterError          2  no Ray can be started on this machine, or joined elsewhere
    ├── PassError             2  Ray left trials open, or no further one could be suggested
    ├── TrackingError         2  the MLflow store cannot be reached or used
    ├── NoSweepError          2  no such sweep is recorded
    ├── ComparisonError       2  sweeps that cannot be compared
    ├── ModelError            2  a model's name or its registered files cannot be used
    ├── NothingFinishedError  1  the sweep ran, but no trial gave a usable figure
    ├── UndecidedError        2  a model of an undecided verdict is to be registered
    └── NothingToRegisterError  1  the sweep has no weights that could be handed on
"""

from bddseg.errors import UserError


class SweepError(UserError):
    """Something about a sweep that the user can mend or must know."""


class ExperimentError(SweepError):
    """experiments.yaml or a command-line setting is wrong."""


class StorageError(SweepError):
    """The output folder cannot be created, written or locked."""


class ClusterError(SweepError):
    """A Ray cannot be started on this machine, or none answers at the address that is given."""


class PassError(SweepError):
    """A pass of a sweep left trials open, or no further trial could be suggested."""


class TrackingError(SweepError):
    """The MLflow store cannot be reached or used."""


class NoSweepError(SweepError):
    """No such sweep is recorded; the message names the known ones."""


class ComparisonError(SweepError):
    """Sweeps that cannot be compared; the message names them and says why."""


class NothingFinishedError(SweepError):
    """The sweep ran, but no trial gave a usable figure."""

    exit_code = 1


class ModelError(SweepError):
    """A model's name, or what is registered under it, cannot be used."""


class UndecidedError(SweepError):
    """A model of an undecided verdict is to be registered, and nobody asked for that in so many words."""


class NothingToRegisterError(SweepError):
    """The sweep has no verdict or no weights that could be handed on."""

    exit_code = 1
