"""What a folder of images and masks has: usable samples, and what was left out and why."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bddseg.data.folders import in_short
from bddseg.errors import DataError, printable
from bddseg.words import count

SHOWN_VALUES = 8
"""Values of an attribute that the summary counts, the most frequent ones."""

UNDEFINED = "undefined"
"""Value of an attribute that a label file leaves out."""


@dataclass(frozen=True)
class Sample:
    """One image with its mask and attributes."""

    name: str
    image: Path
    mask: Path
    attributes: Mapping[str, str] = field(default_factory=dict)
    part: str = ""
    """Official part: train, val or test; empty if the folder has none."""


@dataclass(frozen=True)
class Remark:
    """Something of the folder that is not used, or used in a way that should be known."""

    kind: str
    """Short name for programs, such as `without_mask`."""
    text: str
    names: tuple[str, ...] = ()
    """What it concerns: names of images, or descriptions of entries."""

    def line(self) -> str:
        """Return the remark with the first names."""
        return f"{self.text}: {in_short(self.names)}" if self.names else self.text


@dataclass(frozen=True)
class Catalog:
    """The usable samples of a folder, and what was left out."""

    root: Path
    samples: tuple[Sample, ...]
    """Sorted by name."""
    attribute: str = ""
    """The attribute that every sample has, since its groups are compared; empty if none is needed."""
    remarks: tuple[Remark, ...] = ()
    label_files: Mapping[str, str] = field(default_factory=dict)
    """Name of each sample with attributes -> the file that gave them, relative to the folder."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Name of each sample that the user left out -> the reason."""

    @property
    def sources(self) -> dict[str, int]:
        """Return how many samples each label file gave their attributes."""
        files = (self.label_files.get(sample.name, "") for sample in self.samples)
        return dict(sorted(Counter(filter(None, files)).items()))

    def names(self, kind: str) -> tuple[str, ...]:
        """Return what the remarks of a kind concern."""
        return tuple(name for remark in self.remarks if remark.kind == kind for name in remark.names)

    def summary(self) -> tuple[str, ...]:
        """Return lines about what the folder has, what was left out and why."""
        lines = [
            self._headline(),
            *self._source_lines(),
            *self._skip_lines(),
            *(remark.line() for remark in self.remarks),
        ]
        return tuple(map(printable, lines))

    def _headline(self) -> str:
        values = Counter(sample.attributes[self.attribute] for sample in self.samples) if self.attribute else {}
        parts = Counter(sample.part for sample in self.samples if sample.part) if not self.attribute else {}
        numbers = Counter({**values, **parts}).most_common()
        counts = ", ".join(f"{name} {number}" for name, number in numbers[:SHOWN_VALUES])
        counts += f" and {len(numbers) - SHOWN_VALUES} other values" if len(numbers) > SHOWN_VALUES else ""
        wanted = f"mask and {self.attribute}" if self.attribute else "mask"
        return f"{images(len(self.samples))} with {wanted} in {self.root}{': ' if counts else ''}{counts}"

    def _source_lines(self) -> Iterator[str]:
        if self.sources:
            yield f"attributes from {', '.join(f'{file} ({images(number)})' for file, number in self.sources.items())}"

    def _skip_lines(self) -> Iterator[str]:
        if self.skipped:
            notes = tuple(f"{name} ({reason})" if reason else name for name, reason in self.skipped.items())
            yield f"{images(len(notes))} left out by data.skip: {in_short(notes)}"


def images(number: int) -> str:
    """Return the number with its noun."""
    return count(number, "image")


def check_name(name: str, path: Path) -> str:
    """Return the name of a sample.

    Raises:
        DataError: when it is no text, so that no record could hold it.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{path} has a name that is not UTF-8, so nothing can be recorded of it: rename it") from error
    return name


def same_name(first: Path, second: Path) -> DataError:
    """Return the refusal of two files with one name."""
    return DataError(f"{first} and {second} have the same name, but a name must be there once only; remove one")
