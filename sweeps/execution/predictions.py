"""Saved weights of a few trials -> the sweep's album: painted once when the sweep ends, so that a report needs neither
frames nor a GPU. Only images of the validation part are looked at: the test part stays sealed.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bddseg.checkpoint import BEST, load_checkpoint
from bddseg.confusion import miou
from bddseg.data.frames import Frames
from bddseg.errors import DataError
from bddseg.evidence import Evidence, load_evidence
from bddseg.explain import attention_maps, compare, score_images
from bddseg.predictor import Predictor, load_trained
from sweeps.execution.image_choice import ChosenImage, choose_images
from sweeps.execution.shown_trials import ShownTrial, ShownTrials
from sweeps.storage.album import Attention, Panel, PredictionPanels
from sweeps.storage.tiles import LARGEST_PX, TileStrip, draw_maps, draw_panel

log = logging.getLogger(__name__)

SECONDS = 60.0
"""After so long no further image is begun: wide networks on a CPU."""


@dataclass(frozen=True, eq=False)
class _Opened:
    """An exhibit that could be read."""

    exhibit: ShownTrial
    evidence: Evidence
    trained: Predictor


def build_album(
    exhibits: ShownTrials, frames: Frames, device: torch.device, *, evidence_file: str, seconds: float = SECONDS
) -> PredictionPanels | None:
    """Return the pictures of a sweep; None when nothing can be read.

    A trial whose files cannot be read, or whose evidence is of other images than the leader's, is left out and named.
    """
    opened = _same_images([found for it in exhibits.trials if (found := _open(it, evidence_file, device))])
    painters = [it for it in opened if it.exhibit.is_painting]
    if not painters:
        return None
    names, scenes = painters[0].evidence.names, painters[0].evidence.scenes
    index_of = {name: index for index, name in enumerate(frames.names)}
    mious = {it.exhibit.shown.trial_id: miou(it.evidence.counts) for it in painters}
    picks = [pick for pick in choose_images(names, scenes, mious) if names[pick.place] in index_of]
    indices = {pick.place: index_of[names[pick.place]] for pick in picks}
    predicted = _paint(painters, frames, list(indices.values()), seconds)
    indices = dict(list(indices.items())[: predicted.shape[1]])
    picks = [pick for pick in picks if pick.place in indices]
    panels, sheets = _panels(painters, predicted, frames, picks, indices)
    maps, map_sheets = _attention(opened, frames, [indices[pick.place] for pick in picks if pick.kind == "fixed"])
    size = min(frames.size_px, LARGEST_PX)
    return PredictionPanels(
        exhibits.part, size, tuple(it.exhibit.shown for it in painters), panels, maps, {**sheets, **map_sheets}
    )


def _open(exhibit: ShownTrial, evidence_file: str, device: torch.device) -> _Opened | None:
    try:
        trained = load_trained(load_checkpoint(exhibit.checkpoint / BEST), device)
        return _Opened(exhibit, load_evidence(exhibit.checkpoint / evidence_file), trained)
    except DataError as error:
        log.warning("the %s (%s) is not in the pictures: %s", exhibit.shown.role, exhibit.shown.trial_id, error)
        return None


def _same_images(opened: Sequence[_Opened]) -> list[_Opened]:
    """Return those that were judged on the images of the first one."""
    kept = []
    for it in opened:
        if it.evidence.names == opened[0].evidence.names:
            kept.append(it)
        else:
            shown = it.exhibit.shown
            log.warning("the %s (%s) is not in the pictures: other images", shown.role, shown.trial_id)
    return kept


def _paint(painters: Sequence[_Opened], frames: Frames, indices: Sequence[int], seconds: float) -> np.ndarray:
    """Return what every trial predicts on the images, one by one; after `seconds` the rest of the images is left out.

    Shape:
        returns: (trials, N, H, W), int64.
    """
    deadline, found = time.monotonic() + seconds, []
    for number, index in enumerate(indices):
        image = frames.images[index : index + 1]
        found.append(np.concatenate([it.trained.predict(image) for it in painters]))
        if time.monotonic() > deadline and number + 1 < len(indices):
            log.info("painted %d of %d images in %.0f s; the others are left out", number + 1, len(indices), seconds)
            break
    shape = (len(painters), 0, *frames.masks.shape[1:])
    return np.stack(found, axis=1) if found else np.zeros(shape, dtype=np.int64)


def _panels(
    painters: Sequence[_Opened],
    predicted: np.ndarray,
    frames: Frames,
    picks: Sequence[ChosenImage],
    indices: dict[int, int],
) -> tuple[tuple[Panel, ...], dict[str, TileStrip]]:
    evidence = painters[0].evidence
    files = {place: f"panel-{number:03d}.png" for number, place in enumerate(indices, 1)}
    mious, sheets = {}, {}
    for number, (place, index) in enumerate(indices.items()):
        truth, found = np.asarray(frames.masks[index]), predicted[:, number]
        pairs = [(classes, compare(truth, classes)) for classes in found]
        sheets[files[place]] = draw_panel(np.asarray(frames.images[index]), truth, pairs)
        scores = score_images(np.broadcast_to(truth, found.shape), found)
        mious[place] = tuple(None if np.isnan(score) else round(float(score), 6) for score in scores)
    panels = [
        Panel(
            it.kind, it.against, evidence.names[it.place], evidence.scenes[it.place], mious[it.place], files[it.place]
        )
        for it in picks
    ]
    return tuple(panels), sheets


def _attention(
    opened: Sequence[_Opened], frames: Frames, indices: Sequence[int]
) -> tuple[tuple[Attention, ...], dict[str, TileStrip]]:
    """Return the maps of every trial with gates; a gate has one scale over all images of a trial."""
    found: list[Attention] = []
    sheets: dict[str, TileStrip] = {}
    for it in opened if indices else ():
        maps = np.concatenate([attention_maps(it.trained, frames.images[index : index + 1]) for index in indices])
        shown = it.exhibit.shown
        for index, gates in zip(indices, maps, strict=True) if maps.shape[1] else ():
            ranges = tuple((round(float(gate.min()), 4), round(float(gate.max()), 4)) for gate in maps.swapaxes(0, 1))
            file = f"attention-{len(sheets) + 1:03d}.png"
            sheets[file] = draw_maps(gates, ranges)
            found.append(Attention(shown.trial_id, shown.role, frames.names[index], frames.scenes[index], ranges, file))
    return tuple(found), sheets
