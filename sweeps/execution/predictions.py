"""The predictions that a sweep shows: which trials, on which images, painted from their saved weights.

They are painted once, when the sweep ends, so that a report needs neither frames nor a GPU. Only images of the
validation part are used: the test part stays sealed.
"""

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from bddseg.checkpoint import BEST, load_checkpoint
from bddseg.confusion import miou
from bddseg.data.frames import Frames
from bddseg.errors import DataError
from bddseg.evidence import Evidence, load_evidence
from bddseg.explain import attention_maps, compare, score_images
from bddseg.predictor import Predictor, load_trained
from sweeps.execution.progress import TrialProgress, TrialTable
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.storage.album import Attention, Panel, PanelTrial, PredictionPanels
from sweeps.storage.artifacts import evidence_file
from sweeps.storage.tags import FINALIST, RUN
from sweeps.storage.tiles import LARGEST_PX, TileStrip, draw_maps, draw_panel

log = logging.getLogger(__name__)

SECONDS = 60.0
"""After this time no further image is started: wide networks on a CPU are slow."""

FIXED, APART, WORST = 3, 2, 10
"""Images shown of each scene group; of each side of a disagreement; of the leader's worst."""

GATES = "attention_unet"
VALIDATION = "validation"


@dataclass(frozen=True)
class ShownTrial:
    """A trial that is shown."""

    label: PanelTrial
    checkpoint: Path
    """Folder with its best weights and its validation evidence."""
    is_painting: bool = True
    """Its predictions are shown, not only its attention maps."""


@dataclass(frozen=True)
class ShownTrials:
    """The trials that are shown, the leader first."""

    trials: tuple[ShownTrial, ...]
    part: str
    """Part of the data that they are shown on: `validation`, or the fold of a run of a confirmation."""


@dataclass(frozen=True)
class ChosenImage:
    """An image that is shown, and why."""

    kind: str
    """One of `sweeps.storage.album.KINDS`."""
    index: int
    """Its index in the evidence."""
    against: str = ""
    """The trial that the leader disagrees with."""


def choose_trials(plan: Plan, board: TrialTable, checkpoints: Mapping[str, Path]) -> ShownTrials:
    """Return leader, runner-up, reference and best attention net, those that have a checkpoint.

    In a confirmation each finalist is shown by its run of the same number, so that all are judged on the same images.
    """
    trials = {trial.trial_id: trial for trial in plan.trials}
    scored = [row for row in board.ranked() if row.is_scored]
    ranked = _runs_of_finalists(scored, trials, checkpoints) or [row.trial_id for row in scored]
    roles = dict(zip(ranked, ("leader", "runner-up"), strict=False))
    for trial_id in ranked:
        if trials[trial_id].is_reference:
            roles.setdefault(trial_id, "reference")
    shown = {
        trial_id: ShownTrial(PanelTrial(trial_id, role), checkpoints[trial_id])
        for trial_id, role in roles.items()
        if trial_id in checkpoints
    }
    gated = [trial_id for trial_id in ranked if trials[trial_id].config.model.name == GATES and trial_id in checkpoints]
    if shown and gated and not shown.keys() & set(gated):
        label = PanelTrial(gated[0], "best attention net")
        shown[gated[0]] = ShownTrial(label, checkpoints[gated[0]], is_painting=False)
    run = trials[ranked[0]].tags.get(RUN) if ranked else None
    return ShownTrials(tuple(shown.values()), f"the fold of run {run}" if run else VALIDATION)


def _runs_of_finalists(
    rows: Sequence[TrialProgress], trials: Mapping[str, PlannedTrial], checkpoints: Mapping[str, Path]
) -> list[str]:
    """Return one run of each finalist, the best mean first: the leader's first run, and the others' of that number."""
    runs: dict[str, list[TrialProgress]] = {}
    for row in rows:
        if finalist := trials[row.trial_id].tags.get(FINALIST):
            runs.setdefault(finalist, []).append(row)
    by_number = [
        {trials[row.trial_id].tags[RUN]: row.trial_id for row in finalist_rows if row.trial_id in checkpoints}
        for finalist_rows in sorted(runs.values(), key=lambda rows: -fmean(row.best_miou for row in rows))
    ]
    number = min(by_number[0], default="") if by_number else ""
    return [trial_of_run[number] for trial_of_run in by_number if number in trial_of_run]


def choose_images(evidence: Evidence, mious: Mapping[str, np.ndarray]) -> list[ChosenImage]:
    """Return the images that are shown: fixed ones, the largest disagreements with the leader, the leader's worst.

    `mious` is the mIoU of every image by trial, the leader first. The choice depends on names and counts alone.
    """
    leader, *rivals = mious
    picks = [ChosenImage("fixed", index) for index in fixed_images(evidence)]
    for rival in rivals:
        picks += _disagreements(mious[leader], mious[rival], rival)
    order = np.argsort(mious[leader], kind="stable")  # NaN, an image without judged pixels, comes last
    picks += [ChosenImage("worst", int(index)) for index in order[:WORST] if not np.isnan(mious[leader][index])]
    return picks


def fixed_images(evidence: Evidence) -> list[int]:
    """Return the indices of three images of the first group and three others, or as many as there are.

    They are ordered by a hash of their names, which gives the same images in every sweep. Without groups, six images.
    """
    names, first = evidence.names, next(iter(evidence.task.group_names), None)
    order = sorted(range(len(names)), key=lambda index: hashlib.sha256(names[index].encode()).digest())
    if first is None:
        return order[: 2 * FIXED]
    groups = evidence.groups
    inside = [index for index in order if groups[index] == first]
    elsewhere = [index for index in order if groups[index] != first]
    return [*inside[:FIXED], *elsewhere[:FIXED]]


def _disagreements(leader: np.ndarray, rival: np.ndarray, trial_id: str) -> list[ChosenImage]:
    """Return the images on which the leader is furthest ahead of another trial, and furthest behind it."""
    difference = np.nan_to_num(leader - rival)
    order = np.argsort(-difference, kind="stable")
    ahead = [ChosenImage("ahead", int(index), trial_id) for index in order[:APART] if difference[index] > 0]
    behind = [ChosenImage("behind", int(index), trial_id) for index in order[::-1][:APART] if difference[index] < 0]
    return [*ahead, *behind]


@dataclass(frozen=True, eq=False)
class _Painter:
    """A shown trial whose files could be read."""

    trial: ShownTrial
    evidence: Evidence
    predictor: Predictor


def paint_panels(
    shown: ShownTrials, frames: Frames, device: torch.device, *, seconds: float = SECONDS
) -> PredictionPanels | None:
    """Return the painted predictions of a sweep; None when no trial can be read.

    A trial is left out, with a warning, when its files cannot be read or its evidence has other images than the
    leader's.

    Args:
        shown: the trials, the leader first.
        frames: the frames that the evidence is about.
        device: the device that predicts.
        seconds: the time after which no further image is started.
    """
    opened = _on_same_images([painter for trial in shown.trials if (painter := _open(trial, device))])
    painters = [painter for painter in opened if painter.trial.is_painting]
    if not painters:
        return None
    names = painters[0].evidence.names
    frame_of = {name: index for index, name in enumerate(frames.names)}
    mious = {painter.trial.label.trial_id: miou(painter.evidence.counts) for painter in painters}
    picks = [pick for pick in choose_images(painters[0].evidence, mious) if names[pick.index] in frame_of]
    indices = {pick.index: frame_of[names[pick.index]] for pick in picks}
    predicted = _paint(painters, frames, list(indices.values()), seconds)
    indices = dict(list(indices.items())[: predicted.shape[1]])
    picks = [pick for pick in picks if pick.index in indices]
    panels, strips = _panels(painters, predicted, frames, picks, indices)
    maps, map_strips = _attention(opened, frames, [indices[pick.index] for pick in picks if pick.kind == "fixed"])
    size, labels = min(frames.size_px, LARGEST_PX), tuple(painter.trial.label for painter in painters)
    return PredictionPanels(shown.part, size, labels, panels, maps, {**strips, **map_strips})


def _open(trial: ShownTrial, device: torch.device) -> _Painter | None:
    try:
        predictor = load_trained(load_checkpoint(trial.checkpoint / BEST), device)
        return _Painter(trial, load_evidence(trial.checkpoint / evidence_file("val")), predictor)
    except DataError as error:
        log.warning("the %s (%s) is not in the pictures: %s", trial.label.role, trial.label.trial_id, error)
        return None


def _on_same_images(painters: Sequence[_Painter]) -> list[_Painter]:
    """Return the trials that were judged on the images of the first one."""
    same = []
    for painter in painters:
        if painter.evidence.names == painters[0].evidence.names:
            same.append(painter)
        else:
            label = painter.trial.label
            log.warning("the %s (%s) is not in the pictures: other images", label.role, label.trial_id)
    return same


def _paint(painters: Sequence[_Painter], frames: Frames, indices: Sequence[int], seconds: float) -> np.ndarray:
    """Return the prediction of every trial on each image; after `seconds` the remaining images are left out.

    Shape:
        returns: (trials, N, H, W), int64.
    """
    deadline, predictions = time.monotonic() + seconds, []
    for number, index in enumerate(indices):
        image = frames.images[index : index + 1]
        predictions.append(np.concatenate([painter.predictor.predict(image) for painter in painters]))
        if time.monotonic() > deadline and number + 1 < len(indices):
            log.info("painted %d of %d images in %.0f s; the others are left out", number + 1, len(indices), seconds)
            break
    shape = (len(painters), 0, *frames.masks.shape[1:])
    return np.stack(predictions, axis=1) if predictions else np.zeros(shape, dtype=np.int64)


def _panels(
    painters: Sequence[_Painter],
    predicted: np.ndarray,
    frames: Frames,
    picks: Sequence[ChosenImage],
    indices: dict[int, int],
) -> tuple[tuple[Panel, ...], dict[str, TileStrip]]:
    """Return a panel for each pick, and the strip of tiles for each image; `indices` is evidence -> frames."""
    evidence = painters[0].evidence
    files = {index: f"panel-{number:03d}.png" for number, index in enumerate(indices, 1)}
    mious, strips = {}, {}
    for number, (index, frame) in enumerate(indices.items()):
        truth, predictions = np.asarray(frames.masks[frame]), predicted[:, number]
        pairs = [(classes, compare(truth, classes)) for classes in predictions]
        strips[files[index]] = draw_panel(np.asarray(frames.images[frame]), truth, pairs, frames.task.palette)
        scores = score_images(np.broadcast_to(truth, predictions.shape), predictions, len(frames.task.classes))
        mious[index] = tuple(None if np.isnan(score) else round(float(score), 6) for score in scores)
    names, scenes = evidence.names, evidence.scenes
    panels = [
        Panel(pick.kind, pick.against, names[pick.index], scenes[pick.index], mious[pick.index], files[pick.index])
        for pick in picks
    ]
    return tuple(panels), strips


def _attention(
    painters: Sequence[_Painter], frames: Frames, indices: Sequence[int]
) -> tuple[tuple[Attention, ...], dict[str, TileStrip]]:
    """Return the attention maps of every trial with gates; a gate has one scale over all images of a trial."""
    attention: list[Attention] = []
    strips: dict[str, TileStrip] = {}
    for painter in painters if indices else ():
        label, predictor = painter.trial.label, painter.predictor
        maps = np.concatenate([attention_maps(predictor, frames.images[index : index + 1]) for index in indices])
        for index, gates in zip(indices, maps, strict=True) if maps.shape[1] else ():
            ranges = tuple((round(float(gate.min()), 4), round(float(gate.max()), 4)) for gate in maps.swapaxes(0, 1))
            file = f"attention-{len(strips) + 1:03d}.png"
            strips[file] = draw_maps(gates, ranges)
            names, scenes = frames.names, frames.scenes
            attention.append(Attention(label.trial_id, label.role, names[index], scenes[index], ranges, file))
    return tuple(attention), strips
