"""Report -> what the leader paints where nothing is judged, by scene."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bddseg.evidence import Evidence
from bddseg.labels import CLASSES
from sweeps.formatting import write_share
from sweeps.report.gather import Report
from sweeps.report.section import Section
from sweeps.sanitize import clean


@dataclass(frozen=True)
class IgnoredShare:
    """The ignored pixels of the images of one scene."""

    scene: str
    images: int
    ignored: float
    """Their share of all pixels."""
    painted: Mapping[str, float]
    """Class -> share of the ignored pixels on which it is predicted."""


def build_section(report: Report) -> Section | None:
    """Return the leader's predictions on ignored pixels; None without its evidence, or where nothing is ignored."""
    evidence = report.evidence.get(report.leader.trial_id)
    if evidence is None or not evidence.ignored.any():
        return None
    lines = count_ignored(evidence)
    return Section("ignored", "On ignored regions", _say(lines[0]), data=lines)


def count_ignored(evidence: Evidence) -> tuple[IgnoredShare, ...]:
    """Return a line for all images, then one for each scene, the most images first."""
    scenes = np.array([clean(scene) or "no scene known" for scene in evidence.scenes])
    names, images = np.unique(scenes, return_counts=True)
    order = np.argsort(-images, kind="stable")
    return (_line("all images", evidence, np.ones(len(scenes), bool)), *_lines(evidence, scenes, names[order]))


def _lines(evidence: Evidence, scenes: np.ndarray, names: np.ndarray) -> Iterator[IgnoredShare]:
    for name in names:
        yield _line(str(name), evidence, scenes == name)


def _line(scene: str, evidence: Evidence, keep: np.ndarray) -> IgnoredShare:
    painted, judged = evidence.ignored[keep].sum(0), int(evidence.counts[keep].sum())
    total = int(painted.sum())
    shares = {name: int(pixels) / total if total else 0.0 for name, pixels in zip(CLASSES, painted, strict=True)}
    return IgnoredShare(scene, int(keep.sum()), total / max(1, total + judged), shares)


def _say(line: IgnoredShare) -> str:
    first, second, *_ = sorted(line.painted.items(), key=lambda item: -item[1])
    return (
        f"{write_share(line.ignored)} of the validation pixels belong to no class of the task and count nowhere; there "
        f"the leader paints {first[0]} ({write_share(first[1])}) and {second[0]} ({write_share(second[1])}) most."
    )
