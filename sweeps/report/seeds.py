"""Group trials by setting, add seeds of other sweeps, and pool their evidence."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError, DataError
from bddseg.evidence import Evidence
from sweeps.sanitize import clean
from sweeps.statistics.alignment import image_attributes
from sweeps.statistics.seed_noise import setting_of
from sweeps.storage.records import Repeat, SweepRecord, TrialRow

REPEATED = 4
"""Best settings for which seeds of other sweeps are searched."""


class EvidenceReader(Protocol):
    """The methods that are needed of the tracking store."""

    def read_evidence(self, rows: Sequence[TrialRow], part: str) -> Mapping[str, Evidence | DataError | None]: ...
    def find_repeats(self, setting: str, fingerprint: str) -> Sequence[Repeat]: ...


@dataclass(frozen=True, eq=False)
class OtherSeed:
    """A seed of a setting that another sweep has recorded."""

    setting: str
    """The key of the setting."""
    repeat: Repeat
    evidence: Evidence

    @property
    def name(self) -> str:
        """Return an id that no trial of the sweep has."""
        return clean(f"{self.repeat.sweep_id}/{self.repeat.row.trial_id}")


def setting_key(row: TrialRow) -> str:
    """Return a key that all seeds of a setting share in every sweep, and only they."""
    if row.setting:
        return row.setting
    try:
        config = TrainConfig.from_record(row.settings)
        if config.digest() == row.digest:  # it was trained as it would be today
            return config.setting_digest()
    except ConfigError:
        pass  # a setting of another version
    return setting_of(row.settings)


def setting_name(names: Sequence[str]) -> str:
    """Return the words that the names of all seeds have in common, in their order; the first name without any."""
    shared = set.intersection(*(set(name.split()) for name in names))
    return " ".join(word for word in names[0].split() if word in shared) or names[0]


def group_settings(rows: Iterable[TrialRow]) -> dict[str, list[TrialRow]]:
    """Return the trials of each setting, in the order of the rows."""
    settings: dict[str, list[TrialRow]] = {}
    for row in rows:
        settings.setdefault(setting_key(row) or f"trial {row.trial_id}", []).append(row)
    return settings


def name_settings(settings: Mapping[str, Sequence[TrialRow]]) -> dict[str, str]:
    """Return the name of each setting; settings that would share a name get that of their best trial."""
    names = {key: setting_name([clean(row.name) for row in rows]) for key, rows in settings.items()}
    often = Counter(names.values())
    return {key: name if often[name] == 1 else clean(settings[key][0].name) for key, name in names.items()}


def find_seeds(
    settings: Mapping[str, Sequence[TrialRow]],
    evidence: Mapping[str, Evidence],
    record: SweepRecord,
    store: EvidenceReader,
) -> list[OtherSeed]:
    """Return the seeds that other sweeps have of the best settings.

    A trial that this sweep has too is the same run and no repeat; one on other images than the sweep's own seeds of the
    setting cannot be pooled with them.
    """
    digests = {row.digest for row in record.trials}
    seeds: list[OtherSeed] = []
    for key, rows in list(settings.items())[:REPEATED]:
        own = evidence[clean(rows[0].trial_id)]
        answers = store.find_repeats(rows[0].setting, own.fingerprint) if rows[0].setting else ()
        repeats = {repeat.row.digest: repeat for repeat in answers if repeat.row.digest not in digests}
        read = store.read_evidence([repeat.row for repeat in repeats.values()], "val")
        pairs = [(repeat, read.get(repeat.row.trial_id)) for repeat in repeats.values()]
        seeds += [
            OtherSeed(key, repeat, of)
            for repeat, of in pairs
            if isinstance(of, Evidence) and _is_of_same_images(of, own)
        ]
    return seeds


def _is_of_same_images(first: Evidence, second: Evidence) -> bool:
    alike = (first.part, first.classes, first.fingerprint) == (second.part, second.classes, second.fingerprint)
    return alike and len(first.names) == len(second.names) and set(first.names) == set(second.names)


def join_evidence(runs: Sequence[Evidence]) -> Evidence:
    """Return the evidence of several runs as one: the counts of an image are summed over the runs that scored it."""
    first = runs[0]
    if len(runs) == 1:
        return first
    labels = image_attributes(runs)
    index_of = {name: index for index, name in enumerate(labels)}
    drives = {name: drive for run in runs for name, drive in zip(run.names, run.drives, strict=bool(run.drives))}
    indices = [np.asarray([index_of[name] for name in run.names], dtype=np.intp) for run in runs]
    boundaries = [run.boundary for run in runs if run.boundary is not None]
    return Evidence(
        part=first.part,
        epoch=first.epoch,
        names=tuple(labels),
        attributes={key: tuple(own.get(key, "") for own in labels.values()) for key in first.attributes},
        counts=_sum_at(indices, [run.counts for run in runs], len(labels)),
        ignored=_sum_at(indices, [run.ignored for run in runs], len(labels)),
        fingerprint=first.fingerprint,
        drives=tuple(drives.get(name, "") for name in labels) if drives else (),
        task=first.task,
        boundary=_sum_at(indices, boundaries, len(labels)) if len(boundaries) == len(runs) else None,
    )


def _sum_at(indices: Sequence[np.ndarray], counts: Sequence[np.ndarray], images: int) -> np.ndarray:
    """Return the counts of every image; `indices` has the images of each run.

    Shape:
        indices, counts: of each run, (n,) and (n, ...).  returns: (images, ...).
    """
    total = np.zeros((images, *counts[0].shape[1:]), dtype=np.int64)
    for rows, values in zip(indices, counts, strict=True):
        np.add.at(total, rows, values)
    return total
